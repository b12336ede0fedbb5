//! What is asked of an archive.

use cv_archive::{Archive, ArchiveError, EventFilter, repair};
use cv_protocol::Timestamp;

use super::common::{START, bring, config, everything, found, frame, person, picture, stored};

fn with_three_visits(dir: &std::path::Path) -> Archive {
    let archive = Archive::open(config(dir)).unwrap();
    for (camera, label_id, minute) in [("front", 1, 0), ("back", 2, 2), ("front", 3, 4)] {
        let recorder = archive.recorder(camera).unwrap();
        let start = START + minute * 60_000_000;
        bring(&recorder, start, 60, 300, Some(label_id));
        bring(&recorder, start + 6_000_000, 150, 300, None);
        archive.settle().unwrap();
    }
    archive
}

#[test]
fn events_come_newest_first_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let archive = with_three_visits(dir.path());
    let all = archive.events(&EventFilter::default(), None, 10).unwrap();
    assert_eq!(all.next, None);
    let cameras: Vec<_> = all.events.iter().map(|e| e.camera.as_str()).collect();
    assert_eq!(cameras, ["front", "back", "front"]);
    assert!(
        all.events
            .windows(2)
            .all(|pair| pair[0].start_us > pair[1].start_us)
    );

    let first = archive.events(&EventFilter::default(), None, 2).unwrap();
    let next = first.next.unwrap();
    let second = archive
        .events(&EventFilter::default(), Some(&next), 2)
        .unwrap();
    assert_eq!([first.events, second.events].concat(), all.events);
    assert_eq!(second.next, None);

    let count = |filter: EventFilter| archive.events(&filter, None, 10).unwrap().events.len();
    let front = EventFilter {
        cameras: vec!["front".into()],
        ..EventFilter::default()
    };
    assert_eq!(count(front.clone()), 2);
    let label = |label: &str| EventFilter {
        label: Some(label.into()),
        ..front.clone()
    };
    assert_eq!((count(label("person")), count(label("cat"))), (2, 0));
    let from = |minute: u64| EventFilter {
        from_us: Some(Timestamp(START + minute * 60_000_000)),
        ..EventFilter::default()
    };
    assert_eq!((count(from(1)), count(from(3)), count(from(9))), (2, 1, 0));
    let to = EventFilter {
        to_us: Some(Timestamp(START + 60_000_000)),
        ..EventFilter::default()
    };
    assert_eq!(count(to), 1);
    archive.keep(&all.events[1].id, true).unwrap();
    let kept = EventFilter {
        kept: Some(true),
        ..EventFilter::default()
    };
    assert_eq!(count(kept), 1);
    let bad = archive.events(&EventFilter::default(), Some("'; DROP"), 2);
    assert!(matches!(bad, Err(ArchiveError::Cursor(_))));
}

#[test]
fn the_timeline_says_where_footage_and_events_are() {
    let dir = tempfile::tempdir().unwrap();
    let archive = with_three_visits(dir.path());
    let (from, to) = (Timestamp(START), Timestamp(START + 300_000_000));
    let buckets = archive.timeline("front", from, to, 5).unwrap();
    let events: Vec<_> = buckets
        .iter()
        .map(|bucket| bucket.events.get("person").copied().unwrap_or(0))
        .collect();
    assert_eq!(events, [1, 0, 0, 0, 1]);
    // Six seconds of stay and five after it; before it there was nothing.
    let seconds: Vec<_> = buckets.iter().map(|b| b.footage_us / 1_000_000).collect();
    assert!((10..=11).contains(&seconds[0]), "{seconds:?}");
    assert_eq!(seconds[1..4], [0, 0, 0]);
}

