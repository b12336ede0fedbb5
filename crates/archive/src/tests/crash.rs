//! Whatever was shown is there after a power cut at any moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::disk::FaultyDisk;
use super::scene::{Actor, us};
use super::{Bench, found, frame, picture};
use crate::disk::Disk;
use crate::index::Index;
use crate::repair::{check_on, recover_after_crash};
use crate::rules::{RecordMode, Rules};
use crate::segment::Reader;

const BYTES: usize = 300;

fn passer() -> Actor {
    Actor {
        label: "person",
        way: vec![(1.0, -0.05, 0.9), (5.0, 1.05, 0.9)],
        size: (0.3, 0.12),
    }
}

/// Records ten seconds, or until the disk stops; returns how many steps it got.
fn record(bench: &mut Bench, disk: &FaultyDisk) {
    let actor = passer();
    for number in 0..100_u64 {
        let seconds = number as f32 / 10.0;
        bench.frame(frame(number, us(seconds), BYTES));
        let objects = actor
            .box_at(seconds)
            .map(|bounding_box| cv_protocol::Object {
                label: "person".into(),
                score: 0.8,
                bounding_box,
                id: Some(0),
            });
        bench.found(found(number, us(seconds), objects.into_iter().collect()));
        if number % 5 == 4 {
            bench.elapsed += std::time::Duration::from_millis(500);
            bench.flush(us(seconds));
            if disk.has_stopped() {
                return;
            }
        }
    }
    bench.stop();
}

/// Frames by time, and events by id with whether they have ended.
type Shown = (BTreeMap<u64, u64>, BTreeMap<String, bool>);

fn shown(index: &Index, disk: &Arc<dyn Disk>, root: &std::path::Path) -> Shown {
    let mut frames = BTreeMap::new();
    for segment in index.all_segments().unwrap() {
        let named = segment.frames;
        let reader = Reader::open(disk, root, segment).unwrap();
        assert_eq!(reader.records().len() as u64, named);
        for record in reader.records() {
            let stored = reader.frame(record).unwrap();
            assert_eq!(stored.jpeg, picture(record.seq, BYTES), "byte for byte");
            frames.insert(record.at_us.0, record.seq);
        }
    }
    let page = index
        .events(&crate::EventFilter::default(), None, 500)
        .unwrap();
    let events = page
        .events
        .into_iter()
        .map(|event| (event.id, event.end_us.is_some()))
        .collect();
    (frames, events)
}

fn crash_everywhere(record_mode: RecordMode) {
    let rules = Rules {
        record: Some(record_mode),
        ..Rules::default()
    };
    let changes = {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let mut bench = Bench::new(Arc::new(disk.clone()), dir.path(), rules.clone());
        record(&mut bench, &disk);
        disk.changes()
    };
    assert!(changes > 60, "{changes} changes");
    for stop in 0..changes {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let as_disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut bench = Bench::new(as_disk.clone(), dir.path(), rules.clone());
        disk.stop_after(stop);
        record(&mut bench, &disk);
        let before = shown(&bench.index, &as_disk, dir.path());
        let heard: Vec<_> = bench
            .heard
            .iter()
            .map(|(_, event)| event.id.clone())
            .collect();
        drop(bench);
        let mut random = fastrand::Rng::with_seed(stop);
        disk.cut_power(&mut random);

        let mut index = Index::open(dir.path(), true).unwrap();
        recover_after_crash(&disk, dir.path(), &mut index).unwrap();
        let after = shown(&index, &as_disk, dir.path());
        for frame in &before.0 {
            assert_eq!(after.0.get(frame.0), Some(frame.1), "stopped at {stop}");
        }
        for id in before.1.keys().chain(&heard) {
            assert_eq!(
                after.1.get(id),
                Some(&true),
                "stopped at {stop}: {id} has ended"
            );
        }
        drop(index);
        let report = check_on(&disk, dir.path()).unwrap();
        assert_eq!(report.findings, Vec::<String>::new(), "stopped at {stop}");
    }
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_that_was_shown() {
    crash_everywhere(RecordMode::Events);
}

#[test]
fn the_same_while_everything_is_recorded() {
    crash_everywhere(RecordMode::Continuous);
}
