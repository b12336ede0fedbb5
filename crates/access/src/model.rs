//! The nouns: users, sessions, API tokens, agents, and what each may do.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::AccessError;
use crate::secret::Digest;

/// A session that is not used for this long ends.
pub const SESSION_TIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Longest name of a user, token or camera, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Now, in microseconds since the Unix epoch.
#[must_use]
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Watch.
    Viewer,
    /// Watch, accept agents, manage users, tokens and everything else.
    Admin,
}

impl Role {
    /// As it is written in settings and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = AccessError;

    fn from_str(text: &str) -> Result<Self, AccessError> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "admin" => Ok(Self::Admin),
            other => Err(AccessError::Invalid(format!(
                "the role {other:?} is not known; expected admin or viewer"
            ))),
        }
    }
}

/// The cameras that somebody may see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cameras {
    /// All, also those to come.
    #[default]
    All,
    /// Those of these names.
    Named(BTreeSet<String>),
}

impl Cameras {
    /// Whether the camera of this name may be seen.
    #[must_use]
    pub fn include(&self, camera: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(camera),
        }
    }

    /// Whether every camera may be seen.
    #[must_use]
    pub fn are_all(&self) -> bool {
        *self == Self::All
    }
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// Its row.
    #[serde(skip)]
    pub id: i64,
    /// Unique without regard to case.
    pub name: String,
    /// What the person may do.
    pub role: Role,
    /// The cameras that the person may see; administrators see all.
    pub cameras: Cameras,
    /// When the person was added.
    pub created_us: i64,
}

/// A browser that somebody has signed in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its row, by which it is ended.
    pub id: i64,
    /// The row of the person.
    pub user: i64,
    /// When the person signed in.
    pub created_us: i64,
    /// About when it was last used.
    pub seen_us: i64,
    /// From where the person signed in.
    pub address: String,
    /// What the browser calls itself.
    pub browser: String,
}

impl Session {
    /// When it ends if it is not used before.
    #[must_use]
    pub fn ends_us(&self) -> i64 {
        let time = i64::try_from(SESSION_TIME.as_micros()).unwrap_or(i64::MAX);
        self.seen_us.saturating_add(time)
    }
}

/// A program's token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiToken {
    /// Unique.
    pub name: String,
    /// What the program may do.
    pub scope: Role,
    /// When it was made.
    pub created_us: i64,
    /// By whom.
    pub created_by: String,
    /// When it ends; `None` for never.
    pub expires_us: Option<i64>,
}

/// An agent that was accepted for a camera's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Agent {
    /// The camera's name.
    pub name: String,
    /// Digest of its key.
    #[serde(skip)]
    pub key: Digest,
    /// When it was accepted.
    pub accepted_us: i64,
    /// By whom.
    pub accepted_by: String,
    /// When it was revoked, if it was.
    pub revoked_us: Option<i64>,
}

/// An agent that asks to be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Tells it from others that ask for the same name; shown on both sides.
    pub code: String,
    /// The camera's name.
    pub name: String,
    /// Where it connects from.
    pub address: String,
    /// Its version, in its own words.
    pub version: String,
    /// Since when it has been waiting.
    pub since_us: i64,
    /// Who has accepted it, once somebody has.
    #[serde(skip)]
    pub accepted_by: Option<String>,
    /// Whether somebody has turned it away.
    #[serde(skip)]
    pub refused: bool,
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Its number; later ones are higher.
    pub id: i64,
    /// When.
    pub at_us: i64,
    /// Who did it.
    pub actor: String,
    /// What was done, as in "agent accepted".
    pub action: String,
    /// To whom or what.
    pub subject: String,
}

/// Everything that decisions need, as it was at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// By row.
    pub users: HashMap<i64, User>,
    /// By the digest of the cookie's secret.
    pub sessions: HashMap<Digest, Session>,
    /// By the digest of the token.
    pub tokens: HashMap<Digest, ApiToken>,
    /// By the camera's name.
    pub agents: HashMap<String, Agent>,
    /// Agents that wait, by code.
    pub waiting: HashMap<String, Waiting>,
}

impl Snapshot {
    /// Whether somebody can administer.
    #[must_use]
    pub fn has_admin(&self) -> bool {
        self.users.values().any(|user| user.role == Role::Admin)
    }

    /// The session of a secret, with its person, unless it has ended.
    #[must_use]
    pub fn session(&self, secret: &Digest, now_us: i64) -> Option<(&Session, &User)> {
        let session = self.sessions.get(secret)?;
        let user = self.users.get(&session.user)?;
        (now_us < session.ends_us()).then_some((session, user))
    }

    /// The token of a secret, unless it has expired.
    #[must_use]
    pub fn token(&self, secret: &Digest, now_us: i64) -> Option<&ApiToken> {
        let token = self.tokens.get(secret)?;
        token
            .expires_us
            .is_none_or(|expires| now_us < expires)
            .then_some(token)
    }
}

/// Checks the name of a user or a token.
///
/// # Errors
///
/// [`AccessError::Invalid`] with the rule that it breaks.
pub fn check_name(name: &str) -> Result<(), AccessError> {
    let reason = if name.is_empty() || name.len() > MAX_NAME_BYTES {
        format!("has 1 to {MAX_NAME_BYTES} bytes, not {}", name.len())
    } else if name.trim() != name {
        "neither begins nor ends with a space".to_owned()
    } else if name.chars().any(|c| c.is_control() || is_invisible(c)) {
        "has no control, invisible or right-to-left characters".to_owned()
    } else {
        return Ok(());
    };
    Err(AccessError::Invalid(format!(
        "{name:?} cannot be a name: one {reason}"
    )))
}

/// Characters that change how a name looks without being seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_mistaken_are_refused() {
        for name in ["eva", "Eva Maria", "büro", "a@b.example"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let long = "x".repeat(65);
        for name in [
            "",
            " eva",
            "eva ",
            "e\nva",
            "e\u{200b}va",
            "\u{202e}ave",
            &long,
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn cameras_are_all_or_a_list() {
        assert!(Cameras::All.include("front"));
        let some = Cameras::Named(["front".to_owned()].into());
        assert!(some.include("front") && !some.include("back"));
        assert_eq!(serde_json::to_string(&Cameras::All).unwrap(), "null");
        assert_eq!(serde_json::to_string(&some).unwrap(), r#"["front"]"#);
        assert_eq!(
            serde_json::from_str::<Cameras>("null").unwrap(),
            Cameras::All
        );
    }
}
