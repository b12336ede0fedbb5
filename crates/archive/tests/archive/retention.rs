//! What has to go, goes; what is kept, stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cv_archive::{Archive, Clock, Config, EventFilter, RealDisk, SystemClock};
use cv_protocol::Timestamp;

use super::common::{START, bring, config, everything};

/// The time is what the test says.
struct MadeUp {
    now: AtomicU64,
    steady: SystemClock,
    /// Added to the steady clock, so that time may pass without a jump.
    passed: AtomicU64,
}

impl MadeUp {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            now: AtomicU64::new(START),
            steady: SystemClock::default(),
            passed: AtomicU64::new(0),
        })
    }

    fn pass(&self, time: Duration) {
        let us = time.as_micros() as u64;
        self.passed.fetch_add(us, Ordering::Relaxed);
        self.now.fetch_add(us, Ordering::Relaxed);
    }
}

impl Clock for MadeUp {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        self.steady.elapsed() + Duration::from_micros(self.passed.load(Ordering::Relaxed))
    }
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(40);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn footage(archive: &Archive, camera: &str) -> Vec<u64> {
    let mut playback = archive.play(camera, Timestamp(0));
    let mut seen = Vec::new();
    while let Some(record) = playback.peek().unwrap() {
        playback.skip();
        seen.push(record.at_us.0);
    }
    seen
}

fn files(dir: &std::path::Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        count += if path.is_dir() { files(&path) } else { 1 };
    }
    count
}

const MINUTE_US: u64 = 60_000_000;

#[test]
fn old_footage_goes_and_kept_events_stay_with_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let clock = MadeUp::new();
    let config = Config {
        keep_days: 1.0,
        ..config(dir.path())
    };
    let archive = Archive::open_with(config, Arc::new(RealDisk), clock.clone()).unwrap();
    archive.set_rules("front", everything()).unwrap();
    let recorder = archive.recorder("front").unwrap();
    // Two stays of a person, ten minutes apart.
    for (visit, id) in [(0, 1), (10, 2)] {
        let start = START + visit * MINUTE_US;
        bring(&recorder, start, 100, 500, Some(id));
        bring(&recorder, start + 10_000_000, 600, 500, None);
        archive.settle().unwrap();
    }
    let events = archive
        .events(&EventFilter::default(), None, 10)
        .unwrap()
        .events;
    assert_eq!(events.len(), 2);
    let kept = &events[1];
    archive.keep(&kept.id, true).unwrap();
    // Footage from now, so that the camera still records.
    clock.pass(Duration::from_secs(25 * 3600));
    bring(&recorder, clock.now().0, 50, 500, None);
    archive.settle().unwrap();
    wait_for("the other event to go", || {
        archive
            .events(&EventFilter::default(), None, 10)
            .unwrap()
            .events
            .len()
            == 1
    });
    wait_for("old footage to go", || {
        let left = footage(&archive, "front");
        !left
            .iter()
            .any(|at| (START + 5 * MINUTE_US..START + 30 * MINUTE_US).contains(at))
    });
    let kept = archive.event(&kept.id).unwrap();
    assert!(kept.kept && archive.snapshot(&kept.id).unwrap().is_some());
    let left = footage(&archive, "front");
    let (from, to) = archive.event_footage(&kept.id).unwrap();
    let of_it = left
        .iter()
        .filter(|at| (from.0..=to.0).contains(*at))
        .count();
    assert!(of_it >= 145, "{of_it} frames of the kept event");
    wait_for("the count of what was removed", || {
        archive.status().removed_bytes["age"] > 0
    });
    drop(archive);
    let report = cv_archive::check(dir.path()).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
}

#[test]
fn a_clock_that_jumps_ahead_removes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let clock = MadeUp::new();
    let config = Config {
        keep_days: 1.0,
        ..config(dir.path())
    };
    let archive = Archive::open_with(config, Arc::new(RealDisk), clock.clone()).unwrap();
    archive.set_rules("front", everything()).unwrap();
    let recorder = archive.recorder("front").unwrap();
    bring(&recorder, START, 100, 500, None);
    archive.settle().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    clock.now.fetch_add(14 * 86_400_000_000, Ordering::Relaxed);
    // More than a whole round of retention.
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(footage(&archive, "front").len(), 100);
}

#[test]
fn a_camera_keeps_to_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(Config {
        keep_bytes: Some(3_000_000),
        ..config(dir.path())
    })
    .unwrap();
    for camera in ["front", "back"] {
        archive.set_rules(camera, everything()).unwrap();
    }
    let (front, back) = (
        archive.recorder("front").unwrap(),
        archive.recorder("back").unwrap(),
    );
    bring(&back, START, 100, 2000, None);
    // Ten segments of 1.2 MB.
    for minute in 0..10 {
        bring(&front, START + minute * MINUTE_US, 590, 2000, None);
        archive.settle().unwrap();
    }
    wait_for("bytes to be few enough", || {
        archive.status().removed_bytes["bytes"] >= 8_000_000
    });
    let left = footage(&archive, "front");
    assert!((1000..=1600).contains(&left.len()), "{} frames", left.len());
    // The newest, of this camera; the other one's are all there.
    assert_eq!(*left.last().unwrap(), START + 9 * MINUTE_US + 58_900_000);
    assert_eq!(footage(&archive, "back").len(), 100);
    assert!(files(dir.path()) < 20);
}

#[test]
fn deleting_an_event_removes_what_was_recorded_for_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(config(dir.path())).unwrap();
    let recorder = archive.recorder("front").unwrap();
    for visit in [0, 5] {
        let start = START + visit * MINUTE_US;
        bring(&recorder, start, 100, 500, Some(visit));
        bring(&recorder, start + 10_000_000, 200, 500, None);
        archive.settle().unwrap();
    }
    let events = archive
        .events(&EventFilter::default(), None, 10)
        .unwrap()
        .events;
    assert_eq!(events.len(), 2);
    let (from, to) = archive.event_footage(&events[0].id).unwrap();
    let (gone_from, gone_to) = archive.event_footage(&events[1].id).unwrap();
    archive.delete(&events[1].id).unwrap();
    let left = footage(&archive, "front");
    assert!(
        left.iter()
            .all(|at| !(gone_from.0..=gone_to.0).contains(at))
    );
    assert!(
        left.iter()
            .filter(|at| (from.0..=to.0).contains(*at))
            .count()
            >= 145
    );
    assert!(archive.event(&events[1].id).is_err());
    assert!(
        archive.delete(&events[1].id).is_err(),
        "it is not there any more"
    );
    drop(archive);
    let report = cv_archive::check(dir.path()).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
}
