//! Agents that were accepted, and those that wait for it.
//!
//! The running relay keeps the list of those that wait up to date; a person accepts one here, from
//! the page or the command line; the relay notices, makes the key and hands it over.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Store, audit};
use crate::error::AccessError;
use crate::model::{Agent, Waiting, now_us};
use crate::secret::Digest;

/// Accepted agents at most.
const MOST_AGENTS: i64 = 10_000;

pub(super) fn all(db: &Connection) -> Result<HashMap<String, Agent>, AccessError> {
    let mut query =
        db.prepare("SELECT name, key, accepted_us, accepted_by, revoked_us FROM agents")?;
    let rows = query.query_map([], |row| {
        let agent = Agent {
            name: row.get(0)?,
            key: row.get(1)?,
            accepted_us: row.get(2)?,
            accepted_by: row.get(3)?,
            revoked_us: row.get(4)?,
        };
        Ok((agent.name.clone(), agent))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn waiting(db: &Connection) -> Result<HashMap<String, Waiting>, AccessError> {
    let mut query = db.prepare(
        "SELECT code, name, address, version, since_us, accepted_by, refused FROM waiting",
    )?;
    let rows = query.query_map([], |row| {
        let waiting = Waiting {
            code: row.get(0)?,
            name: row.get(1)?,
            address: row.get(2)?,
            version: row.get(3)?,
            since_us: row.get(4)?,
            accepted_by: row.get(5)?,
            refused: row.get(6)?,
        };
        Ok((waiting.code.clone(), waiting))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl Store {
    /// Makes `list` the agents that wait. Those that have been accepted meanwhile stay accepted.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn set_waiting(&mut self, list: &[Waiting]) -> Result<(), AccessError> {
        let change = self.begin()?;
        for known in waiting(&change)?.values() {
            let same = |w: &&Waiting| w.code == known.code && w.since_us == known.since_us;
            if !list.iter().any(|w| same(&w)) {
                change.execute("DELETE FROM waiting WHERE code = ?", params![known.code])?;
            }
        }
        for w in list {
            change.execute(
                "INSERT OR IGNORE INTO waiting (code, name, address, version, since_us)
                 VALUES (?, ?, ?, ?, ?)",
                params![w.code, w.name, w.address, w.version, w.since_us],
            )?;
        }
        Ok(change.commit()?)
    }

    /// Accepts the agent that waits under `name`; `code` says which if there are several. An agent
    /// that was revoked and does not wait gets its right back.
    ///
    /// # Errors
    ///
    /// If there is none, or there are several and no code.
    pub fn accept(
        &mut self,
        actor: &str,
        name: &str,
        code: Option<&str>,
    ) -> Result<(), AccessError> {
        let change = self.begin()?;
        let mut candidates: Vec<Waiting> = waiting(&change)?
            .into_values()
            .filter(|w| w.name == name && w.accepted_by.is_none() && !w.refused)
            .collect();
        if let Some(code) = code {
            candidates.retain(|w| w.code == code);
        }
        match candidates.as_slice() {
            [one] => {
                change.execute(
                    "UPDATE waiting SET accepted_by = ? WHERE code = ?",
                    params![actor, one.code],
                )?;
                let subject = format!("{name} from {}, code {}", one.address, one.code);
                audit::write(&change, actor, "agent accepted", &subject)?;
            }
            [] if code.is_none() => {
                let again = change.execute(
                    "UPDATE agents SET revoked_us = NULL, accepted_by = ? WHERE name = ? AND revoked_us IS NOT NULL",
                    params![actor, name],
                )?;
                if again == 0 {
                    return Err(unknown("agent that waits as", name));
                }
                audit::write(&change, actor, "agent accepted again", name)?;
            }
            [] => return Err(unknown("agent with this code that waits as", name)),
            several => {
                let codes: Vec<_> = several
                    .iter()
                    .map(|w| format!("{} from {}", w.code, w.address))
                    .collect();
                return Err(AccessError::Invalid(format!(
                    "{} agents wait as {name:?}; say which by its code: {}",
                    several.len(),
                    codes.join(", ")
                )));
            }
        }
        Ok(change.commit()?)
    }

    /// Refuses the agent that waits with this code; the relay ends its connection.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn turn_away(&mut self, actor: &str, code: &str) -> Result<(), AccessError> {
        let change = self.begin()?;
        let name: Option<String> = change
            .query_row(
                "UPDATE waiting SET refused = 1
                 WHERE code = ? AND accepted_by IS NULL AND NOT refused RETURNING name",
                params![code],
                |row| row.get(0),
            )
            .optional()?;
        let name = name.ok_or_else(|| unknown("agent that waits with code", code))?;
        audit::write(&change, actor, "agent turned away", &name)?;
        Ok(change.commit()?)
    }

    /// Binds `name` to a key, as somebody has accepted the agent that waits with this code.
    ///
    /// # Errors
    ///
    /// If nobody has, or the relay has too many agents.
    pub fn adopt(&mut self, code: &str, key: &Digest) -> Result<(), AccessError> {
        let change = self.begin()?;
        let accepted: Option<(String, String)> = change
            .query_row(
                "DELETE FROM waiting WHERE code = ? AND accepted_by IS NOT NULL RETURNING name, accepted_by",
                params![code],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let (name, actor) = accepted.ok_or_else(|| unknown("accepted agent with code", code))?;
        let count: i64 = change.query_row("SELECT count(*) FROM agents", [], |row| row.get(0))?;
        if count >= MOST_AGENTS {
            return Err(AccessError::Invalid(format!(
                "there are {MOST_AGENTS} agents, which is the most; remove some first"
            )));
        }
        change.execute(
            "INSERT INTO agents (name, key, accepted_us, accepted_by) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (name) DO UPDATE
             SET key = ?2, accepted_us = ?3, accepted_by = ?4, revoked_us = NULL",
            params![name, key, now_us(), actor],
        )?;
        Ok(change.commit()?)
    }

    /// Takes an agent's right away; its name stays bound to it until it is removed.
    ///
    /// # Errors
    ///
    /// If there is none, or it is revoked already.
    pub fn revoke_agent(&mut self, actor: &str, name: &str) -> Result<(), AccessError> {
        let change = self.begin()?;
        let changed = change.execute(
            "UPDATE agents SET revoked_us = ? WHERE name = ? AND revoked_us IS NULL",
            params![now_us(), name],
        )?;
        if changed == 0 {
            return Err(unknown("accepted agent", name));
        }
        audit::write(&change, actor, "agent revoked", name)?;
        Ok(change.commit()?)
    }

    /// Forgets an agent: its key is void and its name is free.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn remove_agent(&mut self, actor: &str, name: &str) -> Result<(), AccessError> {
        let change = self.begin()?;
        if change.execute("DELETE FROM agents WHERE name = ?", params![name])? == 0 {
            return Err(unknown("agent", name));
        }
        audit::write(&change, actor, "agent removed", name)?;
        Ok(change.commit()?)
    }
}

fn unknown(what: &'static str, name: &str) -> AccessError {
    AccessError::Unknown {
        what,
        name: name.to_owned(),
    }
}
