//! Rows of events.

use std::collections::BTreeSet;

use cv_protocol::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};

use super::connection::Index;
use super::sql::{number, sql, sql_u64, time};
use crate::error::ArchiveError;
use crate::events::Event;

/// Most events of one page.
pub const MAX_PAGE: usize = 500;

/// Which events are asked for. Each part that is given narrows the choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of these cameras; empty: of all.
    pub cameras: Vec<String>,
    /// With this label.
    pub label: Option<String>,
    /// That entered this zone.
    pub zone: Option<String>,
    /// Whose object was there at this time or later.
    pub from_us: Option<Timestamp>,
    /// Whose object was there at this time or earlier.
    pub to_us: Option<Timestamp>,
    /// Only those kept for good, or only the others.
    pub kept: Option<bool>,
}

/// Some events, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// Cursor of the next page, if there is one.
    pub next: Option<String>,
}

pub(super) fn insert(
    connection: &Connection,
    event: &Event,
    snapshot_bytes: Option<u64>,
    (from, to): (Timestamp, Timestamp),
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO events (id, camera, label, start_us, end_us, last_seen_us,
                score, box, best_us, zones, stationary, kept, snapshot_bytes, footage_from_us,
                footage_to_us)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            event.id,
            event.camera,
            event.label,
            sql(event.start_us),
            event.end_us.map(sql),
            sql(event.last_seen_us),
            event.score,
            json(&event.bounding_box),
            sql(event.best_us),
            json(&event.zones),
            event.stationary,
            event.kept,
            sql_u64(snapshot_bytes.unwrap_or(0)),
            sql(from),
            sql(to),
        ])?;
    put_zones(connection, event)
}

/// Changes an event that has not been deleted meanwhile.
pub(super) fn change(
    connection: &Connection,
    event: &Event,
    snapshot_bytes: Option<u64>,
    footage_to: Timestamp,
) -> rusqlite::Result<()> {
    let changed = connection
        .prepare_cached(
            "UPDATE events SET end_us = ?2, last_seen_us = ?3, score = ?4, box = ?5, best_us = ?6,
                zones = ?7, stationary = ?8, snapshot_bytes = coalesce(?9, snapshot_bytes),
                footage_to_us = ?10
             WHERE id = ?1",
        )?
        .execute(params![
            event.id,
            event.end_us.map(sql),
            sql(event.last_seen_us),
            event.score,
            json(&event.bounding_box),
            sql(event.best_us),
            json(&event.zones),
            event.stationary,
            snapshot_bytes.map(sql_u64),
            sql(footage_to),
        ])?;
    if changed == 0 {
        return Ok(());
    }
    put_zones(connection, event)
}

fn put_zones(connection: &Connection, event: &Event) -> rusqlite::Result<()> {
    for zone in &event.zones {
        connection
            .prepare_cached("INSERT OR IGNORE INTO event_zones (zone, event) VALUES (?1, ?2)")?
            .execute([zone, &event.id])?;
    }
    Ok(())
}

