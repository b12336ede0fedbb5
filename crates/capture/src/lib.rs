//! Captures frames: from cameras, clips, images, streams, commands and the test image.
//!
//! ```text
//! --source / --camera
//!       |
//!   SourceSpec ("0", "clip.avi", "http://...", "exec:...", "test")
//!       |
//!   Opener::open -----> Box<dyn Source> --next(timeout)--> Picture (JPEG, time, size, frames skipped)
//!       ^                     |
//!       '-- should_retry <-- CaptureError (Lost, Silent, ...)
//! ```
//!
//! The sources, and what each frame passes through before [`Source::next`] returns it:
//!
//! ```text
//! v4l2          driver's buffer --[raw cameras: encode]------.
//! http          body --> multipart --.                       |
//! exec          stdout --> split ----+--> feed (newest) -----+--> jpeg (check, repair) --> Picture
//! clip          file --> avi, split, png --> playlist, pace -'
//! test_picture  encoded rows --> pace ---------------------------------------------------> Picture
//! ```
//!
//! A camera's JPEG is not copied: the `Bytes` of a [`Picture`] are the driver's own buffer, which
//! returns to the driver when the last clone is dropped. [`Opener`] remembers which camera it opened,
//! so that the agent finds a camera that was unplugged and reconnects as another device file.
//!
//! # Threads
//!
//! [`Source::next`] runs on the caller's thread, the agent's `capture` thread. Cameras, clips and the
//! test image need no other thread. HTTP and `exec:` sources block while they read, so each has a
//! thread of its own, which hands the newest frame over through a [`cv_flow::Slot`]; `exec:` has a
//! second one that logs the command's standard error. Dropping the source ends them.
//!
//! # Invariants
//!
//! - [`Source::next`] returns within the time it is given, whatever the device or the network does.
//!   The capture thread can therefore always stop.
//! - A source delivers the newest frame. Older frames are dropped and counted, never queued.
//! - A delivered frame starts with SOI, ends with EOI, has tables and a size, and is at most as long
//!   as the protocol allows. Everything else is repaired or dropped, and counted in [`Counts`].
//! - A camera that is gone or silent ends in [`CaptureError::Lost`] or [`CaptureError::Silent`],
//!   after which the caller drops the source and opens it again.
//! - The driver always keeps two buffers. If too many frames are held, further ones are copied.
//! - Memory is bounded: one frame of a stream, 64 MiB of a clip, 16 MiB of the test image.
//! - A password in an address or a command appears in no message and in no debug output.
//!
//! # Dependencies
//!
//! The crate depends on `cv-flow` (the slot), `cv-picture` (sizes, encoding, Huffman tables) and
//! `cv-protocol` (timestamps, limits). It alone names ureq (HTTP), png, and the kernel's V4L2
//! interface. All `unsafe` code is in `v4l2::sys`, and one call that signals a process group in
//! `exec`.

mod clip;
mod error;
mod exec;
mod feed;
mod http;
mod jpeg;
mod multipart;
mod pace;
mod silence;
mod spec;
mod split;
mod test_picture;
pub mod v4l2;

use std::time::Duration;

use bytes::Bytes;
use cv_protocol::Timestamp;

use self::v4l2::Fingerprint;
use cv_picture::Resolution;

pub use error::CaptureError;
pub use spec::{SourceSpec, SpecError};

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

/// Opens one source again and again, for as long as the agent runs.
///
/// It remembers two things. First, which camera it opened, so that it finds a camera that was
/// `/dev/video0` and reconnects as `/dev/video2`. Second, whether the source has ever worked: after
/// that, no fault of the source is taken for a wrong setting.
#[derive(Debug)]
pub struct Opener {
    spec: SourceSpec,
    wanted: Wanted,
    opened_once: bool,
    /// The camera that was opened last.
    camera: Option<Fingerprint>,
}

impl Opener {
    /// Creates an opener. It does not open the source yet.
    #[must_use]
    pub fn new(spec: SourceSpec, wanted: Wanted) -> Self {
        Self {
            spec,
            wanted,
            opened_once: false,
            camera: None,
        }
    }

    /// Opens the source. This may take two seconds, in which a command or an address can fail at
    /// once, or udev can set the permissions of a camera that was just plugged in.
    ///
    /// The opener first looks for the camera that was open before, under whatever device file it
    /// has now, unless the user asked for it by a name that is stable. If that camera is not there,
    /// the opener takes the camera at the device file that the user asked for.
    ///
    /// # Errors
    ///
    /// Returns a [`CaptureError`] that names the source and what was expected of it.
    pub fn open(&mut self) -> Result<Box<dyn Source>, CaptureError> {
        let source = match &self.spec {
            SourceSpec::Camera(device) if !device.starts_with("/dev/v4l") => {
                let known = self.camera.as_ref().and_then(Fingerprint::find);
                let device = known.unwrap_or_else(|| device.clone());
                let source = v4l2::start(&device, &self.wanted)?;
                self.camera =
                    Fingerprint::of(&device).map(|camera| camera.with_earlier(self.camera.take()));
                source
            }
            spec => open(spec, &self.wanted)?,
        };
        self.opened_once = true;
        Ok(source)
    }

    /// Whether opening the source again after `error` can succeed without a change of the settings.
    #[must_use]
    pub fn should_retry(&self, error: &CaptureError) -> bool {
        self.opened_once || error.is_transient()
    }
}

/// Opens a source once; [`Opener`] opens one source repeatedly.
///
/// # Errors
///
/// Returns a [`CaptureError`] that names the source and what was expected of it.
pub fn open(spec: &SourceSpec, wanted: &Wanted) -> Result<Box<dyn Source>, CaptureError> {
    Ok(match spec {
        SourceSpec::Files { paths, fps } => Box::new(clip::ClipSource::open(paths, *fps)?),
        SourceSpec::Test { size, fps } => {
            Box::new(test_picture::TestPicture::new(*size, *fps, wanted)?)
        }
        SourceSpec::Camera(device) => v4l2::start(device, wanted)?,
        SourceSpec::Http(url) => Box::new(http::HttpSource::open(url)?),
        SourceSpec::Exec(command) => Box::new(exec::ExecSource::open(command)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_has_worked_is_never_taken_for_a_wrong_setting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.jpg");
        let spec: SourceSpec = path.to_str().unwrap().parse().unwrap();
        let mut opener = Opener::new(spec, Wanted::default());
        let error = opener.open().err().unwrap();
        assert!(!opener.should_retry(&error));
        std::fs::write(&path, jpeg::tests::jpeg(16, 16, 1)).unwrap();
        opener.open().unwrap();
        std::fs::remove_file(&path).unwrap();
        let error = opener.open().err().unwrap();
        assert!(opener.should_retry(&error));
    }
}
