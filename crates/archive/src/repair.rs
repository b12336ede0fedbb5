//! Puts right what a crash has left, and checks everything on request.

use std::collections::BTreeSet;
use std::path::Path;

use crate::disk::{Disk, RealDisk};
use crate::error::ArchiveError;
use crate::events::{Event, seconds_us};
use crate::folder::{lock, remove_files};
use crate::index::{INDEX_FILE, Index, Row};
use crate::rules::Rules;
use crate::segment::{SEGMENT_FILES, Segment, camera_of_folder, recover, verify};

/// Hours, newest first, in which a crash can have left files that no row names.
const RECENT_HOURS: usize = 2;

/// Finishes what was under way when the archive was last in use. The time it takes does not grow
/// with the archive.
pub(crate) fn recover_after_crash(
    disk: &dyn Disk,
    root: &Path,
    index: &mut Index,
) -> Result<(), ArchiveError> {
    loop {
        let garbage = index.garbage()?;
        if garbage.is_empty() {
            break;
        }
        remove_files(disk, root, &garbage)?;
        index.forget_garbage(&garbage)?;
    }
    for segment in index.unsealed()? {
        let found = recover(disk, root, &segment.camera, &segment.path, segment.frames)?;
        match found {
            Some(found) => {
                if found.frames < segment.frames {
                    log::error!(
                        "{}: {} frames of {} are left: the disk has lost what it had confirmed",
                        segment.path,
                        found.frames,
                        segment.frames
                    );
                }
                index.put(&[Row::Segment(found)])?;
            }
            None => {
                log::error!("{} has gone with {} frames", segment.path, segment.frames);
                index.forget_segment(&segment.path)?;
            }
        }
    }
    for folder in disk.list(root).map_err(ArchiveError::file("list", root))? {
        if let Some(camera) = camera_of_folder(&folder) {
            for hour in recent_hours(disk, root, &folder)? {
                adopt(disk, root, &camera, &hour, index)?;
            }
        }
    }
    let ended = index.end_running()?;
    if !ended.is_empty() {
        log::info!(
            "{} events were running when the archive was last in use; they end when their objects \
             were last seen",
            ended.len()
        );
    }
    Ok(())
}

/// The newest hours of a camera that have a folder, as paths below the archive's.
fn recent_hours(disk: &dyn Disk, root: &Path, camera: &str) -> Result<Vec<String>, ArchiveError> {
    let list = |path: &str| {
        let path = root.join(path);
        disk.list(&path).map_err(ArchiveError::file("list", &path))
    };
    let mut hours = Vec::new();
    for day in list(camera)?.into_iter().rev().filter(|d| is_day(d)) {
        let day = format!("{camera}/{day}");
        for hour in list(&day)?.into_iter().rev() {
            hours.push(format!("{day}/{hour}"));
            if hours.len() == RECENT_HOURS {
                return Ok(hours);
            }
        }
    }
    Ok(hours)
}

fn is_day(name: &str) -> bool {
    name.len() == 10 && name.bytes().all(|b| b.is_ascii_digit() || b == b'-')
}

/// Takes in the segments of an hour that no row names, and removes pictures of events that are not
/// known. Returns what was done, for people.
fn adopt(
    disk: &dyn Disk,
    root: &Path,
    camera: &str,
    hour: &str,
    index: &mut Index,
) -> Result<Vec<String>, ArchiveError> {
    let folder = root.join(hour);
    let names = disk
        .list(&folder)
        .map_err(ArchiveError::file("list", &folder))?;
    let mut done = Vec::new();
    let mut looked_at = String::new();
    let known = index.paths_in(hour)?;
    let mut events = known_events(camera, &names, index)?;
    // Events before their pictures, which would else belong to none.
    for name in names.iter().filter(|name| name.ends_with(".json")) {
        if !events.contains(name.trim_end_matches(".json")) {
            done.push(adopt_event(disk, root, hour, name, index)?);
        }
    }
    if !done.is_empty() {
        events = known_events(camera, &names, index)?;
    }
    for name in names {
        let Some((stem, extension)) = name.rsplit_once('.') else {
            continue;
        };
        let path = format!("{hour}/{stem}");
        if SEGMENT_FILES.contains(&extension) {
            if path == looked_at || known.contains(&path) {
                continue;
            }
            looked_at.clone_from(&path);
            match recover(disk, root, camera, &path, 0)? {
                Some(segment) => {
                    done.push(format!("{path}: {} frames taken in", segment.frames));
                    index.put(&[Row::Segment(segment)])?;
                }
                None => done.push(format!("{path}: removed, it held no whole frame")),
            }
        } else if extension == "new" || (extension == "jpg" && !events.contains(stem)) {
            remove_files(disk, root, &[format!("{hour}/{name}")])?;
            done.push(format!("{hour}/{name}: removed, it belongs to no event"));
        }
    }
    Ok(done)
}

