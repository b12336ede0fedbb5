//! A recorder that is killed at random moments loses nothing that it had shown.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cv_archive::{Archive, Change, EventFilter, check};
use cv_protocol::Timestamp;

use super::common::{config, everything, found, frame, person, picture};

const DIR: &str = "CV_ARCHIVE_TEST_DIR";
const BYTES: usize = 20_000;
const CAMERAS: [(&str, bool); 2] = [("always", true), ("events", false)];

/// Not a test: the process that is killed. It records two cameras and prints what its interface
/// shows: `frame CAMERA AT SEQ`, `event ID`; and `brought AT` for what it was given.
#[test]
#[ignore = "run by the test below, as a process of its own"]
fn recorder_to_be_killed() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let archive = Archive::open(config(std::path::Path::new(&dir))).unwrap();
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").unwrap();
        out.flush().unwrap();
    };
    archive.listen(move |change, event| {
        if change != Change::Delete {
            say(format!("event {}", event.id));
        }
    });
    let recorders: Vec<_> = CAMERAS
        .iter()
        .map(|(camera, always)| {
            if *always {
                archive.set_rules(camera, everything()).unwrap();
            }
            archive.recorder(camera).unwrap()
        })
        .collect();
    let mut shown: Vec<_> = CAMERAS
        .iter()
        .map(|(camera, _)| archive.play(camera, Timestamp::now()))
        .collect();
    for seq in 0_u64.. {
        let at = Timestamp::now().0;
        for recorder in &recorders {
            recorder.frame(frame(seq, at, picture(seq, BYTES)));
            // People come every second for 0.7 seconds.
            let there = seq % 50 < 35;
            let objects = there.then(|| person(seq / 50, 0.1 + (seq % 50) as f32 / 100.0));
            recorder.found(found(seq, at, objects.into_iter().collect()));
        }
        say(format!("brought {at}"));
        for (playback, (camera, _)) in shown.iter_mut().zip(CAMERAS) {
            while let Some(record) = playback.peek().unwrap() {
                playback.skip();
                say(format!("frame {camera} {} {}", record.at_us.0, record.seq));
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Shown {
    frames: BTreeMap<&'static str, BTreeSet<(u64, u64)>>,
    events: BTreeSet<String>,
    brought: u64,
}

fn run_and_kill(dir: &std::path::Path, after: Duration) -> Shown {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "kill::recorder_to_be_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut shown = Shown {
        frames: BTreeMap::new(),
        events: BTreeSet::new(),
        brought: 0,
    };
    let mut kill_at = None;
    // Lines that were written before the kill are still in the pipe.
    while let Some(Ok(line)) = lines.next() {
        let words: Vec<_> = line.split(' ').collect();
        match words.as_slice() {
            ["frame", camera, at, seq] => {
                let (camera, _) = CAMERAS.iter().find(|(name, _)| name == camera).unwrap();
                let frame = (at.parse().unwrap(), seq.parse().unwrap());
                shown.frames.entry(camera).or_default().insert(frame);
            }
            ["event", id] => {
                shown.events.insert((*id).to_owned());
            }
            ["brought", at] => {
                shown.brought = at.parse().unwrap();
                kill_at.get_or_insert(Instant::now() + after);
            }
            _ => {}
        }
        if kill_at.is_some_and(|at| Instant::now() >= at) {
            // SIGKILL.
            child.kill().unwrap();
            kill_at = Some(Instant::now() + Duration::from_secs(3600));
        }
    }
    child.wait().unwrap();
    shown
}

#[test]
fn nothing_that_was_shown_is_lost_when_the_recorder_is_killed() {
    let kills: u32 = std::env::var("CV_ARCHIVE_KILLS").map_or(8, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(3);
    let (mut all, mut events) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeSet::new());
    let (mut slowest, mut longest_gap) = (Duration::ZERO, 0);
    for _ in 0..kills {
        let after = Duration::from_millis(random.u64(50..2500));
        let shown = run_and_kill(dir.path(), after);
        for (camera, frames) in shown.frames {
            all.entry(camera).or_default().extend(frames);
        }
        events.extend(shown.events);

        let started = Instant::now();
        let archive = Archive::open(config(dir.path())).unwrap();
        slowest = slowest.max(started.elapsed());
        let mut last = 0;
        for (camera, frames) in &all {
            let mut left = frames.clone();
            let mut playback = archive.play(camera, Timestamp(0));
            while let Some(frame) = playback.next_frame().unwrap() {
                let seq = frame.record.seq;
                assert_eq!(frame.jpeg, picture(seq, BYTES), "byte for byte");
                left.remove(&(frame.record.at_us.0, seq));
                if *camera == "always" {
                    last = frame.record.at_us.0;
                }
            }
            assert!(left.is_empty(), "{camera}: gone: {left:?}");
        }
        for id in &events {
            let event = archive.event(id).expect("an event that was told is there");
            assert!(event.end_us.is_some(), "{event:?} has not ended");
        }
        let page = archive.events(&EventFilter::default(), None, 500).unwrap();
        assert!(page.events.iter().all(|event| event.end_us.is_some()));
        // What was brought and is not there.
        if shown.brought > 0 && last > 0 {
            longest_gap = longest_gap.max(shown.brought.saturating_sub(last));
        }
        drop(archive);
        let report = check(dir.path()).unwrap();
        assert_eq!(report.findings, Vec::<String>::new());
    }
    println!(
        "{kills} kills: {} frames and {} events shown, all there; slowest opening {slowest:?}; \
         at most {} ms of footage gone",
        all.values().map(BTreeSet::len).sum::<usize>(),
        events.len(),
        longest_gap / 1000
    );
    assert!(!events.is_empty());
    assert!(slowest < Duration::from_secs(2));
    assert!(
        longest_gap < 1_500_000,
        "{longest_gap} us of footage are gone"
    );
}
