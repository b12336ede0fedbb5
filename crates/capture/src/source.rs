//! What every source of frames offers, and what is asked of one.

use std::time::Duration;

use bytes::Bytes;
use cv_picture::Resolution;
use cv_protocol::Timestamp;

use crate::error::CaptureError;

/// A picture as a source delivers it; the capture thread makes a [`cv_picture::Frame`] of it.
#[derive(Clone, Debug)]
pub struct Picture {
    /// A whole JPEG picture; may be a buffer of the driver.
    pub jpeg: Bytes,
    /// When it was taken.
    pub captured_at: Timestamp,
    /// Its size.
    pub resolution: Resolution,
    /// How many pictures were lost since the one before: gaps in the driver's sequence numbers,
    /// newer ones that were waiting already, and those that were not usable.
    pub skipped: u64,
}

/// An open camera, clip or stream.
pub trait Source: Send {
    /// Waits at most `timeout` for the next picture; `None` if none came.
    ///
    /// # Errors
    ///
    /// [`CaptureError`], after which the source is dropped; whether it is worth opening it again
    /// says [`Opener::should_retry`].
    fn next(&mut self, timeout: Duration) -> Result<Option<Picture>, CaptureError>;

    /// What is open, for a person to read: device, format, size and rate.
    fn describe(&self) -> String;

    /// The rate that the source promises, in frames per second, if it knows.
    fn nominal_fps(&self) -> Option<f32>;

    /// What happened to the pictures since the source was opened.
    fn counts(&self) -> Counts {
        Counts::default()
    }
}

/// What happened to pictures on their way out of a source, since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lost before they reached us, by the driver's sequence numbers.
    pub lost: u64,
    /// Left out because a newer one was there already.
    pub stale: u64,
    /// Dropped because they were not usable pictures.
    pub bad: u64,
    /// Delivered after a repair (Huffman tables added, EOI added, padding cut).
    pub repaired: u64,
    /// Delivered as a copy, because the driver would have run out of buffers otherwise.
    pub copied: u64,
}

/// What the user wants of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Largest picture; a camera's nearest mode that is not larger is chosen. Clips, streams and
    /// pictures come at the size they have.
    pub max_size: Resolution,
    /// Frames per second that a camera or the test picture is to make. Clips and streams have
    /// their own rate.
    pub fps: f32,
    /// Camera controls to set, `name` and value, in this order (`--control brightness=128`).
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
