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

#[test]
fn beyond_this_machine_it_starts_closed_and_says_how_to_open_it() {
    let home = tempfile::tempdir().unwrap();
    let start = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_cv-relay"))
            .args(["--host", "0.0.0.0", "--port", "0"])
            .args(arguments)
            .env_remove("NOTIFY_SOCKET")
            .env_remove("STATE_DIRECTORY")
            .env("XDG_STATE_HOME", home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let log = |arguments: &[&str]| {
        let mut child = start(arguments);
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut lines = String::new();
        while !lines.contains("ready") {
            assert_ne!(log.read_line(&mut lines).unwrap(), 0, "{lines}");
        }
        signal(&child, "-TERM");
        assert!(child.wait().unwrap().success(), "{lines}");
        lines
    };
    let closed = log(&[]);
    for part in [
        "with an administrator's leave",
        "#set-up=cvu_",
        "cv-relay user add --admin",
        "--open",
    ] {
        assert!(closed.contains(part), "{part} is not in {closed}");
    }
    assert!(home.path().join("cv-relay/access.db").exists());
    let open = log(&["--open"]);
    assert!(open.contains("--open: whoever reaches port"), "{open}");
    assert!(
        open.contains("without a token") && !open.contains("set-up"),
        "{open}"
    );
    let tokens = log(&["--viewer-token", "a", "--agent-token", "b"]);
    assert!(
        tokens.contains("with the token or an administrator's leave"),
        "{tokens}"
    );

    let nowhere = Command::new(env!("CARGO_BIN_EXE_cv-relay"))
        .args(["--host", "0.0.0.0", "--port", "0"])
        .env_remove("STATE_DIRECTORY")
        .env_remove("XDG_STATE_HOME")
        .env_remove("HOME")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&nowhere.stderr);
    assert_eq!(nowhere.status.code(), Some(78), "{text}");
    for part in ["--data-dir", "--viewer-token", "--open"] {
        assert!(text.contains(part), "{text}");
    }
}
