//! The agent as a service: what it reports to systemd, and how it reacts to signals.

use std::os::unix::net::UnixDatagram;

use crate::agent::{Agent, SOON, command};
use crate::fake_relay::FakeRelay;

/// A stand-in for systemd's end of the notification socket.
struct Systemd {
    _folder: tempfile::TempDir,
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Systemd {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self {
            _folder: folder,
            socket,
            path,
        }
    }

    fn start(&self, args: &[&str], watchdog_seconds: u32) -> Agent {
        let mut command = command(args);
        command
            .env("NOTIFY_SOCKET", &self.path)
            .env("WATCHDOG_USEC", format!("{watchdog_seconds}000000"));
        Agent::spawn(command)
    }

    /// Waits for a notification that contains `text`, and returns it and the ones before it.
    #[track_caller]
    fn hears(&self, text: &str) -> Vec<String> {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let Ok(len) = self.socket.recv(&mut buffer) else {
                panic!("systemd never received {text:?}, only {heard:#?}");
            };
            heard.push(String::from_utf8_lossy(&buffer[..len]).into_owned());
            if heard.last().unwrap().contains(text) {
                return heard;
            }
        }
    }
}

#[tokio::test]
async fn the_agent_is_ready_when_frames_flow() {
    let relay = FakeRelay::start().await;
    let systemd = Systemd::new();
    let server = relay.server();
    let args = [
        "--source",
        "test@20",
        "--no-detect",
        "--name",
        "a",
        "--server",
        &server,
    ];
    let agent = systemd.start(&args, 60);
    // The relay has accepted no agent yet: only its TCP port is open.
    let mut connection = relay.agent().await;
    connection.frame().await;
    let heard = systemd.hears("READY=1");
    let status = heard
        .iter()
        .rev()
        .find(|text| text.contains("STATUS="))
        .unwrap();
    assert!(status.contains("fps from test picture"), "{status}");
    assert!(status.contains(&server), "{status}");
    agent.signal("TERM");
    systemd.hears("STOPPING=1");
}

#[test]
fn the_agent_is_also_ready_when_it_knows_why_frames_do_not_flow() {
    let systemd = Systemd::new();
    let args = [
        "--source",
        "/dev/video99",
        "--no-detect",
        "--server",
        "127.0.0.1:1",
    ];
    let _agent = systemd.start(&args, 60);
    let heard = systemd.hears("READY=1");
    let status = heard
        .iter()
        .rev()
        .find(|text| text.contains("STATUS="))
        .unwrap();
    assert!(status.contains("no camera: "), "{status}");
    assert!(
        status.contains("no relay at http://127.0.0.1:1"),
        "{status}"
    );
    systemd.hears("WATCHDOG=1");
}

#[test]
fn the_agent_names_a_hanging_thread_and_asks_for_a_restart() {
    let systemd = Systemd::new();
    let args = [
        "--source",
        "test@60",
        "--no-detect",
        "--test-hook",
        "stuck-capture",
    ];
    let mut agent = systemd.start(&args, 2);
    systemd.hears("WATCHDOG=trigger");
    let line = agent.says("no progress");
    assert!(line.contains("capture"), "{line}");
}

#[test]
fn a_thread_that_panics_ends_the_agent_which_names_the_thread() {
    let args = [
        "--source",
        "test@60",
        "--no-detect",
        "--test-hook",
        "panic-capture",
    ];
    let (status, said) = Agent::start(&args).wait();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("capture thread panicked"), "{said}");
}

#[tokio::test]
async fn a_reload_changes_rates_without_a_break_and_ignores_wrong_settings() {
    let relay = FakeRelay::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let write = |text: &str| std::fs::write(path, text).unwrap();
    write("stream-fps = 30");
    let server = relay.server();
    let args = [
        "--source",
        "test:320x240@30",
        "--no-detect",
        "--server",
        &server,
    ];
    let mut args = args.to_vec();
    args.extend(["--config", path]);
    let mut agent = Agent::start(&args);
    let mut connection = relay.agent().await;
    let (first, _) = connection.frame().await;
    connection.ack(&first).await;

    write("stream-fps = \"fast\"");
    agent.signal("HUP");
    let line = agent.says("keeping the previous ones");
    assert!(line.contains("stream-fps"), "{line}");
    write("stream-fps = 5");
    agent.signal("HUP");
    agent.says("at most 5 frames per second");

    // Frames sent before the reload may still be in flight.
    let mut captured = Vec::new();
    while captured.len() < 16 {
        let (meta, _) = connection.frame().await;
        connection.ack(&meta).await;
        captured.push(meta["captured_us"].as_u64().unwrap());
    }
    let seconds = (captured[15] - captured[5]) as f64 / 1e6;
    assert!(seconds > 1.8, "10 frames within {seconds} s");
}

#[test]
fn a_second_signal_ends_an_agent_that_does_not_stop() {
    let args = [
        "--source",
        "test@60",
        "--no-detect",
        "--test-hook",
        "stuck-capture",
    ];
    let mut agent = Agent::start(&args);
    agent.says("hangs from now on");
    agent.signal("TERM");
    agent.says("Stopping");
    agent.signal("INT");
    assert_eq!(agent.wait().0.code(), Some(130));
}
