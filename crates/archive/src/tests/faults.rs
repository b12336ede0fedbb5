//! A disk that is full, read-only or broken stops recording, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use super::disk::{Fault, FaultyDisk};
use super::scene::us;
use super::{Bench, frame};
use crate::disk::Disk;
use crate::repair::check_on;
use crate::rules::{RecordMode, Rules};
use crate::segment::Reader;

#[test]
fn recording_stops_with_a_reason_and_resumes_by_itself() {
    for (fault, reason) in [
        (Fault::Full, "no storage space"),
        (Fault::ReadOnly, "read-only"),
        (Fault::Broken, "input/output"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let as_disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let rules = Rules {
            record: Some(RecordMode::Continuous),
            ..Rules::default()
        };
        let mut bench = Bench::new(as_disk.clone(), dir.path(), rules);
        let mut told = String::new();
        for number in 0..300_u64 {
            let seconds = number as f32 / 10.0;
            match number {
                100 => disk.set_fault(Some(fault)),
                200 => disk.set_fault(None),
                _ => {}
            }
            bench.frame(frame(number, us(seconds), 200));
            bench.elapsed += Duration::from_millis(100);
            if number % 5 == 4 {
                bench.flush(us(seconds));
            }
            if number == 150 {
                told = bench.counters.fault().unwrap();
            }
        }
        bench.stop();
        assert!(told.to_lowercase().contains(reason), "{told}");
        assert_eq!(bench.counters.fault(), None);

        let mut seqs = Vec::new();
        for segment in bench.index.all_segments().unwrap() {
            let reader = Reader::open(&as_disk, dir.path(), segment).unwrap();
            for record in reader.records() {
                reader.frame(record).unwrap();
                seqs.push(record.seq);
            }
        }
        let lost: Vec<_> = (0..300).filter(|n| !seqs.contains(n)).collect();
        // From the last flush before the fault to the next attempt after it.
        let (first, last) = (*lost.first().unwrap(), *lost.last().unwrap());
        assert!(
            (95..=100).contains(&first) && last <= 212,
            "{fault:?}: {lost:?}"
        );
        assert_eq!(
            bench.counters.not_stored.get(),
            lost.len() as u64,
            "every frame that was not stored is counted"
        );
        assert_eq!(bench.counters.frames.get(), 300 - lost.len() as u64);
        assert_eq!(bench.index.unsealed().unwrap(), []);
        drop(bench);
        let findings = check_on(&disk, dir.path()).unwrap().findings;
        assert_eq!(findings, Vec::<String>::new(), "{fault:?}");
    }
}

#[test]
fn a_shut_gate_stops_writing_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let rules = Rules {
        record: Some(RecordMode::Continuous),
        ..Rules::default()
    };
    let mut bench = Bench::new(Arc::new(disk.clone()), dir.path(), rules);
    let gate = bench.gate.clone();
    let mut changes = 0;
    for number in 0..100_u64 {
        if number == 50 {
            gate.set("the test", Some("it is full".into()));
        }
        if number == 55 {
            changes = disk.changes();
        }
        bench.frame(frame(number, us(number as f32 / 10.0), 200));
        if number % 5 == 4 {
            bench.flush(us(number as f32 / 10.0));
        }
    }
    assert_eq!(disk.changes(), changes);
    assert_eq!(gate.reason().as_deref(), Some("it is full"));
    gate.set("the test", None);
    bench.frame(frame(100, us(10.0), 200));
    bench.flush(us(10.0));
    assert!(disk.changes() > changes);
}
