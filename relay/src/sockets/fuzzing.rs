//! What must hold for any messages of agents and viewers, for the fuzz targets.
//!
//! Each function takes one input and panics if a property does not hold; see `docs/fuzzing.md`.
//! Inputs are lines: each is one event as Socket.IO carries it, `["NAME",ARGUMENT]`, and may have
//! an attachment behind a byte 1E.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use cv_protocol::tutorial::{CV2SERVER, LINE_BREAK, MAX_TEXT_BYTES, Payload};
use cv_protocol::{
    AgentAuth, CameraInfo, ClockSet, Detections, EventMessage, FrameMeta, MAX_FRAME_BYTES, Shown,
    Stats, Timestamp, Unwatch, ViewerDetections, ViewerFrameMeta, ViewerStats, WINDOW, Watch,
    check_camera_name, event,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use socketioxide::handler::Value;

use super::agents::{AnyAuth, Cv2Server, parse_auth, take_frame};
use super::argument;
use crate::config::Config;
use crate::hub::{Address, Hub, Message, Outbox, Publisher, Recipient, Viewer};
use crate::tutorial::{self, harmless};

/// An agent: its first line is its auth payload, the others are its events. A viewer watches.
///
/// Viewers can read everything that is passed on to them, and have few frames in flight.
pub fn agent(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let Some(auth) = lines.next().and_then(|line| std::str::from_utf8(line).ok()) else {
        return;
    };
    let _ = parse_auth::<AnyAuth>(auth);
    let Ok(auth) = parse_auth::<AgentAuth>(auth) else {
        return;
    };
    let world = World::new();
    let Ok(publisher) = world.hub.publish(&auth.camera, |_| ()) else {
        return;
    };
    let Some(viewer) = world.viewer() else { return };
    let watch = Watch {
        camera: auth.camera.clone(),
        max_fps: None,
    };
    if viewer.watch(&watch).is_err() {
        panic!("{:?} can be published but not watched", auth.camera);
    }
    for line in lines {
        let Some((name, value)) = message(line) else {
            continue;
        };
        if handle_agent(&publisher, &name, &value).is_err() {
            break;
        }
        if let Some(seq) = world.newest_sent(&auth.camera) {
            let camera = auth.camera.clone();
            viewer.shown(&Shown { camera, seq });
            world.outbox.shown(&auth.camera, seq);
        }
    }
    world.check();
    drop(publisher);
    world.check();
}

fn handle_agent(publisher: &Publisher, name: &str, value: &Value) -> Result<(), String> {
    match name {
        event::FRAME => take_frame(publisher, value).map(drop),
        event::DETECTIONS => argument(value).map(|found: Detections| publisher.detections(found)),
        event::STATS => argument(value).map(|stats: Stats| publisher.stats(stats)),
        _ => Ok(()),
    }
}

/// A viewer's events, and frames of two cameras: a line of `frame` brings the next one of `a`, any
/// other text that of `b`, and an empty line the tutorial's viewing.
///
/// However it behaves, a viewer has few frames in flight and watches few cameras.
pub fn viewer(data: &[u8]) {
    let world = World::new();
    let cameras = ["a", "b"];
    let publishers: Vec<Publisher> = cameras
        .iter()
        .filter_map(|name| world.hub.publish(name, |_| ()).ok())
        .collect();
    let Some(viewer) = world.viewer() else { return };
    for (seq, line) in (0..).zip(data.split(|&byte| byte == b'\n')) {
        if line.is_empty() {
            viewer.follow_as_tutorial(None);
            continue;
        }
        let Some((name, value)) = message(line) else {
            let which = usize::from(line != b"frame");
            if let Some(publisher) = publishers.get(which) {
                let taken = publisher.frame(meta(seq), Bytes::from_static(&[0xFF, 0xD8, 0xFF]));
                assert_eq!(taken, Ok(()));
            }
            continue;
        };
        if handle_viewer(&world, &viewer, &name, &value).is_err() {
            break;
        }
    }
    world.check();
    assert!(world.hub.cameras().len() <= cameras.len());
    drop((viewer, publishers));
    world.check();
    assert_eq!(world.hub.viewers(), 0);
}

fn handle_viewer(world: &World, viewer: &Viewer, name: &str, value: &Value) -> Result<(), String> {
    match name {
        event::WATCH => {
            let watch: Watch = argument(value)?;
            viewer.watch(&watch).map_err(|err| err.to_string())
        }
        event::UNWATCH => {
            let unwatch: Unwatch = argument(value)?;
            viewer.unwatch(&unwatch.camera);
            // A camera that is watched anew begins with an empty window.
            world.outbox.shown(&unwatch.camera, u64::MAX);
            Ok(())
        }
        event::SHOWN => {
            let shown: Shown = argument(value)?;
            world.outbox.shown(&shown.camera, shown.seq);
            viewer.shown(&shown);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A payload of the tutorial's client. The first byte tells whether the rest is the event as it
/// came, or a picture of which one is made, with a text behind a byte 1E.
///
/// A picture survives the way there and back; a text is bounded, and harmless once it is escaped.
pub fn cv2server(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    let (image, text) = if kind == b'[' {
        let Some((name, value)) = message(data) else {
            return;
        };
        let Ok(payload) = argument::<Cv2Server>(&value) else {
            return;
        };
        let _ = name == CV2SERVER;
        (payload.image, payload.text)
    } else {
        let (jpeg, text) = split_once(rest);
        let text = String::from_utf8_lossy(text.unwrap_or_default()).into_owned();
        let payload = Payload::new(jpeg, text);
        if let Ok(picture) = tutorial::decode(&payload.image, &payload.text) {
            assert_eq!(picture.jpeg, jpeg);
        }
        (payload.image, payload.text)
    };
    if let Ok(picture) = tutorial::decode(&image, &text) {
        assert!(picture.jpeg.starts_with(&[0xFF, 0xD8, 0xFF]));
        assert!(picture.jpeg.len() <= MAX_FRAME_BYTES + 2 && text.len() <= MAX_TEXT_BYTES);
    }
    let shown = harmless(&text);
    assert!(shown.len() <= text.len() * 5);
    assert!(!shown.replace(LINE_BREAK, "").contains(['<', '>']));
}

fn split_once(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    match line.iter().position(|&byte| byte == 0x1E) {
        Some(at) => (&line[..at], Some(&line[at + 1..])),
        None => (line, None),
    }
}

/// A line as the Socket.IO library hands it on: its event's name and all of it.
fn message(line: &[u8]) -> Option<(String, Value)> {
    let (text, attachment) = split_once(line);
    let text = std::str::from_utf8(text).ok()?;
    // The library reads the name itself before it calls a handler.
    let list: Vec<&serde_json::value::RawValue> = serde_json::from_str(text).ok()?;
    let name = serde_json::from_str(list.first()?.get()).ok()?;
    let attachments = attachment.map(|bytes| VecDeque::from([Bytes::copy_from_slice(bytes)]));
    Some((name, Value::Str(text.to_owned().into(), attachments)))
}

fn meta(seq: u64) -> FrameMeta {
    FrameMeta {
        seq,
        captured_us: Timestamp(seq),
        sent_us: None,
        width: 640,
        height: 480,
        bytes: None,
        paced: None,
        annotated: false,
    }
}

/// A hub without sockets, and what it has sent.
struct World {
    hub: Arc<Hub>,
    outbox: Arc<Sent>,
}

impl World {
    fn new() -> Self {
        let outbox = Arc::new(Sent::default());
        Self {
            hub: Hub::new(Config::default(), Box::new(outbox.clone())),
            outbox,
        }
    }

    fn viewer(&self) -> Option<Viewer> {
        let room = Cow::Borrowed("viewer");
        self.hub.admit(Address { room, lane: None }.into()).ok()
    }

    fn newest_sent(&self, camera: &str) -> Option<u64> {
        self.outbox
            .with(|frames| frames.get(camera)?.back().copied())
    }

    /// Looks at everything that others than the viewer can see.
    fn check(&self) {
        for info in self.hub.cameras() {
            assert_eq!(check_camera_name(&info.name), Ok(()));
            read_again::<CameraInfo>(&info);
        }
        for line in self.hub.render_metrics().lines() {
            assert!(
                line.starts_with("# ") || line.starts_with("cv_relay_"),
                "{line:?}"
            );
        }
        self.hub.look_around(Instant::now(), true);
    }
}

/// Frames in flight of each camera, as its only viewer knows them.
#[derive(Default)]
struct Sent(Mutex<HashMap<String, VecDeque<u64>>>);

impl Sent {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, VecDeque<u64>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn shown(&self, camera: &str, seq: u64) {
        self.with(|frames| {
            if let Some(frames) = frames.get_mut(camera) {
                frames.retain(|&sent| sent > seq);
            }
        });
    }
}

impl Outbox for Arc<Sent> {
    fn send(&self, recipients: Vec<Recipient>, message: Message<'_>) {
        assert_eq!(recipients.len(), 1);
        match message {
            Message::Frame(frame) => {
                read_again::<ViewerFrameMeta>(&frame.meta);
                let seq = frame.meta.frame.seq;
                self.with(|frames| {
                    let frames = frames.entry(frame.meta.camera.clone()).or_default();
                    if frames.back().is_some_and(|&newest| newest >= seq) {
                        // A new capture, which counts from 0 again.
                        frames.clear();
                    }
                    frames.push_back(seq);
                    assert!(frames.len() <= *WINDOW.end(), "{frames:?} are in flight");
                });
            }
            Message::Detections(found) => read_again::<ViewerDetections>(found),
            Message::Stats(stats) => read_again::<ViewerStats>(stats),
            Message::Text(_) | Message::Tutorial(_) | Message::Position(_) => {}
        }
    }

    fn send_cameras(&self, cameras: &[CameraInfo]) {
        for info in cameras {
            read_again::<CameraInfo>(info);
        }
    }

    fn send_clock_set(&self, set: ClockSet) {
        read_again(&set);
    }

    fn send_event(&self, message: &EventMessage) {
        read_again(message);
    }

    fn disconnect(&self, _recipient: &Recipient, _reason: &str) {}
}

/// What is sent must be readable by the types that it was written with.
fn read_again<T: Serialize + DeserializeOwned>(value: &T) {
    let text = serde_json::to_string(value).unwrap_or_else(|err| panic!("{err}"));
    if let Err(err) = serde_json::from_str::<T>(&text) {
        panic!("viewers cannot read {text}: {err}");
    }
}
