//! The program `cv-relay`: its start, its end and its mistakes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

fn program(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_cv-relay"))
        .args(["--host", "127.0.0.1"])
        .args(arguments)
        .env_remove("NOTIFY_SOCKET")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let status = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(status.success());
}

#[test]
fn it_says_what_is_open_to_whom_and_stops_on_sigterm() {
    for (name, arguments, expected) in [
        ("-TERM", vec!["--port", "0"], "without a token"),
        (
            "-INT",
            vec!["--port", "0", "--viewer-token", "hunter2"],
            "may watch with the token",
        ),
    ] {
        let mut child = program(&arguments);
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut lines = String::new();
        while !lines.contains("may bring") {
            assert_ne!(log.read_line(&mut lines).unwrap(), 0, "{lines}");
        }
        assert!(lines.contains("open http://127.0.0.1:"), "{lines}");
        assert!(lines.contains("programs on this machine"), "{lines}");
        assert!(lines.contains(expected), "{lines}");
        while !lines.contains("ready") {
            assert_ne!(log.read_line(&mut lines).unwrap(), 0, "{lines}");
        }
        signal(&child, name);
        log.read_to_string(&mut lines).unwrap();
        assert!(child.wait().unwrap().success(), "{lines}");
        assert!(!lines.contains("hunter2"), "{lines}");
    }
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = program(&["--port", &port]).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&port) && text.contains("--port") && text.contains("in use"),
        "{text}"
    );
}

#[test]
fn bad_settings_end_with_78_and_name_the_setting() {
    for (arguments, expected) in [
        (vec!["--max-viewers", "0"], "--max-viewers"),
        (vec!["--prot", "1"], "--prot"),
        (
            vec!["--config", "/nonexistent/file.toml"],
            "/nonexistent/file.toml",
        ),
    ] {
        let output = program(&arguments).wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}
