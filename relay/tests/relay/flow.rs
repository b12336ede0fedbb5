//! Who gets which frame, and when.

use std::time::{Duration, Instant};

use cv_relay::Config;
use serde_json::json;

use crate::client::{Server, detections, jpeg, meta};

#[tokio::test]
async fn a_frame_arrives_byte_for_byte_with_its_camera_and_detections() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.watching("front").await;
    agent.event("demand").await;
    while agent.event("demand").await.argument["viewers"] != 1 {}

    agent.frame(0).await;
    let frame = viewer.event("frame").await;
    assert_eq!(frame.attachment, Some(jpeg(2000)));
    assert_eq!(frame.argument["camera"], "front");
    assert_eq!(frame.argument["width"], 640);
    assert!(frame.argument["received_us"].as_u64() >= frame.argument["captured_us"].as_u64());
    assert_eq!(agent.event("ack").await.seq(), 0);

    agent.emit("detections", detections(0)).await;
    let found = viewer.event("detections").await.argument;
    assert_eq!(found["camera"], "front");
    assert_eq!(found["objects"][0]["label"], "Dog");
    agent.emit("stats", json!({"capture_fps": 30.0})).await;
    let stats = viewer.event("stats").await.argument;
    assert_eq!(
        (&stats["camera"], &stats["capture_fps"]),
        (&json!("front"), &json!(30.0))
    );
}

#[tokio::test]
async fn without_acknowledgements_two_frames_come_and_a_free_place_takes_the_newest() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.watching("front").await;
    while agent.event("demand").await.argument["viewers"] != 1 {}
    for seq in 0..10 {
        agent.frame(seq).await;
        agent.event("ack").await;
    }
    let first = viewer.event("frame").await;
    assert_eq!(first.seq(), 0);
    assert_eq!(viewer.event("frame").await.seq(), 1);
    assert!(viewer.stays_without("frame").await);
    viewer.shown(&first).await;
    assert_eq!(
        viewer.event("frame").await.seq(),
        9,
        "the newest, not the next"
    );
    let metrics = server.hub.render_metrics();
    assert!(
        metrics.contains(r#"frames_dropped_total{camera="front",reason="viewer_busy"} 8"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_viewer_that_lags_gets_the_newest_detections_with_its_next_frame() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.watching("front").await;
    while agent.event("demand").await.argument["viewers"] != 1 {}
    for seq in 0..3 {
        agent.frame(seq).await;
        agent.emit("detections", detections(seq)).await;
        agent.event("ack").await;
    }
    let first = viewer.event("frame").await;
    assert_eq!(viewer.event("detections").await.seq(), 0);
    assert!(viewer.stays_without("detections").await);
    viewer.shown(&first).await;
    assert_eq!(viewer.event("detections").await.seq(), 2);
}

#[tokio::test]
async fn a_viewer_that_reads_nothing_costs_the_others_nothing() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let _stuck = server.watching("front").await;
    let mut viewer = server.watching("front").await;
    while agent.event("demand").await.argument["viewers"] != 2 {}
    for seq in 0..60 {
        // Frames that no socket buffer holds many of.
        agent.emit_frame(meta(seq), jpeg(200_000)).await;
        let frame = viewer.event("frame").await;
        assert_eq!(frame.seq(), seq, "every frame arrives");
        viewer.shown(&frame).await;
        agent.event("ack").await;
    }
}

#[tokio::test]
async fn max_fps_is_kept_evenly_and_told_to_the_agent() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.viewer().await;
    viewer
        .emit("watch", json!({"camera": "front", "max_fps": 10.0}))
        .await;
    loop {
        let demand = agent.event("demand").await.argument;
        if demand["viewers"] == 1 {
            assert_eq!(demand["max_fps"], 10.0);
            break;
        }
    }
    let sending = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        for seq in 0..100 {
            tick.tick().await;
            agent.frame(seq).await;
        }
        agent
    });
    let started = Instant::now();
    let mut seqs = Vec::new();
    while started.elapsed() < Duration::from_millis(1900) {
        let frame = viewer.event("frame").await;
        viewer.shown(&frame).await;
        seqs.push(frame.seq());
        if seqs.len() > 30 {
            break;
        }
        if frame.seq() >= 90 {
            break;
        }
    }
    let _agent = sending.await.unwrap();
    assert!((17..=21).contains(&seqs.len()), "{seqs:?}");
    // Numbers tell time here, however late messages are on a busy machine: every fifth frame.
    let steps: Vec<_> = seqs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let uneven = steps.iter().filter(|step| !(3..=7).contains(*step)).count();
    assert!(uneven <= 2, "{steps:?}");
}

