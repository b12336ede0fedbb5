//! The audit log: who did what to whom.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::Store;
use crate::error::AccessError;
use crate::model::{AuditEntry, now_us};

/// Lines that are kept at most, however long they are to be kept.
const MOST_ENTRIES: i64 = 100_000;

/// Longest text in a column; what strangers send comes in here too.
const MAX_TEXT: usize = 200;

/// Writes a line; called within the transaction of what it tells of.
pub(super) fn write(
    db: &Connection,
    actor: &str,
    action: &str,
    subject: &str,
) -> Result<(), AccessError> {
    let short = |text: &str| text.chars().take(MAX_TEXT).collect::<String>();
    db.prepare("INSERT INTO audit (at_us, actor, action, subject) VALUES (?, ?, ?, ?)")?
        .execute(params![now_us(), short(actor), action, short(subject)])?;
    Ok(())
}

impl Store {
    /// Notes something that happened elsewhere, such as a changed rule.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn note(&mut self, actor: &str, action: &str, subject: &str) -> Result<(), AccessError> {
        write(&self.db, actor, action, subject)
    }

    /// At most `limit` lines that are older than line `before`, newest first.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>, AccessError> {
        let mut query = self.db.prepare(
            "SELECT id, at_us, actor, action, subject FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?",
        )?;
        let rows = query.query_map(params![before.unwrap_or(i64::MAX), limit], |row| {
            Ok(AuditEntry {
                id: row.get(0)?,
                at_us: row.get(1)?,
                actor: row.get(2)?,
                action: row.get(3)?,
                subject: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Removes lines older than `keep`, and sessions and tokens that have ended.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn prune(&mut self, keep: Duration) -> Result<(), AccessError> {
        let now = now_us();
        let us = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let change = self.begin()?;
        change.execute(
            "DELETE FROM audit WHERE at_us < ?1 OR id <= (SELECT max(id) FROM audit) - ?2",
            params![now.saturating_sub(us(keep)), MOST_ENTRIES],
        )?;
        change.execute(
            "DELETE FROM sessions WHERE seen_us < ?",
            params![now.saturating_sub(us(crate::model::SESSION_TIME))],
        )?;
        change.execute("DELETE FROM tokens WHERE expires_us < ?", params![now])?;
        change.commit()?;
        Ok(())
    }
}
