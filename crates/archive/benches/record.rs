//! What recording costs, beside a plain write of the same bytes.
//!
//! `cargo bench --profile release -p cv-archive --bench record -- [SECONDS] [DIR]`: four cameras with
//! 30 frames of 40 kB a second, in real time. Processor time is that of the whole process, memory
//! what the run adds to it.

#![expect(
    clippy::expect_used,
    reason = "a bench that cannot go on says why and ends"
)]

use std::fs;
use std::io::{IoSlice, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cv_archive::{Archive, Config, Found, Frame, Rules};
use cv_protocol::{Detections, Timestamp};

const CAMERAS: usize = 4;
const FPS: u64 = 30;
const BYTES: usize = 40_000;
const FLUSH_EVERY: u64 = FPS / 2;

/// Processor time of this process, in clock ticks of 10 ms.
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux has /proc");
    let ticks: u64 = stat
        .rsplit(')')
        .next()
        .expect("it has a name")
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("a number"))
        .sum();
    Duration::from_millis(ticks * 10)
}

fn resident_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("VmRSS");
    let kb: f64 = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number");
    kb / 1000.0
}

/// Calls `each` for every frame of every camera, in real time; returns what it cost per frame, and
/// the memory at the end.
fn run(seconds: u64, mut each: impl FnMut(usize, u64, Bytes)) -> (f64, f64) {
    let mut picture = vec![0xFF, 0xD8, 0xFF, 0xE0];
    picture.extend(std::iter::repeat_with(|| fastrand::u8(..)).take(BYTES - 4));
    let before = processor_time();
    let started = Instant::now();
    for seq in 0..seconds * FPS {
        let due = Duration::from_micros(seq * 1_000_000 / FPS);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        for camera in 0..CAMERAS {
            // A frame of its own each time, as from the network.
            each(camera, seq, Bytes::copy_from_slice(&picture));
        }
    }
    let spent = processor_time().saturating_sub(before);
    let frames = (seconds * FPS) as f64 * CAMERAS as f64;
    (spent.as_secs_f64() * 1e6 / frames, resident_mb())
}

fn frame(seq: u64, jpeg: Bytes) -> Frame {
    let now = Timestamp::now();
    Frame {
        seq,
        captured_us: now,
        at_us: now,
        width: 640,
        height: 480,
        annotated: false,
        jpeg,
    }
}

fn recorded(seconds: u64, dir: &Path, mode: &str) -> (f64, f64) {
    let archive = Archive::open(Config {
        min_free: 0,
        record_fps: None,
        ..Config::new(dir)
    })
    .expect("a folder to write to");
    let recorders: Vec<_> = (0..CAMERAS)
        .map(|number| {
            let camera = format!("camera-{number}");
            let rules = Rules::from_json(&format!(r#"{{"record":"{mode}"}}"#)).expect("rules");
            archive.set_rules(&camera, rules).expect("stored");
            archive.recorder(&camera).expect("a thread")
        })
        .collect();
    let result = run(seconds, |camera, seq, jpeg| {
        if let Some(recorder) = recorders.get(camera) {
            let frame = frame(seq, jpeg);
            let at_us = frame.at_us;
            recorder.frame(frame);
            // Five searches a second.
            if seq % 6 == 0 {
                recorder.found(Found {
                    at_us,
                    detections: Detections {
                        seq,
                        captured_us: at_us,
                        model: "SSD".into(),
                        engine: "LiteRT".into(),
                        accelerator: "XNNPACK (2 threads)".into(),
                        infer_ms: 10.0,
                        objects: Vec::new(),
                    },
                });
            }
        }
    });
    for camera in archive.status().cameras {
        assert!(camera.dropped.values().all(|n| *n == 0), "{camera:?}");
    }
    result
}

/// The floor: the same bytes, appended and synced as often, and nothing else.
fn plain(seconds: u64, dir: &Path) -> (f64, f64) {
    let mut files: Vec<_> = (0..CAMERAS)
        .map(|number| fs::File::create(dir.join(format!("plain-{number}"))).expect("a file"))
        .collect();
    let mut waiting: Vec<Vec<Bytes>> = vec![Vec::new(); CAMERAS];
    run(seconds, |camera, seq, jpeg| {
        let (Some(file), Some(waiting)) = (files.get_mut(camera), waiting.get_mut(camera)) else {
            return;
        };
        waiting.push(jpeg);
        if seq % FLUSH_EVERY == FLUSH_EVERY - 1 {
            let mut slices: Vec<_> = waiting.iter().map(|part| IoSlice::new(part)).collect();
            let mut left = slices.as_mut_slice();
            while !left.is_empty() {
                let written = file.write_vectored(left).expect("room");
                IoSlice::advance_slices(&mut left, written);
            }
            file.sync_data().expect("synced");
            waiting.clear();
        }
    })
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let seconds = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(10);
    let parent = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = parent.join(format!("cv-archive-bench-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a folder to write to");
    println!("{CAMERAS} cameras, {FPS} frames of {BYTES} bytes a second each, {seconds} s");
    println!("| what | processor time per frame | resident memory |");
    println!("| --- | --- | --- |");
    let row = |what: &str, (us, mb): (f64, f64)| println!("| {what} | {us:.1} us | {mb:.1} MB |");
    row(
        "nothing (frames made and dropped)",
        run(seconds, |_, _, jpeg| drop(jpeg)),
    );
    row("plain write and fdatasync", plain(seconds, &dir));
    row(
        "archive, continuous",
        recorded(seconds, &dir.join("continuous"), "continuous"),
    );
    row(
        "archive, events (none happens)",
        recorded(seconds, &dir.join("events"), "events"),
    );
    fs::remove_dir_all(&dir).expect("removed");
}