/// Events of a camera that the index knows, among those whose files have these names.
fn known_events(
    camera: &str,
    names: &[String],
    index: &Index,
) -> Result<BTreeSet<String>, ArchiveError> {
    let mut stems: Vec<_> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".json").or(name.strip_suffix(".jpg")))
        .collect();
    stems.sort_unstable();
    match (stems.first(), stems.last()) {
        (Some(first), Some(last)) => index.ids_between(camera, first, last),
        _ => Ok(BTreeSet::new()),
    }
}

/// Takes in an event whose row is missing.
fn adopt_event(
    disk: &dyn Disk,
    root: &Path,
    hour: &str,
    name: &str,
    index: &mut Index,
) -> Result<String, ArchiveError> {
    let id = name.trim_end_matches(".json");
    let file = root.join(hour).join(name);
    let content = disk
        .read(&file)
        .map_err(ArchiveError::file("read", &file))?;
    let Ok(event) = serde_json::from_slice::<Event>(&content) else {
        remove_files(disk, root, &[format!("{hour}/{name}")])?;
        return Ok(format!("{hour}/{name}: removed, it is no event"));
    };
    let rules = index
        .rules(&event.camera)?
        .and_then(|json| Rules::from_json(&json).ok())
        .unwrap_or_default();
    let snapshot = root.join(hour).join(format!("{id}.jpg"));
    index.put(&[Row::Event {
        snapshot_bytes: disk.length(&snapshot).ok(),
        footage: event.footage(seconds_us(rules.pre_roll_s), seconds_us(rules.post_roll_s)),
        is_new: true,
        event,
    }])?;
    Ok(format!("{hour}/{name}: event taken in"))
}

/// What `check` or `repair` has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Segments looked at.
    pub segments: u64,
    /// Frames in them.
    pub frames: u64,
    /// Events looked at.
    pub events: u64,
    /// What is wrong, or was put right; empty: all is well.
    pub findings: Vec<String>,
}

/// Reads everything and compares it with its checksums and with the index. Changes nothing.
///
/// While a relay records, the newest files are ahead of the index, which is no finding.
///
/// # Errors
///
/// If the index cannot be opened.
pub fn check(dir: &Path) -> Result<Report, ArchiveError> {
    check_on(&RealDisk, dir)
}

pub(crate) fn check_on(disk: &dyn Disk, dir: &Path) -> Result<Report, ArchiveError> {
    let index = Index::open_reader(dir)?;
    let mut report = Report {
        findings: index.check()?,
        ..Report::default()
    };
    let segments = index.all_segments()?;
    let recording = lock(dir).is_err();
    for segment in &segments {
        report.segments += 1;
        report.frames += segment.frames;
        for damage in verify(disk, dir, segment) {
            report.findings.push(format!("{}: {damage}", segment.path));
        }
    }
    check_events(disk, dir, &index, &mut report)?;
    if !recording {
        check_strangers(disk, dir, &index, &segments, &mut report)?;
    }
    Ok(report)
}