#[test]
fn playback_goes_from_segment_to_segment_and_finds_the_boxes() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(config(dir.path())).unwrap();
    archive.set_rules("front", everything()).unwrap();
    let recorder = archive.recorder("front").unwrap();
    bring(&recorder, START, 1500, 100, Some(1));
    archive.settle().unwrap();
    let all = stored(&archive, "front", 100);
    let seqs: Vec<_> = all.iter().map(|(_, seq)| *seq).collect();
    assert_eq!(seqs, (0..1500).collect::<Vec<_>>());

    let mut playback = archive.play("front", Timestamp(START + 61_050_000));
    assert_eq!(playback.next_frame().unwrap().unwrap().record.seq, 611);
    playback.seek(Timestamp(START + 10_000_000));
    assert_eq!(playback.next_frame().unwrap().unwrap().record.seq, 100);
    let before = playback
        .record_before(Timestamp(START + 60_000_000))
        .unwrap();
    assert_eq!(before.unwrap().seq, 599);
    assert!(playback.record_before(Timestamp(START)).unwrap().is_none());
    let found = playback
        .found(Timestamp(START + 59_900_000), Timestamp(START + 60_100_000))
        .unwrap();
    let seqs: Vec<_> = found.iter().map(|found| found.detections.seq).collect();
    assert_eq!(seqs, [599, 600, 601]);

    // What is stored later is found by the same playback.
    playback.seek(Timestamp(START + 149_900_000));
    assert_eq!(playback.next_frame().unwrap().unwrap().record.seq, 1499);
    assert!(playback.next_frame().unwrap().is_none());
    recorder.frame(frame(1500, START + 150_000_000, picture(1500, 100)));
    archive.settle().unwrap();
    assert_eq!(playback.next_frame().unwrap().unwrap().record.seq, 1500);
}

#[test]
fn an_index_that_is_lost_is_built_anew_from_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let archive = with_three_visits(dir.path());
    let before = archive
        .events(&EventFilter::default(), None, 10)
        .unwrap()
        .events;
    archive.keep(&before[0].id, true).unwrap();
    let before = archive
        .events(&EventFilter::default(), None, 10)
        .unwrap()
        .events;
    let frames = stored(&archive, "front", 300);
    drop(archive);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(dir.path().join(format!("index.sqlite{ending}")));
    }
    std::fs::write(dir.path().join("index.sqlite"), "not a database at all").unwrap();
    assert!(Archive::open(config(dir.path())).is_err());
    let report = repair(dir.path()).unwrap();
    assert!(report.findings[0].contains("built anew"), "{report:?}");
    assert!(dir.path().join("index.sqlite.damaged-1").exists());

    let archive = Archive::open(config(dir.path())).unwrap();
    let after = archive
        .events(&EventFilter::default(), None, 10)
        .unwrap()
        .events;
    assert_eq!(after, before);
    assert_eq!(stored(&archive, "front", 300), frames);
    drop(archive);
    assert!(cv_archive::check(dir.path()).unwrap().findings.is_empty());
}

#[test]
fn only_one_process_writes_and_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(config(dir.path())).unwrap();
    let second = Archive::open(config(dir.path()));
    assert!(matches!(second, Err(ArchiveError::InUse { .. })));
    drop(archive);
    Archive::open(config(dir.path())).unwrap();
}

#[test]
fn damage_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_three_visits(dir.path()));
    let hour = dir.path().join("front/2126-07-24/21");
    let segment = std::fs::read_dir(&hour)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "mjpeg"))
        .unwrap();
    let mut content = std::fs::read(&segment).unwrap();
    content[1000] ^= 1;
    std::fs::write(&segment, content).unwrap();
    let findings = cv_archive::check(dir.path()).unwrap().findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains("frame 3 is damaged"), "{findings:?}");
}

#[test]
fn an_object_without_an_id_is_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(config(dir.path())).unwrap();
    let recorder = archive.recorder("front").unwrap();
    for seq in 0..50 {
        let mut object = person(0, 0.4);
        object.id = None;
        recorder.found(found(seq, START + seq * 100_000, vec![object]));
    }
    archive.settle().unwrap();
    let page = archive.events(&EventFilter::default(), None, 10).unwrap();
    assert!(page.events.is_empty());
}
