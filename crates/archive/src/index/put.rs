//! Rows that are written.

use cv_protocol::Timestamp;

use super::connection::Index;
use super::{events, segments};
use crate::error::ArchiveError;
use crate::events::Event;
use crate::segment::Segment;

/// What the index is to be told.
#[derive(Clone, Debug)]
pub(crate) enum Row {
    /// A segment, new or grown.
    Segment(Segment),
    /// An event, new or changed.
    Event {
        /// The event.
        event: Event,
        /// Bytes of its snapshot; `None`: as before.
        snapshot_bytes: Option<u64>,
        /// Footage that belongs to it.
        footage: (Timestamp, Timestamp),
        /// Whether it is new; what has been deleted meanwhile is not changed.
        is_new: bool,
    },
}

impl Index {
    /// Takes rows in one transaction; they survive a power cut once this has returned.
    pub fn put(&mut self, rows: &[Row]) -> Result<(), ArchiveError> {
        self.in_one(|connection| {
            for row in rows {
                match row {
                    Row::Segment(segment) => segments::put(connection, segment)?,
                    Row::Event {
                        event,
                        snapshot_bytes,
                        footage,
                        is_new: true,
                    } => events::insert(connection, event, *snapshot_bytes, *footage)?,
                    Row::Event {
                        event,
                        snapshot_bytes,
                        footage,
                        is_new: false,
                    } => events::change(connection, event, *snapshot_bytes, footage.1)?,
                }
            }
            Ok(())
        })
        .map_err(|err| self.error(err))
    }
}