fn check_events(
    disk: &dyn Disk,
    dir: &Path,
    index: &Index,
    report: &mut Report,
) -> Result<(), ArchiveError> {
    let mut cursor: Option<String> = None;
    loop {
        let page = index.events(&crate::EventFilter::default(), cursor.as_deref(), 500)?;
        for event in &page.events {
            report.events += 1;
            let path = crate::segment::snapshot_path(&event.camera, event.start_us, &event.id);
            if event.has_snapshot && !disk.length(&dir.join(&path)).is_ok_and(|n| n > 0) {
                report
                    .findings
                    .push(format!("{path}: the snapshot is missing"));
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// Every folder of an hour, of all cameras: (camera, path).
fn all_hours(disk: &dyn Disk, dir: &Path) -> Result<Vec<(String, String)>, ArchiveError> {
    let list = |path: &str| {
        let path = dir.join(path);
        disk.list(&path).map_err(ArchiveError::file("list", &path))
    };
    let mut hours = Vec::new();
    for folder in list("")? {
        let Some(camera) = camera_of_folder(&folder) else {
            continue;
        };
        for day in list(&folder)?.into_iter().filter(|day| is_day(day)) {
            for hour in list(&format!("{folder}/{day}"))? {
                hours.push((camera.clone(), format!("{folder}/{day}/{hour}")));
            }
        }
    }
    Ok(hours)
}

/// Finds files that no row names.
fn check_strangers(
    disk: &dyn Disk,
    dir: &Path,
    index: &Index,
    segments: &[Segment],
    report: &mut Report,
) -> Result<(), ArchiveError> {
    let known: BTreeSet<&str> = segments
        .iter()
        .map(|segment| segment.path.as_str())
        .collect();
    let garbage = index.garbage()?;
    for (_, hour) in all_hours(disk, dir)? {
        let folder = dir.join(&hour);
        for name in disk
            .list(&folder)
            .map_err(ArchiveError::file("list", &folder))?
        {
            let path = format!("{hour}/{name}");
            let named = match path.rsplit_once('.') {
                Some((stem, extension)) if SEGMENT_FILES.contains(&extension) => {
                    known.contains(stem)
                }
                Some((stem, "jpg" | "json")) => stem
                    .rsplit('/')
                    .next()
                    .is_some_and(|id| index.event(id).is_ok()),
                _ => false,
            };
            if !named && !garbage.contains(&path) {
                report
                    .findings
                    .push(format!("{path}: the index does not name it"));
            }
        }
    }
    Ok(())
}

/// Makes the index agree with the files: takes in segments that it does not name, cuts torn ends,
/// forgets what is not there. An index that cannot be read is moved aside and built anew from the
/// files; only events that had not ended, and rules, are then lost.
///
/// # Errors
///
/// If the archive is in use or a file cannot be changed.
pub fn repair(dir: &Path) -> Result<Report, ArchiveError> {
    let disk = RealDisk;
    let _lock = lock(dir)?;
    let mut report = Report::default();
    let mut index = match Index::open(dir, true).and_then(|index| {
        let wrong = index.check()?;
        Ok((index, wrong))
    }) {
        Ok((index, wrong)) if wrong.is_empty() => index,
        Err(err @ ArchiveError::Newer { .. }) => return Err(err),
        damaged => {
            let why = match damaged {
                Ok((_, wrong)) => wrong.join("; "),
                Err(err) => err.explained(),
            };
            report.findings.push(format!(
                "the index was damaged ({why}); it was moved aside and built anew"
            ));
            move_aside(&disk, dir)?;
            Index::open(dir, true)?
        }
    };
    recover_after_crash(&disk, dir, &mut index)?;
    for segment in index.all_segments()? {
        report.segments += 1;
        let damage = verify(&disk, dir, &segment);
        if damage.is_empty() {
            report.frames += segment.frames;
            continue;
        }
        for damage in &damage {
            report.findings.push(format!("{}: {damage}", segment.path));
        }
        // Frames in the middle that are damaged are passed over when they are played.
        match recover(&disk, dir, &segment.camera, &segment.path, u64::MAX)? {
            Some(found) => {
                report.frames += found.frames;
                index.put(&[Row::Segment(found)])?;
            }
            None => index.forget_segment(&segment.path)?,
        }
    }
    for (camera, hour) in all_hours(&disk, dir)? {
        report
            .findings
            .extend(adopt(&disk, dir, &camera, &hour, &mut index)?);
    }
    Ok(report)
}

fn move_aside(disk: &dyn Disk, dir: &Path) -> Result<(), ArchiveError> {
    let number = (1..)
        .find(|n| {
            let name = format!("{INDEX_FILE}.damaged-{n}");
            disk.length(&dir.join(name)).is_err()
        })
        .unwrap_or(1);
    for ending in ["", "-wal", "-shm"] {
        let from = dir.join(format!("{INDEX_FILE}{ending}"));
        let to = dir.join(format!("{INDEX_FILE}.damaged-{number}{ending}"));
        match disk.rename(&from, &to) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                return Err(ArchiveError::file("rename", &from)(err));
            }
            _ => {}
        }
    }
    disk.sync_folder(dir)
        .map_err(ArchiveError::file("sync", dir))
}
