//! Who may watch, bring cameras and administer: users, sessions, API tokens, accepted agents.
//!
//! ```text
//!  a request, a connection            page, `cv-relay user|token|agents`
//!        | cookie, token, key                  | changes
//!        v                                     v
//!  Access::snapshot() <---reload--- Store: one SQLite file <--- other processes
//!   (memory, never waits)             owned by the thread `access`
//! ```
//!
//! Decisions are made from the [`Snapshot`] in memory, so nothing on the way of a picture waits for
//! the database. Every change goes through the thread that owns the database, together with its
//! line of the audit log; the snapshot is renewed before the one who asked gets the answer. Changes
//! by other processes (the command line) are found within half a second, and [`Access::changes`]
//! tells whoever has to end connections.
//!
//! Secrets are random, stored as SHA-256 digests and compared in constant time; passwords are
//! hashed with argon2id, two at a time. Nothing here knows sockets or HTTP.
//!
//! Thread: `access`, for the database. Tasks: none.
#![forbid(unsafe_code)]

mod adoption;
mod error;
mod failures;
mod keeper;
mod links;
mod model;
mod password;
mod people;
mod secret;
mod store;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

pub use adoption::Asking;
pub use error::AccessError;
pub use failures::{Failing, Failures};
pub use links::{LinkKey, MAX_LINK_SECONDS};
pub use model::{
    Agent, ApiToken, AuditEntry, Cameras, MAX_NAME_BYTES, Role, SESSION_TIME, Session, Snapshot,
    User, Waiting, check_name, now_us,
};
pub use password::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS, Password, PasswordHashText, Passwords};
pub use people::SignIn;
pub use secret::{Digest, Kind, Secret, SharedSecret};
pub use store::Store;

use keeper::Keeper;

/// The users, keys and tokens of a running relay.
#[derive(Debug)]
pub struct Access {
    keeper: Keeper,
    passwords: Passwords,
    link_key: LinkKey,
    /// Agents that wait now, by code; the database follows.
    waiting: Mutex<HashMap<String, Waiting>>,
}

impl Access {
    /// Opens the database in `folder`, which belongs to this process until the result is dropped.
    /// Lines of the audit log are kept for `keep_audit`.
    ///
    /// # Errors
    ///
    /// If the folder or the database cannot be used, or another relay has it.
    pub fn open(folder: &Path, keep_audit: Duration) -> Result<Arc<Self>, AccessError> {
        let (keeper, link_key) = Keeper::start(folder, keep_audit)?;
        Ok(Arc::new(Self {
            keeper,
            passwords: Passwords::new()?,
            link_key,
            waiting: Mutex::default(),
        }))
    }

    /// Everything that decisions need, as it is known now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.keeper.snapshot()
    }

    /// Becomes changed with every new [`Self::snapshot`].
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.keeper.changes()
    }

    /// Signs links to pictures.
    #[must_use]
    pub fn link_key(&self) -> &LinkKey {
        &self.link_key
    }

    /// Does something with the database on its thread; afterwards the snapshot shows it.
    ///
    /// # Errors
    ///
    /// That of `work`, or of the database.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, AccessError> + Send + 'static,
    ) -> Result<T, AccessError> {
        self.keeper.run(work).await
    }
}

#[cfg(test)]
mod tests;
