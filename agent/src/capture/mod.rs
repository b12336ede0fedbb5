//! Where pictures come from: cameras, clips, streams and the test picture.
//!
//! Every source answers within the time it is given, so the capture thread can always stop, and
//! notices a camera that is gone or silent.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use cv_protocol::Timestamp;

use crate::frame::Resolution;

/// A picture as a source delivers it; the capture thread makes a [`crate::frame::Frame`] of it.
#[derive(Clone, Debug)]
pub struct Picture {
    /// A whole JPEG picture; may be a buffer of the driver.
    pub jpeg: Bytes,
    /// When it was taken.
    pub captured_at: Timestamp,
    /// Its size.
    pub resolution: Resolution,
    /// How many pictures the source lost before this one (driver's sequence gaps, bad pictures).
    pub skipped: u64,
}

/// An open camera, clip or stream.
pub trait Source: Send {
    /// Waits at most `timeout` for the next picture; `None` if none came.
    ///
    /// # Errors
    ///
    /// [`CaptureError`], after which the source is dropped; whether it is worth opening it again
    /// says [`CaptureError::is_transient`].
    fn next(&mut self, timeout: Duration) -> Result<Option<Picture>, CaptureError>;

    /// What is open, for a person to read: device, format, size and rate.
    fn describe(&self) -> String;

    /// The rate that the source promises, in frames per second, if it knows.
    fn nominal_fps(&self) -> Option<f32>;
}

/// What the user wants of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Largest picture; a camera's nearest mode that is not larger is chosen.
    pub max_size: Resolution,
    /// Most frames per second.
    pub fps: f32,
}

/// Why no picture could be captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The device, file or address is not there (yet).
    #[error("{} is not there", .0.display())]
    Absent(PathBuf),
}

impl CaptureError {
    /// Whether trying again can succeed without someone changing the settings.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Absent(_) => true,
        }
    }
}
