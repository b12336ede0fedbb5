//! A disk that fills, may not be written, or goes away and comes back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cv_archive::{Archive, Config};
use cv_protocol::Timestamp;

use super::common::{config, everything, frame, picture};

/// A small file system in memory, mounted for a test.
struct Mount(PathBuf);

impl Mount {
    /// `None` where this process may not mount.
    fn new(folder: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={megabytes}m"))
            .arg("tmpfs")
            .arg(folder)
            .output()
            .is_ok_and(|output| output.status.success());
        if !done {
            eprintln!("skipped: this process may not mount");
        }
        done.then(|| Self(folder.to_owned()))
    }

    fn remount(&self, how: &str) {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,{how}")])
            .arg(&self.0)
            .status()
            .unwrap();
        assert!(done.success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Brings frames by the real clock until `until` says so; panics after a while. Returns the longest
/// time that handing over one frame took.
fn bring_until(
    archive: &Archive,
    seq: &mut u64,
    bytes: usize,
    until: impl Fn(&Archive) -> bool,
) -> Duration {
    let recorder = archive.recorder("front").unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut longest = Duration::ZERO;
    while !until(archive) {
        assert!(Instant::now() < deadline, "{:?}", archive.status());
        let picture = picture(*seq, bytes);
        let before = Instant::now();
        recorder.frame(frame(*seq, Timestamp::now().0, picture));
        longest = longest.max(before.elapsed());
        *seq += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    longest
}

fn frames(archive: &Archive) -> u64 {
    archive.status().cameras.first().map_or(0, |c| c.frames)
}

fn fault(archive: &Archive) -> Option<String> {
    let status = archive.status();
    status
        .fault
        .or_else(|| status.cameras.first().and_then(|c| c.fault.clone()))
}

fn open(dir: &Path, min_free: u64) -> Archive {
    let archive = Archive::open(Config {
        min_free,
        keep_bytes: None,
        ..config(dir)
    })
    .unwrap();
    archive.set_rules("front", everything()).unwrap();
    archive
}

#[test]
fn a_disk_that_foreign_files_fill_stops_recording_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("disk");
    let Some(_mount) = Mount::new(&folder, 24) else {
        return;
    };
    // No floor: the disk really is full to the last byte.
    let archive = open(&folder.join("archive"), 0);
    let mut seq = 0;
    bring_until(&archive, &mut seq, 20_000, |a| frames(a) > 20);
    let ballast = folder.join("ballast");
    let free = 24 << 20;
    let _ = std::fs::write(&ballast, vec![1; free]);
    let longest = bring_until(&archive, &mut seq, 20_000, |a| fault(a).is_some());
    let why = fault(&archive).unwrap();
    assert!(
        why.contains("space") || why.contains("full"),
        "the reason names the trouble: {why}"
    );
    assert!(
        longest < Duration::from_millis(50),
        "the live path waited {longest:?}"
    );
    std::fs::remove_file(&ballast).unwrap();
    let before = frames(&archive);
    bring_until(&archive, &mut seq, 20_000, |a| {
        fault(a).is_none() && frames(a) > before + 20
    });
    drop(archive);
    let report = cv_archive::check(&folder.join("archive")).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
}

// A file system that somebody remounts read-only has no file open for writing, so the moment when it
// turns while recording is tested with a made-up disk, in `src/tests/faults.rs`.
#[test]
fn a_disk_that_is_read_only_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("disk");
    let Some(mount) = Mount::new(&folder, 64) else {
        return;
    };
    let archive = open(&folder.join("archive"), 0);
    let mut seq = 0;
    bring_until(&archive, &mut seq, 5_000, |a| frames(a) > 20);
    drop(archive);
    mount.remount("ro");
    let err = Archive::open(config(&folder.join("archive")))
        .expect_err("nothing can be recorded")
        .explained();
    assert!(err.to_lowercase().contains("read-only"), "{err}");
    mount.remount("rw");
    let archive = open(&folder.join("archive"), 0);
    bring_until(&archive, &mut seq, 5_000, |a| frames(a) > 20);
}

#[test]
fn an_archive_whose_disk_disappears_goes_on_when_it_returns() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("archive");
    let archive = open(&folder, 0);
    let mut seq = 0;
    bring_until(&archive, &mut seq, 5_000, |a| frames(a) > 20);
    archive.settle().unwrap();
    let away = dir.path().join("away");
    std::fs::rename(&folder, &away).unwrap();
    // Where the disk was mounted there is an empty folder now; nothing may be recorded into it.
    std::fs::create_dir(&folder).unwrap();
    bring_until(&archive, &mut seq, 5_000, |a| fault(a).is_some());
    let why = fault(&archive).unwrap();
    assert!(why.contains("mounted"), "{why}");
    std::thread::sleep(Duration::from_secs(1));
    let strange: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    assert!(strange.is_empty(), "{strange:?}");
    std::fs::remove_dir(&folder).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    let before = frames(&archive);
    bring_until(&archive, &mut seq, 5_000, |a| {
        fault(a).is_none() && frames(a) > before + 20
    });
    drop(archive);
    let report = cv_archive::check(&folder).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    assert!(report.frames > 40);
}
