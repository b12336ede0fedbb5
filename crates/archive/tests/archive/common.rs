//! Cameras made up for the tests.

use bytes::Bytes;
use cv_archive::{Archive, Config, Found, Frame, Recorder, Rules};
use cv_protocol::{Detections, Object, Timestamp};

/// 2126-07-24 21:00:00 UTC.
///
/// It lies far in the future: the archive here has the machine's clock, by which a camera that has
/// not been heard of for long has no running events.
pub const START: u64 = 4_940_600_400_000_000;

/// Something that begins and ends like a JPEG; no two numbers have the same.
pub fn picture(seq: u64, bytes: usize) -> Bytes {
    let mut content = vec![0xFF, 0xD8, 0xFF, 0xE0];
    let mut random = fastrand::Rng::with_seed(seq);
    content.extend(std::iter::repeat_with(|| random.u8(..)).take(bytes));
    content.extend([0xFF, 0xD9]);
    content.into()
}

pub fn frame(seq: u64, at_us: u64, jpeg: Bytes) -> Frame {
    Frame {
        seq,
        captured_us: Timestamp(at_us),
        at_us: Timestamp(at_us),
        width: 640,
        height: 480,
        annotated: false,
        jpeg,
    }
}

pub fn person(id: u64, x: f32) -> Object {
    Object {
        label: "person".into(),
        score: 0.8,
        bounding_box: [0.4, x, 0.8, x + 0.1],
        id: Some(id),
    }
}

pub fn found(seq: u64, at_us: u64, objects: Vec<Object>) -> Found {
    Found {
        at_us: Timestamp(at_us),
        detections: Detections {
            seq,
            captured_us: Timestamp(at_us),
            model: "SSD".into(),
            engine: "LiteRT".into(),
            accelerator: "CPU".into(),
            infer_ms: 10.0,
            objects,
        },
    }
}

/// Settings without a floor, so that tests run on any disk.
pub fn config(dir: &std::path::Path) -> Config {
    Config {
        min_free: 0,
        keep_days: 36_500.0,
        record_fps: None,
        ..Config::new(dir)
    }
}

/// Rules under which everything is recorded.
pub fn everything() -> Rules {
    Rules::from_json(r#"{"record":"continuous"}"#).unwrap()
}

/// Brings `count` frames, ten a second, from `start_us` on; a person is there in all of them if
/// `id` is given.
pub fn bring(recorder: &Recorder, start_us: u64, count: u64, bytes: usize, id: Option<u64>) {
    for seq in 0..count {
        let at = start_us + seq * 100_000;
        recorder.frame(frame(seq, at, picture(seq, bytes)));
        let there = id.map(|id| person(id, 0.2 + 0.5 * (seq as f32 / count as f32)));
        recorder.found(found(seq, at, there.into_iter().collect()));
    }
}

/// Numbers of all frames of a camera, read and compared with what was brought.
pub fn stored(archive: &Archive, camera: &str, bytes: usize) -> Vec<(u64, u64)> {
    let mut playback = archive.play(camera, Timestamp(0));
    let mut all = Vec::new();
    while let Some(frame) = playback.next_frame().unwrap() {
        assert_eq!(frame.jpeg, picture(frame.record.seq, bytes));
        all.push((frame.record.at_us.0, frame.record.seq));
    }
    all
}
