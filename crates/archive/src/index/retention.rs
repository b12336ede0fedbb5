//! Which rows may go, and what becomes of their files.
//!
//! A row is removed and its files are noted as garbage in one transaction; then the files are
//! unlinked; then the note goes. A crash in between leaves garbage that the next start removes.
//! Footage of kept events never goes.

use cv_protocol::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::connection::Index;
use super::sql::{number, sql};
use super::{events, segments};
use crate::error::ArchiveError;
use crate::events::Event;
use crate::segment::{SEGMENT_FILES, Segment, record_path, snapshot_path};

/// What has been removed from the index.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Doomed {
    /// Paths of files below the archive's folder.
    pub files: Vec<String>,
    /// Bytes of them.
    pub bytes: u64,
    /// Segments among what was removed.
    pub segments: u64,
    /// Events that were removed.
    pub events: Vec<Event>,
}

/// What one step of retention may remove.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit<'a> {
    /// Whatever of this camera ended before this time.
    Age(&'a str, Timestamp),
    /// The oldest of this camera.
    Oldest(&'a str),
    /// The oldest of all cameras.
    OldestOfAll,
}

/// Rows of one step: transactions stay short.
const STEP: u32 = 64;

const UNPROTECTED: &str = "sealed = 1 AND NOT EXISTS (
    SELECT 1 FROM events WHERE kept = 1 AND events.camera = segments.camera
        AND footage_from_us <= segments.end_us AND footage_to_us >= segments.start_us)";

fn doom_segment(
    connection: &Connection,
    doomed: &mut Doomed,
    segment: &Segment,
) -> rusqlite::Result<()> {
    for extension in SEGMENT_FILES {
        doomed.files.push(format!("{}.{extension}", segment.path));
    }
    doomed.bytes += segment.disk_bytes();
    doomed.segments += 1;
    connection
        .prepare_cached("DELETE FROM segments WHERE path = ?1")?
        .execute([&segment.path])
        .map(|_| ())
}

fn doom_event(connection: &Connection, doomed: &mut Doomed, event: Event) -> rusqlite::Result<()> {
    let bytes = connection
        .prepare_cached("SELECT snapshot_bytes FROM events WHERE id = ?1")?
        .query_row([&event.id], |row| number(row, "snapshot_bytes"))?;
    if bytes > 0 {
        doomed
            .files
            .push(snapshot_path(&event.camera, event.start_us, &event.id));
        doomed.bytes += bytes;
    }
    doomed
        .files
        .push(record_path(&event.camera, event.start_us, &event.id));
    connection
        .prepare_cached("DELETE FROM events WHERE id = ?1")?
        .execute([&event.id])?;
    doomed.events.push(event);
    Ok(())
}

fn note_garbage(connection: &Connection, doomed: &Doomed) -> rusqlite::Result<()> {
    for file in &doomed.files {
        connection
            .prepare_cached("INSERT OR IGNORE INTO garbage (path) VALUES (?1)")?
            .execute([file])?;
    }
    Ok(())
}