#[tokio::test]
async fn max_fps_of_zero_brings_detections_without_pictures() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.viewer().await;
    viewer
        .emit("watch", json!({"camera": "front", "max_fps": 0}))
        .await;
    agent.emit("detections", detections(7)).await;
    assert_eq!(viewer.event("detections").await.seq(), 7);
    agent.frame(0).await;
    agent.event("ack").await;
    assert!(viewer.stays_without("frame").await);
    assert_eq!(agent.event("demand").await.argument["viewers"], 0);
}

#[tokio::test]
async fn two_cameras_watched_by_one_viewer_both_arrive() {
    let server = Server::start(Config::default()).await;
    let mut left = server.agent("left").await;
    let mut right = server.agent("right").await;
    let mut viewer = server.watching("left").await;
    viewer.emit("watch", json!({"camera": "right"})).await;
    while left.event("demand").await.argument["viewers"] != 1 {}
    while right.event("demand").await.argument["viewers"] != 1 {}
    let mut counts = [0; 2];
    for seq in 0..50 {
        left.frame(seq).await;
        right.frame(seq).await;
        for _ in 0..2 {
            let frame = viewer.event("frame").await;
            viewer.shown(&frame).await;
            counts[usize::from(frame.argument["camera"] == "right")] += 1;
        }
    }
    assert_eq!(counts, [50, 50]);
}

#[tokio::test]
async fn a_camera_may_be_watched_before_it_comes_and_left_again() {
    let server = Server::start(Config::default()).await;
    let mut viewer = server.watching("later").await;
    let mut agent = server.agent("later").await;
    while agent.event("demand").await.argument["viewers"] != 1 {}
    agent.frame(0).await;
    let frame = viewer.event("frame").await;
    viewer.shown(&frame).await;
    viewer.emit("unwatch", json!({"camera": "later"})).await;
    while agent.event("demand").await.argument["viewers"] != 0 {}
    agent.frame(1).await;
    assert!(viewer.stays_without("frame").await);
}

#[tokio::test]
async fn a_late_viewer_gets_the_newest_frame_and_detections_at_once() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    agent.frame(0).await;
    agent.frame(1).await;
    agent.emit("detections", detections(1)).await;
    agent.event("ack").await;
    agent.event("ack").await;
    while !server
        .hub
        .render_metrics()
        .contains("detections_in_total{camera=\"front\"} 1")
    {
        tokio::task::yield_now().await;
    }
    let mut viewer = server.watching("front").await;
    assert_eq!(viewer.event("frame").await.seq(), 1);
    assert_eq!(viewer.event("detections").await.seq(), 1);
}

#[tokio::test]
async fn nothing_acknowledged_for_ten_seconds_ends_the_connection() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut stalled = server.watching("front").await;
    while agent.event("demand").await.argument["viewers"] != 1 {}
    let started = Instant::now();
    let sending = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        for seq in 0.. {
            tick.tick().await;
            agent.frame(seq).await;
        }
    });
    let reason = stalled.event("refused").await.argument;
    assert!(
        reason["message"].as_str().unwrap().contains("acknowledged"),
        "{reason}"
    );
    stalled.closed().await;
    assert!(started.elapsed() >= Duration::from_secs(9));
    sending.abort();
}

#[tokio::test]
async fn a_stop_ends_every_connection() {
    let mut server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.watching("front").await;
    server.stop();
    agent.closed().await;
    viewer.closed().await;
    server.ended.await.unwrap().unwrap();
}
