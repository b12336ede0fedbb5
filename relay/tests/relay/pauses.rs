//! Agents, links and clocks that jump: what comes late, and what only looks as if it did.

use std::time::Duration;

use cv_protocol::Timestamp;
use cv_relay::Config;
use serde_json::{Value, json};

use crate::client::{Client, Server, jpeg};

fn captured(seq: u64, age: Duration) -> Value {
    let now = Timestamp::now().0;
    let age = u64::try_from(age.as_micros()).unwrap();
    json!({"seq": seq, "captured_us": now - age, "width": 640, "height": 480})
}

async fn send(agent: &mut Client, seq: u64, age: Duration) {
    agent.emit_frame(captured(seq, age), jpeg(100)).await;
}

#[tokio::test]
async fn what_waited_during_a_silence_is_not_shown_but_acknowledged() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let stats = json!({"capture_fps": 1, "stream_fps": 1, "detect_fps": 0, "dropped": {},
        "cpu": 0, "rss_mb": 1, "clock_offset_us": 1});
    agent.emit("stats", stats).await;
    let mut viewer = server.watching("front").await;
    // A slow link makes all frames old: that alone is no reason.
    send(&mut agent, 0, Duration::from_secs(4)).await;
    let first = viewer.event("frame").await;
    assert_eq!(first.seq(), 0);
    viewer.shown(&first).await;

    tokio::time::sleep(Duration::from_millis(3200)).await;
    for (seq, age) in [(1, 3), (2, 3), (3, 2), (4, 0)] {
        send(&mut agent, seq, Duration::from_secs(age)).await;
    }
    assert_eq!(viewer.event("frame").await.seq(), 4);
    for seq in 0..5 {
        assert_eq!(agent.event("ack").await.seq(), seq);
    }
    let metrics = server.hub.render_metrics();
    let dropped = r#"cv_relay_frames_dropped_total{camera="front",reason="left_over"} 3"#;
    assert!(metrics.contains(dropped), "{metrics}");
}

#[tokio::test]
async fn a_camera_whose_clock_was_set_back_starts_again() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.watching("front").await;
    let day = Duration::from_secs(86_400);
    send(&mut agent, 70, Duration::ZERO).await;
    let frame = viewer.event("frame").await;
    viewer.shown(&frame).await;
    // One is a message that was overtaken.
    send(&mut agent, 3, day).await;
    assert_eq!(agent.event("ack").await.seq(), 70);
    assert_eq!(agent.event("ack").await.seq(), 3);
    send(&mut agent, 71, Duration::ZERO).await;
    let frame = viewer.event("frame").await;
    assert_eq!(frame.seq(), 71);
    viewer.shown(&frame).await;
    // Two in order are a new capture.
    for seq in 0..3 {
        send(&mut agent, seq, day).await;
    }
    assert_eq!(viewer.event("frame").await.seq(), 1);
    assert_eq!(viewer.event("frame").await.seq(), 2);
}
