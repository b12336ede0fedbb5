//! What a relay receives when nothing fails.

use std::time::Duration;

use serde_json::json;

use crate::agent::Agent;
use crate::fake_relay::{FakeRelay, Sent};

const VIDEO: [&str; 3] = ["--source", "test:320x240@30", "--no-detect"];

#[tokio::test]
async fn frames_flow_and_the_agent_introduces_itself() {
    let relay = FakeRelay::start().await;
    let server = relay.server();
    let mut args = VIDEO.to_vec();
    args.extend([
        "--server",
        &server,
        "--name",
        "front",
        "--token",
        "secret",
        "--stream-fps",
        "30",
    ]);
    let mut agent = Agent::start(&args);
    let mut connection = relay.agent().await;
    assert_eq!(
        connection.auth,
        json!({"protocol": 1, "camera": "front", "token": "secret", "adoption": true,
            "version": env!("CARGO_PKG_VERSION")})
    );
    agent.says("Successfully connected to");

    let mut last = None;
    for _ in 0..60 {
        let (meta, jpeg) = connection.frame().await;
        connection.ack(&meta).await;
        assert!(jpeg.starts_with(&[0xFF, 0xD8]) && jpeg.ends_with(&[0xFF, 0xD9]));
        assert_eq!(
            (&meta["width"], &meta["height"]),
            (&json!(320), &json!(240))
        );
        let seq = meta["seq"].as_u64().unwrap();
        assert!(last.is_none_or(|last| last < seq), "{seq} after {last:?}");
        last = Some(seq);
        let sent = meta["sent_us"].as_u64().unwrap();
        assert!(meta["captured_us"].as_u64().unwrap() <= sent);
    }

    let stats = connection.argument("stats").await;
    assert!(stats["rss_mb"].as_f64().unwrap() > 1.0, "{stats}");
    agent.signal("TERM");
    while !matches!(connection.next().await, Sent::Closed) {}
    let (status, said) = agent.wait();
    assert!(status.success(), "{status}: {said}");
    assert!(
        said.contains("elapsed time:") && said.contains("approx. FPS:"),
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");
}

/// The frames' own capture times are the clock, so the result does not depend on how busy the
/// machine is.
#[tokio::test]
async fn the_maximum_frame_rate_is_kept_evenly() {
    let relay = FakeRelay::start().await;
    let server = relay.server();
    let mut args = VIDEO.to_vec();
    args.extend(["--server", &server, "--stream-fps", "10"]);
    let _agent = Agent::start(&args);
    let mut connection = relay.agent().await;
    let mut captured = Vec::new();
    while captured.len() < 31 {
        let (meta, _) = connection.frame().await;
        connection.ack(&meta).await;
        captured.push(meta["captured_us"].as_u64().unwrap());
    }
    let seconds = (captured[30] - captured[0]) as f64 / 1e6;
    assert!(seconds >= 2.85, "30 frames within {seconds} s");
}

#[tokio::test]
async fn without_viewers_the_agent_sends_one_frame_every_three_seconds() {
    let relay = FakeRelay::start().await;
    let server = relay.server();
    let mut args = VIDEO.to_vec();
    args.extend(["--server", &server]);
    let _agent = Agent::start(&args);
    let mut connection = relay.agent().await;
    connection.event("demand", json!({"viewers": 0})).await;
    let (first, _) = connection.frame().await;
    connection.ack(&first).await;
    let mut before = first;
    for _ in 0..2 {
        let (meta, _) = connection.frame().await;
        connection.ack(&meta).await;
        let gap = meta["captured_us"].as_u64().unwrap() - before["captured_us"].as_u64().unwrap();
        // The first gap may be short: the agent sent the frame before it had read the demand.
        assert!(
            gap >= 2_900_000 || before["seq"].as_u64().unwrap() < 5,
            "{gap} us"
        );
        before = meta;
    }
    connection
        .event("demand", json!({"viewers": 2, "max_fps": 5.0}))
        .await;
    let frames = connection.serve(Duration::from_secs(2)).await;
    assert!(
        (3..=12).contains(&frames),
        "{frames} frames in 2 s at 5 fps"
    );
}

#[tokio::test]
async fn the_agent_stops_after_the_given_time() {
    let mut args = VIDEO.to_vec();
    args.extend(["--server", "127.0.0.1:1", "--seconds", "1.5"]);
    let (status, said) = Agent::start(&args).wait();
    assert!(status.success());
    // No frame was sent; the camera's rate is reported all the same.
    let (_, rates) = said.split_once("approx. FPS: ").expect(&said);
    let (captured, sent) = rates.split_once(" captured, ").expect(&said);
    assert!(captured.parse::<f64>().unwrap() > 5.0, "{said}");
    assert!(sent.starts_with("0.00 sent"), "{said}");
}

/// Starts an agent that speaks a wire of the tutorial's with `relay`.
fn tutorial_agent(relay: &FakeRelay, wire: &str, more: &[&str]) -> Agent {
    let server = relay.server();
    let mut args = vec!["--source", "test:1280x720@20", "--no-detect"];
    args.extend(["--wire", wire, "--server", &server]);
    args.extend(more);
    Agent::start(&args)
}

#[tokio::test]
async fn with_the_tutorials_wire_frames_travel_as_data_urls() {
    use base64::Engine as _;
    let relay = FakeRelay::start().await;
    let _agent = tutorial_agent(&relay, "tutorial", &[]);
    let mut connection = relay.tutorial_agent().await;
    for _ in 0..10 {
        let (id, payload) = connection.tutorial_message("").await;
        let data = payload["image"].as_str().unwrap();
        let data = data.strip_prefix("data:image/jpeg;base64,").unwrap();
        let jpeg = base64::engine::general_purpose::STANDARD
            .decode(data)
            .unwrap();
        assert!(jpeg.starts_with(&[0xFF, 0xD8]));
        assert_eq!(payload["text"], "");
        connection.say(&format!("43{id}[]")).await;
    }
}

/// Under protocol 5 the default namespace is one like any other: it has to be asked for.
#[tokio::test]
async fn the_tutorials_default_namespace_is_joined_beside_cv() {
    let relay = FakeRelay::start().await;
    let _agent = tutorial_agent(&relay, "tutorial", &[]);
    let mut connection = relay.tutorial_engine(25_000).await;
    assert_eq!(connection.text().await.unwrap(), "40/cv,");
    connection.say(r#"40/cv,{"sid":"a"}"#).await;
    assert_eq!(connection.text().await.unwrap(), "40");
    connection.say(r#"40{"sid":"b"}"#).await;
    for _ in 0..5 {
        let (id, _) = connection.tutorial_message("").await;
        connection.say(&format!("43{id}[]")).await;
    }
}

#[tokio::test]
async fn a_tutorials_server_without_cv_gets_pictures_too() {
    let relay = FakeRelay::start().await;
    let _agent = tutorial_agent(&relay, "tutorial", &["--token", "secret"]);
    let mut connection = relay.tutorial_engine(25_000).await;
    let asked = connection.text().await.unwrap();
    assert_eq!(asked, r#"40/cv,{"token":"secret"}"#);
    connection
        .say(r#"44/cv,{"message":"Unable to connect"}"#)
        .await;
    let asked = connection.text().await.unwrap();
    assert_eq!(asked, r#"40{"token":"secret"}"#);
    connection.say(r#"40{"sid":"b"}"#).await;
    connection.tutorial_message("").await;
}

#[tokio::test]
async fn a_server_that_handles_cv_can_be_sent_to() {
    let relay = FakeRelay::start().await;
    let _agent = tutorial_agent(&relay, "tutorial-cv", &[]);
    let mut connection = relay.tutorial_agent().await;
    for _ in 0..5 {
        let (id, _) = connection.tutorial_message("/cv,").await;
        connection.say(&format!("43/cv,{id}[]")).await;
    }
}

/// The clip plays at its own rate, while the detector may search only one frame a second.
#[tokio::test]
async fn video_runs_at_full_rate_while_detection_is_slow() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
    let clip = format!("{root}/clip/demo.mjpeg");
    let relay = FakeRelay::start().await;
    let server = relay.server();
    let args = [
        "--stream-fps",
        "60",
        "--detect-fps",
        "1",
        "--engine",
        "tflite",
    ];
    let mut args = args.to_vec();
    args.extend(["--source", &clip, "--models-dir", root, "--server", &server]);
    let _agent = Agent::start(&args);
    let mut connection = relay.agent().await;

    let (mut frames, mut searched) = (Vec::new(), Vec::new());
    let mut stats = serde_json::Value::Null;
    // Both counts cover the same frames, so they compare with the rate of the clip, not with the
    // speed of this machine.
    while frames.len() < 150 || searched.len() < 3 {
        match connection.next().await {
            Sent::Frame(meta, _) => {
                connection.ack(&meta).await;
                frames.push(meta);
            }
            Sent::Event(name, detections) if name == "detections" => searched.push(detections),
            Sent::Event(name, told) if name == "stats" => stats = told,
            Sent::Event(..) => {}
            Sent::Closed => panic!("closed"),
        }
    }
    let number = |value: &serde_json::Value, key: &str| value[key].as_u64().unwrap();
    let first = number(&frames[0], "seq");
    let last = number(&frames[frames.len() - 1], "seq");
    let captured = last - first + 1;
    assert!(
        frames.len() as u64 >= captured * 95 / 100,
        "{} of {captured} captured frames were sent",
        frames.len()
    );
    for pair in searched.windows(2) {
        let gap = number(&pair[1], "captured_us") - number(&pair[0], "captured_us");
        assert!(gap >= 800_000, "searched twice within {gap} us");
    }
    assert!(searched[0]["model"].as_str().unwrap().contains("ssd"));
    assert!(searched[0]["infer_ms"].as_f64().unwrap() > 0.0);
    // The clip begins with a cat.
    assert_eq!(searched[0]["objects"][0]["id"], 0);
    assert!(number(&stats, "objects_found") >= 1, "{stats}");
}
