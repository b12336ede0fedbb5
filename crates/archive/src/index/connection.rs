//! A connection to the index, and its schema.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::error::ArchiveError;

/// The index's file in the archive's folder.
pub const INDEX_FILE: &str = "index.sqlite";

/// Version of the schema, in SQLite's `user_version`.
const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE segments (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    camera TEXT NOT NULL,
    start_us INTEGER NOT NULL,
    end_us INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    boxes_bytes INTEGER NOT NULL,
    disk_bytes INTEGER NOT NULL,
    continuous INTEGER NOT NULL,
    sealed INTEGER NOT NULL
) STRICT;
CREATE INDEX segments_by_camera ON segments (camera, start_us, end_us);
CREATE INDEX segments_by_start ON segments (start_us);
CREATE INDEX segments_unsealed ON segments (id) WHERE sealed = 0;
CREATE TABLE events (
    id TEXT PRIMARY KEY,
    camera TEXT NOT NULL,
    label TEXT NOT NULL,
    start_us INTEGER NOT NULL,
    end_us INTEGER,
    last_seen_us INTEGER NOT NULL,
    score REAL NOT NULL,
    box TEXT NOT NULL,
    best_us INTEGER NOT NULL,
    zones TEXT NOT NULL,
    stationary INTEGER NOT NULL,
    kept INTEGER NOT NULL,
    snapshot_bytes INTEGER NOT NULL,
    footage_from_us INTEGER NOT NULL,
    footage_to_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX events_by_camera ON events (camera, id);
CREATE INDEX events_by_label ON events (label, id);
CREATE INDEX events_by_camera_and_label ON events (camera, label, id);
CREATE INDEX events_spans ON events (camera, start_us, end_us, last_seen_us, label);
CREATE INDEX events_running ON events (id) WHERE end_us IS NULL;
CREATE INDEX events_kept ON events (camera, footage_from_us) WHERE kept = 1;
CREATE TABLE event_zones (
    zone TEXT NOT NULL,
    event TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    PRIMARY KEY (zone, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_zones_by_event ON event_zones (event);
CREATE TABLE rules (
    camera TEXT PRIMARY KEY,
    json TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE garbage (
    path TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
";

/// A connection to the index.
pub(crate) struct Index {
    path: PathBuf,
    connection: Connection,
}

impl Index {
    /// Opens the index for writing, and creates it if it is not there and `create` allows it.
    pub fn open(root: &Path, create: bool) -> Result<Self, ArchiveError> {
        let path = root.join(INDEX_FILE);
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let mut index = Self::connect(&path, flags)?;
        index.prepare().map_err(|err| index.error(err))?;
        let found = index.version().map_err(|err| index.error(err))?;
        if found > VERSION {
            return Err(ArchiveError::Newer {
                path: root.to_owned(),
                found,
                known: VERSION,
            });
        }
        if found == 0 {
            index
                .in_one(|connection| {
                    connection.execute_batch(SCHEMA)?;
                    connection.pragma_update(None, "user_version", VERSION)
                })
                .map_err(|err| index.error(err))?;
        }
        Ok(index)
    }

    /// Opens the index for reading.
    pub fn open_reader(root: &Path) -> Result<Self, ArchiveError> {
        let path = root.join(INDEX_FILE);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let index = Self::connect(&path, flags)?;
        index
            .connection
            .pragma_update(None, "cache_size", -4096)
            .map_err(|err| index.error(err))?;
        Ok(index)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, ArchiveError> {
        let failed = |source| ArchiveError::Index {
            path: path.to_owned(),
            source,
        };
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        // `cv-relay rules` and `archive repair` write too, seldom and briefly.
        connection
            .busy_timeout(std::time::Duration::from_secs(5))
            .map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            connection,
        })
    }

    fn prepare(&mut self) -> rusqlite::Result<()> {
        let connection = &self.connection;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // A log that a long read let grow is cut again.
        connection.pragma_update(None, "journal_size_limit", 16_i64 << 20)?;
        connection.pragma_update(None, "cache_size", -8192)
    }

    /// Version of the schema, if this program knows it.
    pub fn newest_version(&self) -> Result<i64, ArchiveError> {
        let found = self.version().map_err(|err| self.error(err))?;
        if found > VERSION {
            return Err(ArchiveError::Newer {
                path: self.path.clone(),
                found,
                known: VERSION,
            });
        }
        Ok(found)
    }

    fn version(&self) -> rusqlite::Result<i64> {
        self.connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
    }

    /// Wraps an error of SQLite.
    pub fn error(&self, source: rusqlite::Error) -> ArchiveError {
        ArchiveError::Index {
            path: self.path.clone(),
            source,
        }
    }

    /// Runs `work` in one transaction.
    pub fn in_one<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let result = work(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// The connection, for reading.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The rules of a camera as JSON.
    pub fn rules(&self, camera: &str) -> Result<Option<String>, ArchiveError> {
        use rusqlite::OptionalExtension as _;
        self.connection
            .query_row(
                "SELECT json FROM rules WHERE camera = ?1",
                [camera],
                |row| row.get(0),
            )
            .optional()
            .map_err(|err| self.error(err))
    }

    /// Replaces the rules of a camera.
    pub fn put_rules(&mut self, camera: &str, json: &str) -> Result<(), ArchiveError> {
        self.connection
            .execute(
                "INSERT INTO rules (camera, json) VALUES (?1, ?2)
                 ON CONFLICT (camera) DO UPDATE SET json = excluded.json",
                [camera, json],
            )
            .map(|_| ())
            .map_err(|err| self.error(err))
    }

    /// SQLite's own check of the whole file: what is wrong with it.
    pub fn check(&self) -> Result<Vec<String>, ArchiveError> {
        let mut lines = Vec::new();
        self.connection
            .pragma_query(None, "integrity_check", |row| {
                lines.push(row.get::<_, String>(0)?);
                Ok(())
            })
            .map_err(|err| self.error(err))?;
        lines.retain(|line| line != "ok");
        Ok(lines)
    }

    /// A number that changes whenever another connection has written.
    pub fn data_version(&self) -> Result<i64, ArchiveError> {
        self.connection
            .pragma_query_value(None, "data_version", |row| row.get(0))
            .map_err(|err| self.error(err))
    }
}
