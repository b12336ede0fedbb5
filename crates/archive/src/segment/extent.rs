//! What a segment holds, as the index knows it.

use cv_protocol::Timestamp;

use super::side::RECORD_BYTES;

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
