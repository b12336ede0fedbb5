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
mod extent;
mod name;
mod reader;
mod recover;
mod side;
mod writer;

pub use extent::{MAX_GAP_US, MAX_SEGMENT_US, Segment};
pub(crate) use name::{SEGMENT_FILES, record_path, with_extension};
pub use name::{camera_folder, camera_of_folder, snapshot_path};
pub use reader::{Reader, StoredFrame};
pub(crate) use recover::{recover, verify};
pub use side::Record;
pub use writer::SegmentWriter;
