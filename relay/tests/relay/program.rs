//! The program `cv-relay`: its start, its end and its mistakes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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

/// The address in the log of a program that has just started, and the log.
fn ready(child: &mut Child) -> (String, BufReader<std::process::ChildStderr>, String) {
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut lines = String::new();
    while !lines.contains("ready") {
        assert_ne!(log.read_line(&mut lines).unwrap(), 0, "{lines}");
    }
    let at = lines.find("http://").unwrap() + "http://".len();
    let address = lines[at..].split_whitespace().next().unwrap().to_owned();
    (address, log, lines)
}

/// Status line of `GET /healthz`; empty if the connection ends without an answer.
fn health(address: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return String::new();
    };
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn few_descriptors_are_told_and_survived() {
    let command = "ulimit -n 64; exec \"$0\" --host 127.0.0.1 --port 0";
    let mut child = Command::new("sh")
        .args(["-c", command, env!("CARGO_BIN_EXE_cv-relay")])
        .env_remove("NOTIFY_SOCKET")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (address, mut log, mut lines) = ready(&mut child);
    while !lines.contains("LimitNOFILE") {
        assert_ne!(log.read_line(&mut lines).unwrap(), 0, "{lines}");
    }
    assert!(lines.contains("may open 64 files"), "{lines}");
    let mut kept = TcpStream::connect(&address).unwrap();
    let crowd: Vec<_> = (0..300)
        .filter_map(|_| TcpStream::connect(&address).ok())
        .collect();
    // It still serves whom it has, and others as soon as there is a place.
    kept.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut first = [0; 15];
    kept.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    drop(crowd);
    let deadline = Instant::now() + Duration::from_secs(10);
    while health(&address) != "HTTP/1.1 200 OK" {
        assert!(Instant::now() < deadline, "it lets nobody in any more");
    }
    signal(&child, "-TERM");
    lines.clear();
    log.read_to_string(&mut lines).unwrap();
    assert!(child.wait().unwrap().success(), "{lines}");
    assert!(lines.lines().count() < 20, "{lines}");
}

#[test]
fn a_full_tmp_and_a_root_that_cannot_be_written_do_not_matter() {
    // In a mount namespace of its own: everything is read-only, and /tmp is full.
    let command = "mount --make-rprivate / && mount -t tmpfs -o size=4k tmpfs /tmp \
         && { head -c 9000 /dev/zero > /tmp/fill; true; } 2>/dev/null \
         && mount -o bind,remount,ro / && ! touch /it-can-be-written 2>/dev/null \
         && exec \"$0\" --host 127.0.0.1 --port 0";
    let mut child = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", command])
        .arg(env!("CARGO_BIN_EXE_cv-relay"))
        .env_remove("NOTIFY_SOCKET")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (address, mut log, mut lines) = ready(&mut child);
    assert_eq!(health(&address), "HTTP/1.1 200 OK");
    signal(&child, "-TERM");
    log.read_to_string(&mut lines).unwrap();
    assert!(child.wait().unwrap().success(), "{lines}");
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
