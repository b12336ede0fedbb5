//! Why something about access could not be done.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why something about access could not be done.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The folder cannot be used.
    #[error("cannot use {} for users and keys: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database cannot be opened or brought up to date.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The database was made by a newer version.
    #[error("{} was made by a newer version of this program (its version is {found}, this program knows {known}); update the program", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// Another relay has the folder.
    #[error("another relay uses {}; give this one a folder of its own with --data-dir", .0.display())]
    InUse(PathBuf),
    /// The database failed.
    #[error("the database of users and keys failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// The thread that owns the database has ended.
    #[error("the database of users and keys is closed")]
    Closed,
    /// Something of this name is there already.
    #[error("there is already {what} {name:?}")]
    Exists {
        /// For example "a user".
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Nothing of this name is there.
    #[error("there is no {what} {name:?}")]
    Unknown {
        /// For example "user".
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A value breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// The relay would be without an administrator.
    #[error(
        "{0:?} is the only administrator; make somebody else one first (cv-relay user add --admin NAME)"
    )]
    LastAdministrator(String),
    /// The first administrator exists, so this way is closed.
    #[error("an administrator exists already; sign in instead")]
    AlreadySetUp,
    /// Name or password is wrong; which of them is not told.
    #[error("name or password is wrong")]
    WrongPassword,
    /// Too many failures; try again later.
    #[error("too many failed attempts; try again in {} s", seconds(.0))]
    TooManyFailures(Duration),
    /// Too many passwords are being checked.
    #[error("too many people sign in at the moment; try again")]
    Busy,
    /// A password could not be hashed or read.
    #[error("a password could not be processed: {0}")]
    Hashing(String),
    /// The system gave no random bytes.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

fn seconds(wait: &Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
