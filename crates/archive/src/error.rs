//! Why the archive could not do what it was asked for.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file or folder.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was attempted, for example `write`.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The index.
    #[error("the archive's index {}", path.display())]
    Index {
        /// The index's file.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// The index was written by a newer version of this program.
    #[error(
        "the archive in {} has version {found}, this program knows up to {known}; update it or choose another folder with --archive-dir", path.display()
    )]
    Newer {
        /// The archive's folder.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest known.
        known: i64,
    },
    /// Another process has the archive open for writing.
    #[error(
        "the archive in {} is in use by another process; stop it or choose another folder with --archive-dir", path.display()
    )]
    InUse {
        /// The archive's folder.
        path: PathBuf,
    },
    /// The folder is no longer the one that was opened.
    #[error(
        "the archive in {} has gone or was replaced; is its disk mounted?", path.display()
    )]
    Gone {
        /// The archive's folder.
        path: PathBuf,
    },
    /// There is no such event.
    #[error("there is no event {id:?}")]
    NoSuchEvent {
        /// The id that was asked for.
        id: String,
    },
    /// A cursor that this archive has not made.
    #[error("cursor {0:?} is not one that this archive has returned")]
    Cursor(String),
    /// Rules that cannot be followed.
    #[error("{0}")]
    Rules(#[from] crate::rules::RulesError),
    /// The archive is being closed, or its index does not answer.
    #[error("the archive does not answer: {0}")]
    Unavailable(String),
}

impl ArchiveError {
    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            what,
            path: path.to_owned(),
            source,
        }
    }

    /// The text with its causes, for a person.
    #[must_use]
    pub fn explained(&self) -> String {
        use std::error::Error as _;
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(err) = cause {
            text.push_str(": ");
            text.push_str(&err.to_string());
            cause = err.source();
        }
        text
    }
}
