//! Events and recordings: as agents bring them, and as viewers and programs get them.

use std::sync::Arc;
use std::time::Duration;

use cv_archive::{Archive, Config as Memory, RecordMode};
use cv_protocol::{FIRST_PLAYED_SEQ, Timestamp};
use cv_relay::Config;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Client, PATIENCE, Server, jpeg};

struct Recording {
    server: Server,
    archive: Arc<Archive>,
    _dir: tempfile::TempDir,
}

impl Recording {
    async fn start(record: RecordMode) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let archive = Arc::new(
            Archive::open(Memory {
                record,
                min_free: 0,
                record_fps: Some(25.0),
                ..Memory::new(dir.path())
            })
            .unwrap(),
        );
        let server = Server::start(Config {
            archive: Some(archive.clone()),
            ..Config::default()
        })
        .await;
        Self {
            server,
            archive,
            _dir: dir,
        }
    }

    async fn settle(&self) {
        let archive = self.archive.clone();
        tokio::task::spawn_blocking(move || archive.settle().unwrap())
            .await
            .unwrap();
    }

    async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        ask(&self.server, "GET", path, "").await
    }

    async fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }
}

/// HTTP 1.0, so that an answer of unknown length ends with the connection.
async fn ask(server: &Server, method: &str, path: &str, body: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        server.address,
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("an answer")
        .unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

/// A picture that no other number has.
fn picture(seq: u64) -> bytes::Bytes {
    let mut jpeg = jpeg(1000).to_vec();
    jpeg.extend(seq.to_be_bytes());
    jpeg.into()
}

/// An agent with its own clock on the relay's machine that shows a person crossing, at 20 frames a
/// second, each of them searched. Returns the capture times.
async fn show_a_person(agent: &mut Client, frames: u64) -> Vec<u64> {
    agent.emit("stats", json!({"clock_offset_us": 0})).await;
    let mut times = Vec::new();
    for seq in 0..frames {
        let at = Timestamp::now().0;
        times.push(at);
        let meta = json!({"seq": seq, "captured_us": at, "width": 640, "height": 480});
        agent.emit_frame(meta, picture(seq)).await;
        let x = 0.1 + 0.5 * seq as f64 / frames as f64;
        let objects = json!([{"label": "person", "score": 0.875, "id": 4,
            "box": [0.25, x, 0.75, x + 0.2]}]);
        let found = json!({"seq": seq, "captured_us": at, "model": "ssd", "engine": "LiteRT",
            "accelerator": "XNNPACK", "infer_ms": 12.0, "objects": objects});
        agent.emit("detections", found).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    times
}

#[tokio::test]
async fn without_an_archive_nothing_is_recorded_and_the_answer_says_why() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let demand = agent.event("demand").await;
    assert_eq!(demand.argument["viewers"], 0);
    let (status, body) = ask(&server, "GET", "/api/events", "").await;
    let text = String::from_utf8(body).unwrap();
    assert_eq!(status, 404);
    assert!(text.contains("--archive-dir"), "{text}");
    let (status, _) = ask(&server, "GET", "/api/openapi.json", "").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn an_event_is_told_once_it_is_stored_and_found_kept_and_deleted_over_http() {
    let memory = Recording::start(RecordMode::Events).await;
    let mut viewer = memory.server.viewer().await;
    let mut agent = memory.server.agent("front").await;
    let demand = agent.event("demand").await.argument;
    assert_eq!(
        (&demand["viewers"], &demand["max_fps"]),
        (&json!(1), &json!(25.0)),
        "a recording counts as a viewer"
    );
    let times = show_a_person(&mut agent, 40).await;
    let started = viewer.event("event").await.argument;
    assert_eq!(started["change"], "start");
    let id = started["event"]["id"].as_str().unwrap().to_owned();
    let event = memory.json(&format!("/api/events/{id}")).await;
    assert_eq!(event["start_us"], times[0], "by the relay's clock");
    assert_eq!(event["end_us"], Value::Null);
    assert_eq!(
        (&event["camera"], &event["label"]),
        (&json!("front"), &json!("person"))
    );

    memory.settle().await;
    let list = memory
        .json("/api/events?camera=front&label=person&limit=10")
        .await;
    assert_eq!(list["events"][0]["id"], id.as_str());
    assert_eq!(list["next"], Value::Null);
    for empty in [
        "camera=back",
        "label=dog",
        "zone=lawn",
        "kept=true",
        "to_us=1000",
    ] {
        let list = memory.json(&format!("/api/events?{empty}")).await;
        assert_eq!(list["events"], json!([]), "{empty}");
    }

    let event = memory.json(&format!("/api/events/{id}")).await;
    let (status, snapshot) = memory.get(event["snapshot"].as_str().unwrap()).await;
    assert_eq!(status, 200);
    let best = times.iter().position(|at| event["best_us"] == *at).unwrap();
    assert_eq!(snapshot, picture(best as u64), "byte for byte");

    let (status, clip) = memory.get(event["clip"].as_str().unwrap()).await;
    assert_eq!(status, 200);
    assert_eq!(&clip[..4], [0x1A, 0x45, 0xDF, 0xA3], "EBML");
    let whole = (0..40).filter(|seq| {
        let picture = picture(*seq);
        clip.windows(picture.len()).any(|part| part == picture)
    });
    assert!(whole.count() >= 38);

    let (from, to) = (times[0] - 1_000_000, times[39] + 1_000_000);
    let timeline = memory
        .json(&format!(
            "/api/timeline?camera=front&from_us={from}&to_us={to}&buckets=4"
        ))
        .await;
    let buckets = timeline["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), 4);
    assert_eq!(buckets[1]["events"]["person"], 1);
    assert!(buckets[1]["footage_us"].as_u64().unwrap() > 900_000);

    let path = format!("/api/events/{id}");
    let (status, kept) = ask(&memory.server, "PATCH", &path, r#"{"kept":true}"#).await;
    assert_eq!(status, 200);
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(kept["kept"], true);
    let list = memory.json("/api/events?kept=true").await;
    assert_eq!(list["events"][0]["id"], id.as_str());

    // The agent goes; the event ends after its time.
    drop(agent);
    let (status, _) = ask(&memory.server, "DELETE", &path, "").await;
    assert_eq!(status, 204);
    let (status, text) = memory.get(&path).await;
    assert_eq!(status, 404);
    assert!(String::from_utf8(text).unwrap().contains(&id));
    loop {
        let told = viewer.event("event").await.argument;
        if told["change"] == "delete" {
            assert_eq!(told["event"]["id"], id.as_str());
            break;
        }
    }
}

#[tokio::test]
async fn rules_decide_what_is_recorded_from_then_on() {
    let memory = Recording::start(RecordMode::Events).await;
    let mut agent = memory.server.agent("front").await;
    assert_eq!(agent.event("demand").await.argument["viewers"], 1);
    let path = "/api/cameras/front/rules";
    let rules = memory.json(path).await;
    assert_eq!((&rules["seen"], &rules["of"]), (&json!(3), &json!(5)));
    let (status, text) = ask(&memory.server, "PUT", path, r#"{"seen":9}"#).await;
    assert_eq!(status, 400);
    assert!(String::from_utf8(text).unwrap().contains("seen 9 of 5"));
    let (status, _) = ask(&memory.server, "PUT", path, r#"{"record":"off"}"#).await;
    assert_eq!(status, 200);
    assert_eq!(
        agent.event("demand").await.argument["viewers"],
        0,
        "nobody wants pictures any more"
    );
    let (status, _) = ask(&memory.server, "PUT", path, r#"{"record_fps":4}"#).await;
    assert_eq!(status, 200);
    assert_eq!(agent.event("demand").await.argument["max_fps"], 4.0);
    assert_eq!(memory.json(path).await["record_fps"], 4.0);
}

#[tokio::test]
async fn the_list_and_the_metrics_tell_of_the_recording() {
    let memory = Recording::start(RecordMode::Continuous).await;
    let mut viewer = memory.server.viewer().await;
    let mut agent = memory.server.agent("front").await;
    show_a_person(&mut agent, 30).await;
    loop {
        let list = viewer.event("cameras").await.argument;
        let recording = &list[0]["recording"];
        if recording["on"] == true && recording["events"] == 1 {
            break;
        }
    }
    let (_, text) = memory.get("/metrics").await;
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("cv_archive_events_total{camera=\"front\"} 1"),
        "{text}"
    );
    assert!(text.contains("cv_archive_recording_allowed 1"));
    let status = memory.json("/api/archive").await;
    assert_eq!(status["cameras"][0]["camera"], "front");
    assert_eq!(status.get("fault"), None);
}

#[tokio::test]
async fn the_past_is_played_under_the_same_window_as_the_present() {
    let memory = Recording::start(RecordMode::Continuous).await;
    let mut agent = memory.server.agent("front").await;
    let times = show_a_person(&mut agent, 60).await;
    memory.settle().await;
    let mut viewer = memory.server.watching("front").await;
    viewer.event("frame").await;

    let play = json!({"camera": "front", "from_us": times[10]});
    viewer.emit("play", play).await;
    let first = viewer.event("frame").await;
    assert_eq!(first.seq(), FIRST_PLAYED_SEQ);
    assert_eq!(first.argument["received_us"], times[10]);
    assert_eq!(first.attachment.as_ref(), Some(&picture(10)));
    let boxes = loop {
        let boxes = viewer.event("detections").await.argument;
        if boxes["seq"].as_u64().unwrap() >= FIRST_PLAYED_SEQ {
            break boxes;
        }
    };
    assert_eq!(boxes["seq"], first.seq(), "of this very frame");
    assert_eq!(boxes["captured_us"], times[10]);
    let position = viewer.event("position").await.argument;
    assert_eq!(
        (&position["state"], &position["at_us"]),
        (&json!("playing"), &json!(times[10]))
    );
    // Two places, and nothing was acknowledged.
    let second = viewer.event("frame").await;
    assert!(viewer.stays_without("frame").await);
    viewer.shown(&second).await;
    let third = viewer.event("frame").await;
    assert!(third.seq() > second.seq());
    viewer.shown(&third).await;

    // Dragging along the timeline while paused.
    viewer.emit("pause", json!({"camera": "front"})).await;
    loop {
        if viewer.event("position").await.argument["state"] == "paused" {
            break;
        }
    }
    let mut last = third;
    while let Ok(frame) =
        tokio::time::timeout(Duration::from_millis(300), viewer.event("frame")).await
    {
        viewer.shown(&frame).await;
        last = frame;
    }
    for place in [30, 5, 45] {
        let seek = json!({"camera": "front", "to_us": times[place]});
        viewer.emit("seek", seek).await;
        let frame = viewer.event("frame").await;
        assert!(frame.seq() > last.seq());
        assert_eq!(frame.argument["received_us"], times[place]);
        viewer.shown(&frame).await;
        last = frame;
    }
    for (step, place) in [(1, 46), (-1, 45), (-3, 42), (2, 44)] {
        viewer
            .emit("seek", json!({"camera": "front", "step": step}))
            .await;
        let frame = viewer.event("frame").await;
        assert_eq!(frame.argument["received_us"], times[place], "{step}");
        viewer.shown(&frame).await;
    }

    viewer.emit("live", json!({"camera": "front"})).await;
    let live = loop {
        let frame = viewer.event("frame").await;
        if frame.seq() < FIRST_PLAYED_SEQ {
            break frame;
        }
    };
    assert_eq!(live.attachment.as_ref(), Some(&picture(59)));
}

#[tokio::test]
async fn playing_keeps_the_pace_of_the_recording_and_ends_where_it_ends() {
    let memory = Recording::start(RecordMode::Continuous).await;
    let mut agent = memory.server.agent("front").await;
    let times = show_a_person(&mut agent, 40).await;
    memory.settle().await;
    for (rate, seconds) in [(1.0, 1.95), (4.0, 0.49)] {
        let mut viewer = memory.server.viewer().await;
        let started = std::time::Instant::now();
        viewer
            .emit(
                "play",
                json!({"camera": "front", "from_us": times[0], "rate": rate}),
            )
            .await;
        let (mut frames, mut last) = (0, 0);
        while last != times[39] {
            let frame = viewer.event("frame").await;
            viewer.shown(&frame).await;
            last = frame.argument["received_us"].as_u64().unwrap();
            frames += 1;
        }
        let took = started.elapsed().as_secs_f64();
        assert!((took - seconds).abs() < 0.35, "{took} s at {rate}");
        assert!(frames > 10, "{frames} frames at {rate}");
        loop {
            if viewer.event("position").await.argument["state"] == "end" {
                break;
            }
        }
    }
    let mut viewer = memory.server.viewer().await;
    viewer
        .emit(
            "play",
            json!({"camera": "front", "from_us": times[0], "rate": 100}),
        )
        .await;
    let refused = viewer.event("refused").await.argument;
    assert!(
        refused["message"].as_str().unwrap().contains("0.25 to 16"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_clip_as_mp4_needs_ffmpeg_and_footage_of_any_time_does_not() {
    let memory = Recording::start(RecordMode::Continuous).await;
    let mut agent = memory.server.agent("front").await;
    let times = show_a_person(&mut agent, 20).await;
    memory.settle().await;
    let (from, to) = (times[5], times[9]);
    let path = format!("/api/footage.mkv?camera=front&from_us={from}&to_us={to}");
    let (status, film) = memory.get(&path).await;
    assert_eq!(status, 200);
    assert_eq!(film.windows(7).filter(|w| w == b"V_MJPEG").count(), 1);
    let none = "/api/footage.mkv?camera=front&from_us=1000&to_us=2000";
    assert_eq!(memory.get(none).await.0, 404);
    let (status, frame) = memory
        .get(&format!("/api/frame.jpg?camera=front&at_us={from}"))
        .await;
    assert_eq!((status, frame.as_slice()), (200, &picture(5)[..]));
    let list = memory.json("/api/events").await;
    let id = list["events"][0]["id"].as_str().unwrap();
    let (status, body) = memory.get(&format!("/api/events/{id}/clip.mp4")).await;
    let has_ffmpeg = std::process::Command::new("ffmpeg")
        .arg("-version")
        .output()
        .is_ok();
    if has_ffmpeg {
        assert_eq!(status, 200);
    } else {
        assert_eq!(status, 501);
        assert!(String::from_utf8(body).unwrap().contains("ffmpeg"));
    }
}
