//! Segments: files of frames as the camera made them.
//!
//! ```text
//!  front-door/2026-11-25/21/49-29.123.mjpeg   JPEGs, one after the other: ffmpeg -f mjpeg -i ...
//!                           49-29.123.side    a header, then a record of 48 bytes for each JPEG
//!                           49-29.123.boxes   what was found, one line of JSON for each search
//!                           ID.jpg            the frame of an event's best sight
//!                           ID.json           an event that has ended
//! ```
//!
//! Days and hours are UTC. A segment holds at most a minute, and no longer gap than
//! [`MAX_GAP_US`]: what lies between its first and its last frame is footage.

mod boxes;
mod name;
mod reader;
mod recover;
mod side;
mod writer;

use cv_protocol::Timestamp;

pub(crate) use name::{SEGMENT_FILES, record_path, with_extension};
pub use name::{camera_folder, camera_of_folder, snapshot_path};
pub use reader::{Reader, StoredFrame};
pub(crate) use recover::{recover, verify};
pub(crate) use side::RECORD_BYTES;
pub use side::Record;
pub use writer::SegmentWriter;

/// Longest pause between two frames of one segment, in microseconds.
pub const MAX_GAP_US: u64 = 10_000_000;

/// Longest segment, in microseconds.
pub const MAX_SEGMENT_US: u64 = 60_000_000;

/// Largest segment, in bytes: offsets in records have 32 bits.
pub const MAX_SEGMENT_BYTES: u64 = 1 << 30;

/// A segment as the index knows it: everything that it names is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Path below the archive's folder, without extension.
    pub path: String,
    /// The camera's name.
    pub camera: String,
    /// Time of the first frame.
    pub start_us: Timestamp,
    /// Time of the last frame.
    pub end_us: Timestamp,
    /// Number of frames.
    pub frames: u64,
    /// Bytes of the frames.
    pub bytes: u64,
    /// Bytes of the detections.
    pub boxes_bytes: u64,
    /// Whether it was recorded without regard to events.
    pub continuous: bool,
    /// Whether nothing will be added to it.
    pub sealed: bool,
}

impl Segment {
    /// Bytes that its files take.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.bytes + self.boxes_bytes + (self.frames + 1) * RECORD_BYTES as u64
    }
}
