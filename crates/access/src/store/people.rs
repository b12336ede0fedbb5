//! Users and their sessions.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Store, audit};
use crate::error::AccessError;
use crate::model::{Cameras, Role, Session, User, check_name, now_us};
use crate::password::PasswordHashText;
use crate::secret::Digest;

/// Users at most.
const MOST_USERS: i64 = 1000;

/// Browsers that one person may be signed in with; the one that was used least lately is signed out.
const MOST_SESSIONS: i64 = 50;

/// Longest name of a browser that is kept, in characters.
const MAX_BROWSER: usize = 200;

pub(super) fn users(db: &Connection) -> Result<HashMap<i64, User>, AccessError> {
    let mut query = db.prepare("SELECT id, name, role, cameras, created_us FROM users")?;
    let rows = query.query_map([], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, Option<String>>(3)?,
            row.get::<_, i64>(4)?,
        ))
    })?;
    let mut users = HashMap::new();
    for row in rows {
        let (id, name, role, cameras, created_us) = row?;
        let user = User {
            id,
            name,
            role: role.parse()?,
            cameras: read_cameras(cameras)?,
            created_us,
        };
        users.insert(id, user);
    }
    Ok(users)
}

pub(super) fn sessions(db: &Connection) -> Result<HashMap<Digest, Session>, AccessError> {
    let mut query =
        db.prepare("SELECT secret, id, user, created_us, seen_us, address, browser FROM sessions")?;
    let rows = query.query_map([], |row| {
        let session = Session {
            id: row.get(1)?,
            user: row.get(2)?,
            created_us: row.get(3)?,
            seen_us: row.get(4)?,
            address: row.get(5)?,
            browser: row.get(6)?,
        };
        Ok((row.get(0)?, session))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn read_cameras(text: Option<String>) -> Result<Cameras, AccessError> {
    text.map_or(Ok(Cameras::All), |text| {
        serde_json::from_str(&text)
            .map_err(|err| AccessError::Invalid(format!("the database's list of cameras: {err}")))
    })
}

fn write_cameras(cameras: &Cameras) -> Option<String> {
    match cameras {
        Cameras::All => None,
        // Names cannot fail to serialize.
        Cameras::Named(names) => Some(serde_json::to_string(names).unwrap_or_default()),
    }
}

/// The row and role of a user.
fn find(db: &Connection, name: &str) -> Result<(i64, Role), AccessError> {
    let found: Option<(i64, String)> = db
        .query_row(
            "SELECT id, role FROM users WHERE name = ?",
            params![name],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let (id, role) = found.ok_or_else(|| AccessError::Unknown {
        what: "user",
        name: name.to_owned(),
    })?;
    Ok((id, role.parse()?))
}

fn admins(db: &Connection) -> Result<i64, AccessError> {
    Ok(db.query_row(
        "SELECT count(*) FROM users WHERE role = 'admin'",
        [],
        |row| row.get(0),
    )?)
}

fn insert_user(
    db: &Connection,
    name: &str,
    password: &PasswordHashText,
    role: Role,
    cameras: &Cameras,
) -> Result<i64, AccessError> {
    check_name(name)?;
    let (count, taken): (i64, bool) = db.query_row(
        "SELECT count(*), coalesce(max(name = ? COLLATE NOCASE), 0) FROM users",
        params![name],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if taken {
        return Err(AccessError::Exists {
            what: "a user",
            name: name.to_owned(),
        });
    }
    if count >= MOST_USERS {
        return Err(AccessError::Invalid(format!(
            "there are {MOST_USERS} users, which is the most"
        )));
    }
    db.execute(
        "INSERT INTO users (name, password, role, cameras, created_us) VALUES (?, ?, ?, ?, ?)",
        params![
            name,
            password.0,
            role.as_str(),
            write_cameras(cameras),
            now_us()
        ],
    )?;
    Ok(db.last_insert_rowid())
}

impl Store {
    /// Adds a person.
    ///
    /// # Errors
    ///
    /// If the name breaks a rule or is taken.
    pub fn add_user(
        &mut self,
        actor: &str,
        name: &str,
        password: &PasswordHashText,
        role: Role,
        cameras: &Cameras,
    ) -> Result<(), AccessError> {
        let change = self.begin()?;
        insert_user(&change, name, password, role, cameras)?;
        let action = match role {
            Role::Admin => "administrator added",
            Role::Viewer => "viewer added",
        };
        audit::write(&change, actor, action, name)?;
        Ok(change.commit()?)
    }

    /// Adds the first administrator.
    ///
    /// # Errors
    ///
    /// [`AccessError::AlreadySetUp`] if there is one.
    pub fn add_first_admin(
        &mut self,
        actor: &str,
        name: &str,
        password: &PasswordHashText,
    ) -> Result<i64, AccessError> {
        let change = self.begin()?;
        if admins(&change)? > 0 {
            return Err(AccessError::AlreadySetUp);
        }
        let id = insert_user(&change, name, password, Role::Admin, &Cameras::All)?;
        audit::write(&change, actor, "first administrator added", name)?;
        change.commit()?;
        Ok(id)
    }

    /// The row and the password's hash of a person.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn password_of(&self, name: &str) -> Result<Option<(i64, PasswordHashText)>, AccessError> {
        Ok(self
            .db
            .query_row(
                "SELECT id, password FROM users WHERE name = ?",
                params![name],
                |row| Ok((row.get(0)?, PasswordHashText(row.get(1)?))),
            )
            .optional()?)
    }

    /// Changes a password and ends the person's sessions, but for `keep`.
    ///
    /// # Errors
    ///
    /// If there is no such person.
    pub fn set_password(
        &mut self,
        actor: &str,
        name: &str,
        password: &PasswordHashText,
        keep: Option<i64>,
    ) -> Result<(), AccessError> {
        let change = self.begin()?;
        let (id, _) = find(&change, name)?;
        change.execute(
            "UPDATE users SET password = ? WHERE id = ?",
            params![password.0, id],
        )?;
        change.execute(
            "DELETE FROM sessions WHERE user = ? AND id IS NOT ?",
            params![id, keep],
        )?;
        audit::write(&change, actor, "password changed", name)?;
        Ok(change.commit()?)
    }

    /// Changes what a person may do and see.
    ///
    /// # Errors
    ///
    /// If there is no such person, or no administrator would be left.
    pub fn set_rights(
        &mut self,
        actor: &str,
        name: &str,
        role: Role,
        cameras: &Cameras,
    ) -> Result<(), AccessError> {
        let change = self.begin()?;
        let (id, before) = find(&change, name)?;
        if before == Role::Admin && role != Role::Admin && admins(&change)? == 1 {
            return Err(AccessError::LastAdministrator(name.to_owned()));
        }
        change.execute(
            "UPDATE users SET role = ?, cameras = ? WHERE id = ?",
            params![role.as_str(), write_cameras(cameras), id],
        )?;
        let cameras = match cameras {
            Cameras::All => "all cameras".to_owned(),
            Cameras::Named(names) => names.iter().cloned().collect::<Vec<_>>().join(", "),
        };
        let subject = format!("{name}: {}, {cameras}", role.as_str());
        audit::write(&change, actor, "rights changed", &subject)?;
        Ok(change.commit()?)
    }

    /// Removes a person and ends their sessions.
    ///
    /// # Errors
    ///
    /// If there is no such person, or no administrator would be left.
    pub fn remove_user(&mut self, actor: &str, name: &str) -> Result<(), AccessError> {
        let change = self.begin()?;
        let (id, role) = find(&change, name)?;
        if role == Role::Admin && admins(&change)? == 1 {
            return Err(AccessError::LastAdministrator(name.to_owned()));
        }
        change.execute("DELETE FROM users WHERE id = ?", params![id])?;
        audit::write(&change, actor, "user removed", name)?;
        Ok(change.commit()?)
    }

    /// Notes that a person has signed in with a browser.
    ///
    /// # Errors
    ///
    /// If the database fails, or the person has just been removed.
    pub fn start_session(
        &mut self,
        user: i64,
        secret: &Digest,
        address: &str,
        browser: &str,
    ) -> Result<(), AccessError> {
        let change = self.begin()?;
        let now = now_us();
        let browser: String = browser.chars().take(MAX_BROWSER).collect();
        change.execute(
            "INSERT INTO sessions (secret, user, created_us, seen_us, address, browser)
             VALUES (?1, ?2, ?3, ?3, ?4, ?5)",
            params![secret, user, now, address, browser],
        )?;
        change.execute(
            "DELETE FROM sessions WHERE user = ?1 AND id NOT IN
             (SELECT id FROM sessions WHERE user = ?1 ORDER BY seen_us DESC, id DESC LIMIT ?2)",
            params![user, MOST_SESSIONS],
        )?;
        let name: String =
            change.query_row("SELECT name FROM users WHERE id = ?", [user], |row| {
                row.get(0)
            })?;
        audit::write(&change, &name, "signed in", &format!("from {address}"))?;
        Ok(change.commit()?)
    }

    /// Notes that a session is in use.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn touch_session(&mut self, id: i64) -> Result<(), AccessError> {
        self.db.execute(
            "UPDATE sessions SET seen_us = ? WHERE id = ?",
            params![now_us(), id],
        )?;
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// If there is none of this number.
    pub fn end_session(&mut self, actor: &str, id: i64) -> Result<(), AccessError> {
        let change = self.begin()?;
        let owner: Option<String> = change
            .query_row(
                "DELETE FROM sessions WHERE id = ?
                 RETURNING (SELECT name FROM users WHERE users.id = sessions.user)",
                params![id],
                |row| row.get(0),
            )
            .optional()?;
        let owner = owner.ok_or_else(|| AccessError::Unknown {
            what: "session",
            name: id.to_string(),
        })?;
        let (action, subject) = if owner == actor {
            ("signed out", String::new())
        } else {
            ("session ended", format!("of {owner}"))
        };
        audit::write(&change, actor, action, &subject)?;
        Ok(change.commit()?)
    }
}