fn some_segments(
    connection: &Connection,
    condition: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Segment>> {
    connection
        .prepare_cached(&format!("SELECT * FROM segments WHERE {condition}"))?
        .query_map(parameters, segments::read)?
        .collect()
}

fn some_events(
    connection: &Connection,
    condition: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Event>> {
    connection
        .prepare_cached(&format!("SELECT * FROM events WHERE {condition}"))?
        .query_map(parameters, events::read)?
        .collect()
}

impl Index {
    /// Bytes on the disk of each camera, snapshots included.
    pub fn usage(&self) -> Result<Vec<(String, u64)>, ArchiveError> {
        let read_all = || -> rusqlite::Result<Vec<(String, u64)>> {
            self.connection()
                .prepare_cached(
                    "SELECT camera, sum(bytes) AS bytes FROM (
                        SELECT camera, sum(disk_bytes) AS bytes FROM segments GROUP BY camera
                        UNION ALL
                        SELECT camera, sum(snapshot_bytes) AS bytes FROM events GROUP BY camera)
                     GROUP BY camera",
                )?
                .query_map([], |row| Ok((row.get("camera")?, number(row, "bytes")?)))?
                .collect()
        };
        read_all().map_err(|err| self.error(err))
    }

    /// Removes some rows that a limit allows to remove; nothing if there are none.
    pub fn doom(&mut self, limit: Limit<'_>) -> Result<Doomed, ArchiveError> {
        let doom = |connection: &Connection| {
            let mut doomed = Doomed::default();
            let old = match limit {
                Limit::Age(camera, before) => some_segments(
                    connection,
                    &format!(
                        "camera = ?1 AND start_us < ?2 AND end_us < ?2 AND {UNPROTECTED}
                         ORDER BY start_us LIMIT {STEP}"
                    ),
                    params![camera, sql(before)],
                )?,
                Limit::Oldest(camera) => some_segments(
                    connection,
                    &format!("camera = ?1 AND {UNPROTECTED} ORDER BY start_us LIMIT 1"),
                    [camera],
                )?,
                Limit::OldestOfAll => some_segments(
                    connection,
                    &format!("{UNPROTECTED} ORDER BY start_us LIMIT 1"),
                    [],
                )?,
            };
            for segment in &old {
                doom_segment(connection, &mut doomed, segment)?;
            }
            // Events outlive their footage, as a line and a picture, until their time is up or
            // there is nothing else to remove.
            let events = match limit {
                Limit::Age(camera, before) => some_events(
                    connection,
                    &format!(
                        "camera = ?1 AND start_us < ?2 AND end_us < ?2 AND kept = 0 LIMIT {STEP}"
                    ),
                    params![camera, sql(before)],
                )?,
                Limit::Oldest(camera) if old.is_empty() => some_events(
                    connection,
                    &format!(
                        "camera = ?1 AND end_us IS NOT NULL AND kept = 0 ORDER BY id LIMIT {STEP}"
                    ),
                    [camera],
                )?,
                Limit::OldestOfAll if old.is_empty() => some_events(
                    connection,
                    &format!("end_us IS NOT NULL AND kept = 0 ORDER BY id LIMIT {STEP}"),
                    [],
                )?,
                _ => Vec::new(),
            };
            for event in events {
                doom_event(connection, &mut doomed, event)?;
            }
            note_garbage(connection, &doomed)?;
            Ok(doomed)
        };
        self.in_one(doom).map_err(|err| self.error(err))
    }

    /// Removes an event, and the footage that was recorded for it alone.
    pub fn delete_event(&mut self, id: &str) -> Result<Doomed, ArchiveError> {
        let doom = |connection: &Connection| {
            let Some(event) = connection
                .query_row("SELECT * FROM events WHERE id = ?1", [id], events::read)
                .optional()?
            else {
                return Ok(None);
            };
            let mut doomed = Doomed::default();
            let alone = some_segments(
                connection,
                "sealed = 1 AND continuous = 0 AND camera = ?1
                 AND EXISTS (SELECT 1 FROM events WHERE id = ?2
                    AND footage_from_us <= segments.end_us AND footage_to_us >= segments.start_us)
                 AND NOT EXISTS (SELECT 1 FROM events WHERE id <> ?2 AND camera = ?1
                    AND footage_from_us <= segments.end_us AND footage_to_us >= segments.start_us)",
                [&event.camera, id],
            )?;
            for segment in &alone {
                doom_segment(connection, &mut doomed, segment)?;
            }
            doom_event(connection, &mut doomed, event)?;
            note_garbage(connection, &doomed)?;
            Ok(Some(doomed))
        };
        self.in_one(doom)
            .map_err(|err| self.error(err))?
            .ok_or_else(|| ArchiveError::NoSuchEvent { id: id.to_owned() })
    }

    /// Files that no row names any more.
    pub fn garbage(&self) -> Result<Vec<String>, ArchiveError> {
        let read_all = || -> rusqlite::Result<Vec<String>> {
            self.connection()
                .prepare_cached("SELECT path FROM garbage LIMIT 1000")?
                .query_map([], |row| row.get(0))?
                .collect()
        };
        read_all().map_err(|err| self.error(err))
    }

    /// Notes that files have been unlinked.
    pub fn forget_garbage(&mut self, files: &[String]) -> Result<(), ArchiveError> {
        self.in_one(|connection| {
            for file in files {
                connection
                    .prepare_cached("DELETE FROM garbage WHERE path = ?1")?
                    .execute([file])?;
            }
            Ok(())
        })
        .map_err(|err| self.error(err))
    }
}
