//! A source of frames: the trait that every source implements, its counters, and what the user
//! wants from it.

use std::time::Duration;

use bytes::Bytes;
use cv_picture::Resolution;
use cv_protocol::Timestamp;

use crate::error::CaptureError;

/// One captured JPEG as a source delivers it. The agent's capture thread numbers it and makes a
/// [`cv_picture::Frame`] of it.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The complete JPEG. Its bytes may be a buffer of the camera driver.
    pub jpeg: Bytes,
    /// Time at which the JPEG was captured.
    pub captured_at: Timestamp,
    /// Size of the JPEG in pixels.
    pub resolution: Resolution,
    /// Number of frames lost or dropped since the previous one: gaps in the driver's sequence
    /// numbers, frames that a newer one replaced, and frames that were not usable.
    pub skipped: u64,
}

/// An open camera, clip or stream.
pub trait Source: Send {
    /// Waits at most `timeout` for the next frame; returns `None` if none came.
    ///
    /// # Errors
    ///
    /// Returns a [`CaptureError`], after which the caller must drop the source.
    /// [`Opener::should_retry`] tells whether it is worth opening the source again.
    fn next(&mut self, timeout: Duration) -> Result<Option<Picture>, CaptureError>;

    /// Describes the open source for a person: device, format, size and rate.
    fn describe(&self) -> String;

    /// Returns the frame rate that the source promises, in frames per second, if it is known.
    fn nominal_fps(&self) -> Option<f32>;

    /// Returns the counters of dropped, repaired and copied frames since the source was opened.
    fn counts(&self) -> Counts {
        Counts::default()
    }
}

/// Counters of what happened to the frames of a source since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of frames that were lost before they reached the agent, according to the driver's
    /// sequence numbers.
    pub lost: u64,
    /// Number of frames dropped because a newer one was already available.
    pub stale: u64,
    /// Number of frames dropped because they were not usable JPEGs.
    pub bad: u64,
    /// Number of frames delivered after a repair: Huffman tables added, EOI added, or padding cut
    /// off.
    pub repaired: u64,
    /// Number of frames delivered as a copy, because the driver would otherwise have run out of
    /// buffers.
    pub copied: u64,
}

/// What the user wants from a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Maximum size of a frame. A camera is set to its nearest mode that is not larger. Clips,
    /// streams and images keep their own size.
    pub max_size: Resolution,
    /// Frames per second that a camera or the test image should deliver. Clips and streams have a
    /// rate of their own.
    pub fps: f32,
    /// Names and values of the camera controls to set, in this order (`--control brightness=128`).
    pub controls: Vec<(String, String)>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            max_size: Resolution {
                width: 640,
                height: 480,
            },
            fps: 30.0,
            controls: Vec::new(),
        }
    }
}
