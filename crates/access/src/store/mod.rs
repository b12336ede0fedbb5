//! The database: one SQLite file, read whole into a [`Snapshot`], changed in transactions that also
//! write the audit log.
//!
//! Several processes may have it open: a running relay and `cv-relay user …`. Whoever changes
//! something is noticed by [`Store::version`].

mod agents;
mod audit;
mod people;
mod tokens;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::error::AccessError;
use crate::links::LinkKey;
use crate::model::Snapshot;
use crate::secret::Digest;

/// Name of the database in the data folder.
const FILE: &str = "access.db";

/// How long a change waits for another process's.
const BUSY: Duration = Duration::from_secs(5);

/// Each entry brings the database from its index to the next version (`PRAGMA user_version`).
const MIGRATIONS: [&str; 1] = [include_str!("1.sql")];

/// The open database. Its methods block.
#[derive(Debug)]
pub struct Store {
    db: Connection,
}

impl Store {
    /// Opens the database in `folder`; makes both if they are missing, readable by their owner alone.
    ///
    /// # Errors
    ///
    /// If the folder or the database cannot be used.
    pub fn open(folder: &Path) -> Result<Self, AccessError> {
        let path = folder.join(FILE);
        make_private(folder, &path).map_err(|source| AccessError::Folder {
            path: folder.to_owned(),
            source,
        })?;
        let open = || -> rusqlite::Result<Connection> {
            let db = Connection::open(&path)?;
            db.busy_timeout(BUSY)?;
            db.pragma_update(None, "journal_mode", "WAL")?;
            // A power cut may cost the last changes but never the file.
            db.pragma_update(None, "synchronous", "FULL")?;
            db.pragma_update(None, "foreign_keys", true)?;
            Ok(db)
        };
        let db = open().map_err(|source| AccessError::Open {
            path: path.clone(),
            source,
        })?;
        let mut store = Self { db };
        store.migrate(&path)?;
        Ok(store)
    }

    fn migrate(&mut self, path: &Path) -> Result<(), AccessError> {
        let failed = |source| AccessError::Open {
            path: path.to_owned(),
            source,
        };
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        // Immediate: two programs that start together must not both migrate.
        let change = self.begin().map_err(failed)?;
        let version = |db: &Connection| db.pragma_query_value(None, "user_version", |r| r.get(0));
        let found: i64 = version(&change).map_err(failed)?;
        if found > known {
            return Err(AccessError::TooNew {
                path: path.to_owned(),
                found,
                known,
            });
        }
        for (step, sql) in (0_i64..)
            .zip(MIGRATIONS)
            .skip_while(|(step, _)| *step < found)
        {
            change.execute_batch(sql).map_err(failed)?;
            change
                .pragma_update(None, "user_version", step + 1)
                .map_err(failed)?;
        }
        change.commit().map_err(failed)
    }

    fn begin(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.db
            .transaction_with_behavior(TransactionBehavior::Immediate)
    }

    /// Changes whenever another process has changed the database.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn version(&self) -> Result<i64, AccessError> {
        Ok(self
            .db
            .pragma_query_value(None, "data_version", |row| row.get(0))?)
    }

    /// Everything, as it is now.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn snapshot(&mut self) -> Result<Snapshot, AccessError> {
        let read = self.db.transaction()?;
        Ok(Snapshot {
            users: people::users(&read)?,
            sessions: people::sessions(&read)?,
            tokens: tokens::all(&read)?,
            agents: agents::all(&read)?,
            waiting: agents::waiting(&read)?,
        })
    }

    /// The key that links to pictures are signed with; made when it is first asked for.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn link_key(&mut self) -> Result<LinkKey, AccessError> {
        let change = self.begin()?;
        let known: Option<[u8; 32]> = change
            .query_row("SELECT value FROM secrets WHERE name = 'link'", [], |row| {
                row.get(0)
            })
            .optional()?;
        let key = match known {
            Some(bytes) => LinkKey::from_bytes(bytes),
            None => {
                let key = LinkKey::generate()?;
                change.execute(
                    "INSERT INTO secrets (name, value) VALUES ('link', ?)",
                    params![key.bytes()],
                )?;
                key
            }
        };
        change.commit()?;
        Ok(key)
    }
}

impl rusqlite::ToSql for Digest {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(self.bytes().as_slice().into())
    }
}

impl rusqlite::types::FromSql for Digest {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(Self::from_bytes)
    }
}

/// Makes folder and file so that only their owner can read them. What root makes in somebody else's
/// folder belongs to the folder's owner, so that `sudo cv-relay user add` does not lock the service out.
fn make_private(folder: &Path, file: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
    {
        Ok(_) => {
            let (made, owner) = (fs::metadata(file)?, fs::metadata(folder)?);
            if made.uid() != owner.uid() {
                std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid()))?;
            }
            Ok(())
        }
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(err) => Err(err),
    }
}

#[cfg(test)]
mod tests;
