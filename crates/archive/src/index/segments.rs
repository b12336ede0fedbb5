//! Rows of segments.

use std::collections::BTreeSet;

use cv_protocol::Timestamp;
use rusqlite::{Connection, Row, params};

use super::connection::Index;
use super::sql::{number, sql, sql_u64, time};
use crate::error::ArchiveError;
use crate::segment::Segment;

pub(super) fn put(connection: &Connection, segment: &Segment) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO segments (path, camera, start_us, end_us, frames, bytes, boxes_bytes,
                disk_bytes, continuous, sealed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (path) DO UPDATE SET end_us = ?4, frames = ?5, bytes = ?6,
                boxes_bytes = ?7, disk_bytes = ?8, sealed = ?10",
        )?
        .execute(params![
            segment.path,
            segment.camera,
            sql(segment.start_us),
            sql(segment.end_us),
            sql_u64(segment.frames),
            sql_u64(segment.bytes),
            sql_u64(segment.boxes_bytes),
            sql_u64(segment.disk_bytes()),
            segment.continuous,
            segment.sealed,
        ])
        .map(|_| ())
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Segment> {
    Ok(Segment {
        path: row.get("path")?,
        camera: row.get("camera")?,
        start_us: time(row, "start_us")?,
        end_us: time(row, "end_us")?,
        frames: number(row, "frames")?,
        bytes: number(row, "bytes")?,
        boxes_bytes: number(row, "boxes_bytes")?,
        continuous: row.get("continuous")?,
        sealed: row.get("sealed")?,
    })
}

impl Index {
    fn segments(
        &self,
        condition: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<Segment>, ArchiveError> {
        let read_all = || -> rusqlite::Result<Vec<Segment>> {
            self.connection()
                .prepare_cached(&format!("SELECT * FROM segments WHERE {condition}"))?
                .query_map(parameters, read)?
                .collect()
        };
        read_all().map_err(|err| self.error(err))
    }

    /// Segments that were being written when the archive was last in use.
    pub fn unsealed(&self) -> Result<Vec<Segment>, ArchiveError> {
        self.segments("sealed = 0", [])
    }

    /// All segments, by path.
    pub fn all_segments(&self) -> Result<Vec<Segment>, ArchiveError> {
        self.segments("1 ORDER BY path", [])
    }

    /// Segments of a camera with frames between two times, in order of time.
    pub fn footage(
        &self,
        camera: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Segment>, ArchiveError> {
        // No segment is longer than a minute, so those that matter start not long before.
        let earliest = Timestamp(from.0.saturating_sub(2 * crate::segment::MAX_SEGMENT_US));
        self.segments(
            "camera = ?1 AND start_us BETWEEN ?2 AND ?3 AND end_us >= ?4 ORDER BY start_us, id",
            params![camera, sql(earliest), sql(to), sql(from)],
        )
    }

    /// The first segment of a camera with frames at a time or later.
    pub fn segment_from(
        &self,
        camera: &str,
        from: Timestamp,
    ) -> Result<Option<Segment>, ArchiveError> {
        let earliest = Timestamp(from.0.saturating_sub(2 * crate::segment::MAX_SEGMENT_US));
        Ok(self
            .segments(
                "camera = ?1 AND start_us >= ?2 AND end_us >= ?3 ORDER BY start_us, id LIMIT 1",
                params![camera, sql(earliest), sql(from)],
            )?
            .pop())
    }

    /// The segment after another, in the order in which they are played.
    pub fn segment_after(&self, segment: &Segment) -> Result<Option<Segment>, ArchiveError> {
        Ok(self
            .segments(
                "camera = ?1 AND start_us > ?2 ORDER BY start_us, id LIMIT 1",
                params![segment.camera, sql(segment.start_us)],
            )?
            .pop())
    }

    /// The last segment of a camera with frames before a time.
    pub fn segment_before(
        &self,
        camera: &str,
        before: Timestamp,
    ) -> Result<Option<Segment>, ArchiveError> {
        Ok(self
            .segments(
                "camera = ?1 AND start_us < ?2 ORDER BY start_us DESC, id DESC LIMIT 1",
                params![camera, sql(before)],
            )?
            .pop())
    }

    /// Paths of the segments in the folder of an hour.
    pub fn paths_in(&self, hour: &str) -> Result<BTreeSet<String>, ArchiveError> {
        let read_all = || -> rusqlite::Result<BTreeSet<String>> {
            self.connection()
                .prepare_cached("SELECT path FROM segments WHERE path > ?1 AND path < ?2")?
                // '0' follows '/'.
                .query_map([format!("{hour}/"), format!("{hour}0")], |row| row.get(0))?
                .collect()
        };
        read_all().map_err(|err| self.error(err))
    }

    /// The segment as the index names it now.
    pub fn segment(&self, path: &str) -> Result<Option<Segment>, ArchiveError> {
        Ok(self.segments("path = ?1", [path])?.pop())
    }

    /// Removes a segment's row without touching files.
    pub fn forget_segment(&mut self, path: &str) -> Result<(), ArchiveError> {
        self.in_one(|connection| {
            connection
                .execute("DELETE FROM segments WHERE path = ?1", [path])
                .map(|_| ())
        })
        .map_err(|err| self.error(err))
    }
}
