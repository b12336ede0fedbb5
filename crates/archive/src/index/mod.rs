//! The index: which segments and events there are. SQLite in WAL mode with one writer.
//!
//! `synchronous` is FULL: a commit that has returned survives a power cut. The order of writing is
//! files, sync, then the row that names them, so whatever the index names is there.

mod connection;
mod events;
mod put;
mod retention;
mod segments;
mod sql;
mod timeline;

pub use connection::INDEX_FILE;
pub(crate) use connection::Index;
pub use events::{EventFilter, EventPage, MAX_PAGE};
pub(crate) use put::Row;
pub(crate) use retention::{Doomed, Limit};
pub use timeline::Bucket;
