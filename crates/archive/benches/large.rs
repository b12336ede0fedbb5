//! How fast a large archive answers.
//!
//! `cargo bench --profile release -p cv-archive --bench large -- [FRAMES] [EVENTS] [DIR]`: builds an
//! archive of four cameras (2.5 million frames and 100,000 events unless said otherwise) in a folder,
//! best one in memory, kills the process that builds it, and measures.

#![expect(
    clippy::expect_used,
    reason = "a bench that cannot go on says why and ends"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cv_archive::{Archive, Config, EventFilter, Found, Frame, Rules};
use cv_protocol::{Detections, Object, Timestamp};

const CAMERAS: u64 = 4;
const START: u64 = 1_790_000_000_000_000;
const FRAME_US: u64 = 100_000;
const BUILD: &str = "CV_ARCHIVE_BENCH_BUILD";

fn config(dir: &Path) -> Config {
    Config {
        min_free: 0,
        record_fps: None,
        keep_days: 36_500.0,
        keep_bytes: None,
        ..Config::new(dir)
    }
}

/// Fills the archive and never returns.
fn build(dir: &Path, frames: u64, events: u64) {
    let archive = Archive::open(config(dir)).expect("a folder to write to");
    let labels = ["person", "car", "dog", "cat"];
    let rules = Rules::from_json(r#"{"record":"continuous","pre_roll_s":0}"#).expect("rules");
    let recorders: Vec<_> = (0..CAMERAS)
        .map(|number| {
            let camera = format!("camera-{number}");
            archive.set_rules(&camera, rules.clone()).expect("stored");
            archive.recorder(&camera).expect("a thread")
        })
        .collect();
    let per_camera = frames / CAMERAS;
    let every = (per_camera * CAMERAS / events.max(1)).max(12);
    let jpeg = Bytes::from_static(&[0xFF, 0xD8, 0xFF, 0xD9]);
    for seq in 0..per_camera {
        let at = Timestamp(START + seq * FRAME_US);
        for recorder in &recorders {
            recorder.frame(Frame {
                seq,
                captured_us: at,
                at_us: at,
                width: 640,
                height: 480,
                annotated: false,
                jpeg: jpeg.clone(),
            });
            let visit = seq / every;
            let objects = (seq % every < 8).then(|| Object {
                label: labels[(visit % 4) as usize].into(),
                score: 0.8,
                bounding_box: [
                    0.4,
                    0.1 * (visit % 8) as f32,
                    0.6,
                    0.1 + 0.1 * (visit % 8) as f32,
                ],
                id: Some(visit),
            });
            recorder.found(Found {
                at_us: at,
                detections: Detections {
                    seq,
                    captured_us: at,
                    model: String::new(),
                    engine: String::new(),
                    accelerator: String::new(),
                    infer_ms: 1.0,
                    objects: objects.into_iter().collect(),
                },
            });
        }
        // Queues hold some thousands.
        if seq % 1000 == 999 {
            archive.settle().expect("stored");
        }
    }
    archive.settle().expect("stored");
    // Killed while it records.
    std::process::abort();
}

fn time<T>(what: &str, count: u32, mut work: impl FnMut(u32) -> T) {
    let mut all: Vec<_> = (0..count)
        .map(|round| {
            let started = Instant::now();
            std::hint::black_box(work(round));
            started.elapsed()
        })
        .collect();
    all.sort();
    let at = |part: usize| {
        all.get((all.len() - 1) * part / 100)
            .copied()
            .unwrap_or(Duration::ZERO)
    };
    println!("| {what} | {:.2?} | {:.2?} |", at(50), at(95));
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let frames = arguments
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(2_500_000);
    let events = arguments
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(100_000);
    let parent = arguments
        .next()
        .map_or_else(|| "/dev/shm".into(), PathBuf::from);
    if let Some(dir) = std::env::var_os(BUILD) {
        build(Path::new(&dir), frames, events);
        return;
    }
    let dir = parent.join(format!("cv-archive-large-{}", std::process::id()));
    let started = Instant::now();
    let _ = Command::new(std::env::current_exe().expect("this program"))
        .args([frames.to_string(), events.to_string()])
        .env(BUILD, &dir)
        .status();
    println!("built in {:.0?} in {}", started.elapsed(), dir.display());
    println!("| what | median | 95th percentile |");
    println!("| --- | --- | --- |");
    let started = Instant::now();
    let archive = Archive::open(config(&dir)).expect("it opens");
    println!("| opening after the kill | {:.2?} | |", started.elapsed());
    let everything = EventFilter::default();
    time("first page of 50 events", 200, |_| {
        archive.events(&everything, None, 50)
    });
    let rare = EventFilter {
        cameras: vec!["camera-2".into()],
        label: Some("nothing".into()),
        ..EventFilter::default()
    };
    time("first page, a label that is not there", 200, |_| {
        archive.events(&rare, None, 50)
    });
    let from = EventFilter {
        from_us: Some(Timestamp(START + frames / CAMERAS * FRAME_US / 2)),
        cameras: vec!["camera-1".into()],
        ..EventFilter::default()
    };
    time("first page of a camera from half time on", 200, |_| {
        archive.events(&from, None, 50)
    });
    let day = 86_400_000_000;
    time("timeline of 24 hours, 500 parts", 50, |_| {
        archive.timeline("camera-1", Timestamp(START), Timestamp(START + day), 500)
    });
    time("first frame from a random time on", 500, |_| {
        let at = START + fastrand::u64(0..frames / CAMERAS) * FRAME_US;
        archive.play("camera-3", Timestamp(at)).next_frame()
    });
    let count = |cursor: Option<String>| archive.events(&everything, cursor.as_deref(), 500);
    let (mut total, mut cursor) = (0, None);
    while let Ok(page) = count(cursor.take()) {
        total += page.events.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    println!("{total} events");
    drop(archive);
    std::fs::remove_dir_all(&dir).expect("removed");
}
