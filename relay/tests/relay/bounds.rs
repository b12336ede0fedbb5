//! Peers that want too much are told so, and nobody else notices.

use cv_protocol::MAX_FRAME_BYTES;
use cv_relay::{Config, Limits};
use serde_json::json;

use crate::client::{Client, Server, jpeg, meta};

#[tokio::test]
async fn agents_viewers_and_cameras_per_viewer_are_bounded() {
    let server = Server::start(Config {
        limits: Limits {
            agents: 1,
            viewers: 1,
            cameras_per_viewer: 2,
        },
        ..Config::default()
    })
    .await;
    let _agent = server.agent("one").await;
    let auth = json!({"protocol": 1, "camera": "two"});
    let message = Client::connect(server.address, "/cv", Some(auth))
        .await
        .err();
    assert!(message.unwrap().contains("1 cameras at most"));

    let mut viewer = server.viewer().await;
    let message = Client::connect(server.address, "/web", None).await.err();
    assert!(message.unwrap().contains("1 viewers at most"));

    for camera in ["one", "two", "two", "three"] {
        viewer.emit("watch", json!({"camera": camera})).await;
    }
    let reason = viewer.event("refused").await.argument;
    assert!(
        reason["message"]
            .as_str()
            .unwrap()
            .contains("2 cameras at most"),
        "{reason}"
    );
    viewer.closed().await;
    // Its place is free again, as soon as the relay has noticed.
    while server.hub.viewers() > 0 {
        tokio::task::yield_now().await;
    }
    server.viewer().await;
}

#[tokio::test]
async fn nonsense_from_a_viewer_is_refused_with_the_reason() {
    let server = Server::start(Config::default()).await;
    for (event, argument, reason) in [
        ("watch", json!({"camera": "a/b"}), "'/'"),
        ("watch", json!({"camera": "a", "max_fps": -1}), "max_fps"),
        ("watch", json!("front"), "watch"),
        ("shown", json!({"camera": "a", "seq": "x"}), "seq"),
    ] {
        let mut viewer = server.viewer().await;
        viewer.emit(event, argument).await;
        let message = viewer.event("refused").await.argument.to_string();
        assert!(
            message.contains(reason) || message.contains("invalid type"),
            "{message}"
        );
        viewer.closed().await;
    }
    // An acknowledgement of something never sent is no harm.
    let mut viewer = server.viewer().await;
    viewer.emit("shown", json!({"camera": "a", "seq": 1})).await;
    viewer.emit("clock", json!({"t0": 1})).await;
    viewer.event("clock").await;
}

#[tokio::test]
async fn a_frame_above_the_bound_ends_its_agent_alone() {
    let server = Server::start(Config::default()).await;
    let mut fat = server.agent("fat").await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.watching("front").await;
    while agent.event("demand").await.argument["viewers"] != 1 {}
    fat.emit_frame(meta(0), jpeg(MAX_FRAME_BYTES + 1)).await;
    let reason = fat.event("refused").await.argument;
    assert!(
        reason["message"].as_str().unwrap().contains("8388608"),
        "{reason}"
    );
    fat.closed().await;
    agent.frame(0).await;
    assert_eq!(viewer.event("frame").await.seq(), 0);
}

#[tokio::test]
async fn the_largest_allowed_frame_passes() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.watching("front").await;
    while agent.event("demand").await.argument["viewers"] != 1 {}
    agent.emit_frame(meta(0), jpeg(MAX_FRAME_BYTES)).await;
    let frame = viewer.event("frame").await;
    assert_eq!(frame.attachment.unwrap().len(), MAX_FRAME_BYTES);
}

#[tokio::test]
async fn a_viewer_that_wants_almost_no_frames_does_no_harm() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut rare = server.viewer().await;
    rare.emit("watch", json!({"camera": "front", "max_fps": 1e-30}))
        .await;
    let mut viewer = server.watching("front").await;
    while agent.event("demand").await.argument["viewers"] != 2 {}
    agent.frame(0).await;
    assert_eq!(rare.event("frame").await.seq(), 0);
    for seq in 0..3 {
        let frame = viewer.event("frame").await;
        assert_eq!(frame.seq(), seq);
        viewer.shown(&frame).await;
        agent.frame(seq + 1).await;
    }
    assert!(rare.stays_without("frame").await);
}
