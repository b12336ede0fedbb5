//! Agents: who may come, in which order frames count, and what the list says.

use bytes::Bytes;
use cv_protocol::Timestamp;
use cv_relay::{Config, Token};
use serde_json::{Value, json};

use crate::client::{Client, Server, jpeg, meta};

async fn refused(server: &Server, namespace: &'static str, auth: Option<Value>) -> String {
    match Client::connect(server.address, namespace, auth).await {
        Ok(_) => panic!("let in"),
        Err(message) => message,
    }
}

#[tokio::test]
async fn a_connection_that_breaks_a_rule_is_told_which() {
    let server = Server::start(Config {
        agent_token: Some(Token::new("a-secret")),
        viewer_token: Some(Token::new("v-secret")),
        ..Config::default()
    })
    .await;
    let auth = |protocol: u32, camera: &str, token: &str| {
        Some(json!({"protocol": protocol, "camera": camera, "token": token}))
    };
    let message = refused(&server, "/cv", auth(1, "front", "wrong")).await;
    assert!(message.contains("token"), "{message}");
    let message = refused(&server, "/cv", None).await;
    assert!(message.contains("token"), "{message}");
    let message = refused(&server, "/cv", auth(9, "front", "a-secret")).await;
    assert!(
        message.contains("protocol 9") && message.contains('1'),
        "{message}"
    );
    let message = refused(&server, "/cv", auth(1, "a/b", "a-secret")).await;
    assert!(message.contains("'/'"), "{message}");
    let message = refused(&server, "/web", None).await;
    assert!(message.contains("token"), "{message}");
    assert!(server.hub.cameras().is_empty());

    let token = Some(json!({"token": "v-secret"}));
    assert!(Client::connect(server.address, "/web", token).await.is_ok());
    let agent = auth(1, "front", "a-secret");
    assert!(Client::connect(server.address, "/cv", agent).await.is_ok());
}

#[tokio::test]
async fn a_newer_connection_takes_the_name_over() {
    let server = Server::start(Config::default()).await;
    let mut old = server.agent("front").await;
    old.frame(5).await;
    old.event("ack").await;
    let mut viewer = server.watching("front").await;
    let shown = viewer.event("frame").await;
    viewer.shown(&shown).await;
    let mut new = server.agent("front").await;
    let reason = old.event("refused").await.argument;
    assert!(
        reason["message"].as_str().unwrap().contains("taken over"),
        "{reason}"
    );
    old.closed().await;
    new.frame(0).await;
    assert_eq!(viewer.event("frame").await.seq(), 0, "numbers start again");
    assert_eq!(server.hub.cameras().len(), 1);
}

#[tokio::test]
async fn late_frames_are_dropped_and_counted_but_a_new_capture_is_not_late() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.watching("front").await;
    while agent.event("demand").await.argument["viewers"] != 1 {}
    let late = meta(3);
    agent.frame(4).await;
    let frame = viewer.event("frame").await;
    viewer.shown(&frame).await;
    agent.emit_frame(late, jpeg(2000)).await;
    assert!(viewer.stays_without("frame").await);
    agent.frame(0).await;
    assert_eq!(viewer.event("frame").await.seq(), 0);
    let metrics = server.hub.render_metrics();
    assert!(metrics.contains(r#"reason="out_of_order"} 1"#), "{metrics}");
}

#[tokio::test]
async fn the_list_follows_agents_and_their_cameras() {
    let server = Server::start(Config::default()).await;
    let mut viewer = server.viewer().await;
    let mut agent = server.agent("front").await;
    let mut until = async |state: &str| loop {
        let list = viewer.event("cameras").await.argument;
        if list[0]["state"] == state {
            return list[0].clone();
        }
    };
    let before = Timestamp::now().0;
    assert_eq!(until("live").await["name"], "front");
    agent
        .emit(
            "stats",
            json!({"camera_fault": "unplugged", "clock_offset_us": 7000}),
        )
        .await;
    let fault = until("fault").await;
    assert_eq!(fault["fault"], "unplugged");
    assert_eq!(fault["clock_offset_us"], 7000);
    agent.emit("stats", json!({})).await;
    assert!(until("live").await["fault"].is_null());
    drop(agent);
    let offline = until("offline").await;
    assert!(offline["since_us"].as_u64().unwrap() >= before);
}

#[tokio::test]
async fn the_clock_is_answered_to_both_sides() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.viewer().await;
    for client in [&mut agent, &mut viewer] {
        let before = Timestamp::now().0;
        client.emit("clock", json!({"t0": 17})).await;
        let answer = client.event("clock").await.argument;
        let after = Timestamp::now().0;
        assert_eq!(answer["t0"], 17);
        for key in ["t1", "t2"] {
            let time = answer[key].as_u64().unwrap();
            assert!((before..=after).contains(&time), "{answer}");
        }
    }
}

