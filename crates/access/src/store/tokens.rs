//! Programs' tokens.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Store, audit};
use crate::error::AccessError;
use crate::model::{ApiToken, Role, check_name, now_us};
use crate::secret::{Digest, Kind, Secret};

/// Tokens at most.
const MOST_TOKENS: i64 = 1000;

pub(super) fn all(db: &Connection) -> Result<HashMap<Digest, ApiToken>, AccessError> {
    let mut query =
        db.prepare("SELECT secret, scope, name, created_us, created_by, expires_us FROM tokens")?;
    let rows = query.query_map([], |row| {
        let token = ApiToken {
            name: row.get(2)?,
            scope: Role::Viewer,
            created_us: row.get(3)?,
            created_by: row.get(4)?,
            expires_us: row.get(5)?,
        };
        Ok((row.get::<_, Digest>(0)?, row.get::<_, String>(1)?, token))
    })?;
    let mut tokens = HashMap::new();
    for row in rows {
        let (secret, scope, token) = row?;
        let scope = scope_from(&scope)?;
        tokens.insert(secret, ApiToken { scope, ..token });
    }
    Ok(tokens)
}

/// A token's scope is the role it stands for; `view` and `admin` are its names.
fn scope_from(text: &str) -> Result<Role, AccessError> {
    match text {
        "view" => Ok(Role::Viewer),
        "admin" => Ok(Role::Admin),
        other => Err(AccessError::Invalid(format!(
            "the scope {other:?} is not known; expected view or admin"
        ))),
    }
}

fn scope_text(scope: Role) -> &'static str {
    match scope {
        Role::Viewer => "view",
        Role::Admin => "admin",
    }
}

impl Store {
    /// Makes a token; the result is shown once and stored nowhere.
    ///
    /// # Errors
    ///
    /// If the name breaks a rule or is taken.
    pub fn add_token(
        &mut self,
        actor: &str,
        name: &str,
        scope: Role,
        expires_us: Option<i64>,
    ) -> Result<Secret, AccessError> {
        check_name(name)?;
        let secret = Secret::generate(Kind::Token)?;
        let change = self.begin()?;
        let (count, taken): (i64, bool) = change.query_row(
            "SELECT count(*), coalesce(max(name = ? COLLATE NOCASE), 0) FROM tokens",
            params![name],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if taken {
            return Err(AccessError::Exists {
                what: "a token",
                name: name.to_owned(),
            });
        }
        if count >= MOST_TOKENS {
            return Err(AccessError::Invalid(format!(
                "there are {MOST_TOKENS} tokens, which is the most"
            )));
        }
        change.execute(
            "INSERT INTO tokens (name, secret, scope, created_us, created_by, expires_us)
             VALUES (?, ?, ?, ?, ?, ?)",
            params![
                name,
                secret.digest(),
                scope_text(scope),
                now_us(),
                actor,
                expires_us
            ],
        )?;
        audit::write(&change, actor, "token made", name)?;
        change.commit()?;
        Ok(secret)
    }

    /// Revokes a token.
    ///
    /// # Errors
    ///
    /// If there is none of this name.
    pub fn revoke_token(&mut self, actor: &str, name: &str) -> Result<(), AccessError> {
        let change = self.begin()?;
        let gone: Option<String> = change
            .query_row(
                "DELETE FROM tokens WHERE name = ? RETURNING name",
                params![name],
                |row| row.get(0),
            )
            .optional()?;
        let gone = gone.ok_or_else(|| AccessError::Unknown {
            what: "token",
            name: name.to_owned(),
        })?;
        audit::write(&change, actor, "token revoked", &gone)?;
        Ok(change.commit()?)
    }
}