fn json(value: &impl serde::Serialize) -> String {
    // Numbers and texts cannot fail to serialize.
    serde_json::to_string(value).unwrap_or_default()
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Event> {
    let bounding_box: String = row.get("box")?;
    let zones: String = row.get("zones")?;
    let end_us: Option<i64> = row.get("end_us")?;
    Ok(Event {
        id: row.get("id")?,
        camera: row.get("camera")?,
        label: row.get("label")?,
        start_us: time(row, "start_us")?,
        end_us: end_us.map(|end| Timestamp(u64::try_from(end).unwrap_or(0))),
        score: row.get("score")?,
        bounding_box: serde_json::from_str(&bounding_box).unwrap_or_default(),
        best_us: time(row, "best_us")?,
        zones: serde_json::from_str(&zones).unwrap_or_default(),
        stationary: row.get("stationary")?,
        kept: row.get("kept")?,
        last_seen_us: time(row, "last_seen_us")?,
        has_snapshot: number(row, "snapshot_bytes")? > 0,
    })
}

/// An id that sorts before every event's that starts at this time or later.
fn first_id_at(start: Timestamp) -> String {
    format!("{:014x}", start.0)
}

impl Index {
    /// Events that match, newest first, from `cursor` on.
    pub fn events(
        &self,
        filter: &EventFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<EventPage, ArchiveError> {
        let mut conditions = String::from("1");
        let mut values: Vec<Value> = Vec::new();
        let mut and = |condition: &str, value: Value| {
            conditions.push_str(" AND ");
            conditions.push_str(condition);
            values.push(value);
        };
        match filter.cameras.as_slice() {
            [] => {}
            [camera] => and("camera = ?", camera.clone().into()),
            cameras => and(
                "camera IN (SELECT value FROM json_each(?))",
                json(&cameras).into(),
            ),
        }
        if let Some(label) = &filter.label {
            and("label = ?", label.clone().into());
        }
        if let Some(zone) = &filter.zone {
            and(
                "id IN (SELECT event FROM event_zones WHERE zone = ?)",
                zone.clone().into(),
            );
        }
        if let Some(to) = filter.to_us {
            and(
                "id < ?",
                first_id_at(Timestamp(to.0.saturating_add(1))).into(),
            );
        }
        if let Some(from) = filter.from_us {
            and("(end_us IS NULL OR end_us >= ?)", sql(from).into());
        }
        if let Some(kept) = filter.kept {
            and("kept = ?", i64::from(kept).into());
        }
        if let Some(cursor) = cursor {
            let is_one =
                cursor.len() < 64 && cursor.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
            if !is_one {
                return Err(ArchiveError::Cursor(cursor.to_owned()));
            }
            and("id < ?", cursor.to_owned().into());
        }
        let limit = limit.clamp(1, MAX_PAGE);
        let text = format!(
            "SELECT * FROM events WHERE {conditions} ORDER BY id DESC LIMIT {}",
            limit + 1
        );
        let read_all = || -> rusqlite::Result<Vec<Event>> {
            self.connection()
                .prepare_cached(&text)?
                .query_map(params_from_iter(values), read)?
                .collect()
        };
        let mut events = read_all().map_err(|err| self.error(err))?;
        let more = events.len() > limit;
        events.truncate(limit);
        let next = events.last().filter(|_| more).map(|last| last.id.clone());
        Ok(EventPage { events, next })
    }

    /// One event.
    pub fn event(&self, id: &str) -> Result<Event, ArchiveError> {
        self.connection()
            .query_row("SELECT * FROM events WHERE id = ?1", [id], read)
            .map_err(|err| match err {
                rusqlite::Error::QueryReturnedNoRows => {
                    ArchiveError::NoSuchEvent { id: id.to_owned() }
                }
                other => self.error(other),
            })
    }

    /// Ids of a camera's events from one id to another.
    pub fn ids_between(
        &self,
        camera: &str,
        first: &str,
        last: &str,
    ) -> Result<BTreeSet<String>, ArchiveError> {
        let read_all = || -> rusqlite::Result<BTreeSet<String>> {
            self.connection()
                .prepare_cached("SELECT id FROM events WHERE camera = ?1 AND id BETWEEN ?2 AND ?3")?
                .query_map([camera, first, last], |row| row.get(0))?
                .collect()
        };
        read_all().map_err(|err| self.error(err))
    }

    /// From when to when footage belongs to an event.
    pub fn event_footage(&self, id: &str) -> Result<(Timestamp, Timestamp), ArchiveError> {
        self.connection()
            .query_row(
                "SELECT footage_from_us, footage_to_us FROM events WHERE id = ?1",
                [id],
                |row| Ok((time(row, "footage_from_us")?, time(row, "footage_to_us")?)),
            )
            .map_err(|err| match err {
                rusqlite::Error::QueryReturnedNoRows => {
                    ArchiveError::NoSuchEvent { id: id.to_owned() }
                }
                other => self.error(other),
            })
    }

    /// Ends the events that were running when the archive was last in use, at the time their
    /// objects were last seen. Returns them.
    pub fn end_running(&mut self) -> Result<Vec<Event>, ArchiveError> {
        self.in_one(|connection| {
            let running: Vec<Event> = connection
                .prepare("SELECT * FROM events WHERE end_us IS NULL")?
                .query_map([], read)?
                .collect::<rusqlite::Result<_>>()?;
            connection.execute(
                "UPDATE events SET end_us = last_seen_us WHERE end_us IS NULL",
                [],
            )?;
            Ok(running)
        })
        .map_err(|err| self.error(err))
    }

    /// Keeps an event for good, or no longer.
    pub fn keep(&mut self, id: &str, kept: bool) -> Result<Event, ArchiveError> {
        let changed = self.in_one(|connection| {
            connection.execute(
                "UPDATE events SET kept = ?2 WHERE id = ?1",
                params![id, kept],
            )
        });
        changed.map_err(|err| self.error(err))?;
        self.event(id)
    }
}