#[tokio::test]
async fn what_is_not_a_jpeg_is_dropped_counted_and_harms_nobody() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.watching("front").await;
    while agent.event("demand").await.argument["viewers"] != 1 {}
    agent.emit_frame(meta(0), b"GIF89a".as_slice().into()).await;
    assert_eq!(agent.event("ack").await.seq(), 0, "its place is free again");
    agent.frame(1).await;
    assert_eq!(viewer.event("frame").await.seq(), 1);
    assert!(
        server
            .hub
            .render_metrics()
            .contains(r#"reason="not_jpeg"} 1"#)
    );
}

#[tokio::test]
async fn a_silent_agent_is_taken_for_gone() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.viewer().await;
    let reason = agent.event("refused").await.argument;
    assert!(
        reason["message"]
            .as_str()
            .unwrap()
            .contains("nothing was heard"),
        "{reason}"
    );
    agent.closed().await;
    while viewer.event("cameras").await.argument[0]["state"] != "offline" {}
}

#[tokio::test]
async fn a_frame_in_parts_is_whole_again_and_one_that_ends_early_is_dropped() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.watching("front").await;
    loop {
        let demand = agent.event("demand").await.argument;
        assert_eq!(demand["cut_frames"], true);
        if demand["viewers"] == 1 {
            break;
        }
    }
    let whole = jpeg(9000);
    let promised = |seq: u64| {
        let mut meta = meta(seq);
        meta["bytes"] = whole.len().into();
        meta
    };
    let (start, rest) = (whole.slice(..4000), whole.slice(4000..));
    agent
        .emit_frame_in_parts(promised(0), &[start.clone(), Bytes::new()])
        .await;
    assert_eq!(agent.event("ack").await.seq(), 0);
    agent.emit_frame_in_parts(promised(1), &[start, rest]).await;
    assert_eq!(agent.event("ack").await.seq(), 1);

    let frame = viewer.event("frame").await;
    assert_eq!((frame.seq(), frame.attachment), (1, Some(whole)));
    assert_eq!(frame.argument.get("bytes"), None);
    let metrics = server.hub.render_metrics();
    assert!(
        metrics.contains(r#"frames_dropped_total{camera="front",reason="cut"} 1"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn each_hop_to_the_relay_is_in_the_metrics() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let frame = |seq: u64| {
        let now = Timestamp::now().0;
        let mut meta = meta(seq);
        meta["captured_us"] = (now - 30_000).into();
        meta["sent_us"] = (now - 20_000).into();
        meta
    };
    // While the agent's clock is not known, only its own hop is.
    agent.emit_frame(frame(0), jpeg(2000)).await;
    agent.event("ack").await;
    agent.emit("stats", json!({"clock_offset_us": 0})).await;
    agent.emit_frame(frame(1), jpeg(2000)).await;
    agent.event("ack").await;
    let metrics = server.hub.render_metrics();
    for expected in [
        r#"capture_to_sent_seconds_bucket{camera="front",le="0.005"} 0"#,
        r#"capture_to_sent_seconds_bucket{camera="front",le="0.01"} 2"#,
        r#"capture_to_sent_seconds_sum{camera="front"} 0.02"#,
        r#"sent_to_relay_seconds_bucket{camera="front",le="0.01"} 0"#,
        r#"sent_to_relay_seconds_count{camera="front"} 1"#,
        r#"capture_to_relay_seconds_bucket{camera="front",le="0.02"} 0"#,
        r#"capture_to_relay_seconds_count{camera="front"} 1"#,
    ] {
        assert!(
            metrics.contains(expected),
            "{expected} is not in\n{metrics}"
        );
    }
}
