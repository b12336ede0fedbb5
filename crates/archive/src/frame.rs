//! What a camera brings to the archive.

use bytes::Bytes;
use cv_protocol::{Detections, Timestamp};

/// A captured frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The agent's number of the frame.
    pub seq: u64,
    /// When it was captured, by the agent's clock; with `seq` it ties detections to the frame.
    pub captured_us: Timestamp,
    /// When it was captured, by the archive's clock: its place on the timeline.
    pub at_us: Timestamp,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Whether boxes are drawn into the picture.
    pub annotated: bool,
    /// The camera's JPEG.
    pub jpeg: Bytes,
}

/// What was found in a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// When the frame was captured, by the archive's clock.
    pub at_us: Timestamp,
    /// As the agent sent them.
    pub detections: Detections,
}
