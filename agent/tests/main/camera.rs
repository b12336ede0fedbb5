//! Sources that fail and work again while the agent runs.

use serde_json::Value;

use crate::agent::Agent;
use crate::fake_relay::{Connection, FakeRelay, Sent};

const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/clip/demo.mjpeg");

/// Waits for the next measurements for which `wanted` returns true.
async fn stats(connection: &mut Connection, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let stats = connection.argument("stats").await;
        if wanted(&stats) {
            return stats;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_relay_learns_that_a_source_has_failed_and_works_again() {
    let relay = FakeRelay::start().await;
    let server = relay.server();
    let folder = tempfile::tempdir().unwrap();
    let plug = folder.path().join("plugged-in");
    std::fs::write(&plug, "").unwrap();
    // A camera program that ends when its device is unplugged, and that fails while there is no
    // device.
    let source = format!(
        "exec:while [ -e {plug} ]; do cat {CLIP}; sleep 0.2; done",
        plug = plug.display()
    );
    let args = ["--source", &source, "--no-detect", "--server", &server];
    let mut command = crate::agent::command(&args);
    command.env("PATH", "/usr/bin:/bin");
    let mut agent = Agent::spawn(command);
    let mut connection = relay.agent().await;
    let (first, _) = connection.frame().await;
    connection.ack(&first).await;
    assert!(connection.argument("stats").await["camera_fault"].is_null());

    std::fs::remove_file(&plug).unwrap();
    let fault = stats(&mut connection, |stats| !stats["camera_fault"].is_null()).await;
    assert!(
        fault["camera_gone_since_us"].as_u64().unwrap() > first["captured_us"].as_u64().unwrap()
    );
    agent.says("trying until it works");
    // The start time of the fault stays the same, however often the agent retries.
    let later = connection.argument("stats").await;
    assert_eq!(later["camera_gone_since_us"], fault["camera_gone_since_us"]);

    std::fs::write(&plug, "").unwrap();
    agent.says("works again");
    stats(&mut connection, |stats| stats["camera_fault"].is_null()).await;
    let (last, _) = connection.frame().await;
    assert!(last["seq"].as_u64() > first["seq"].as_u64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_is_not_jpeg_is_reported_and_not_sent() {
    let relay = FakeRelay::start().await;
    let server = relay.server();
    let args = [
        "--source",
        "exec:yes no-picture",
        "--no-detect",
        "--server",
        &server,
    ];
    let mut command = crate::agent::command(&args);
    command.env("PATH", "/usr/bin:/bin");
    let mut agent = Agent::spawn(command);
    let mut connection = relay.agent().await;
    let line = agent.says("trying until it works");
    assert!(line.contains("yes no-picture"), "{line}");
    loop {
        match connection.next().await {
            Sent::Frame(meta, _) => panic!("sent {meta}"),
            Sent::Event(name, stats) if name == "stats" && !stats["camera_fault"].is_null() => {
                break;
            }
            Sent::Event(..) => {}
            Sent::Closed => panic!("closed"),
        }
    }
}
