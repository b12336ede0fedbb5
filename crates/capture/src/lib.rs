//! Where pictures come from: cameras, clips, streams and the test picture.
//!
//! ```text
//! SourceSpec ("0", "clip.avi", "http://...", "exec:...", "test")
//!     -> Opener::open -> Box<dyn Source> -> next(timeout) -> Picture (JPEG, time, size)
//! ```
//!
//! Every source answers within the time it is given, so the capture thread can always stop, and
//! notices a camera that is gone or silent: [`CaptureError::Lost`] and [`CaptureError::Silent`]
//! come out of [`Source::next`], after which the caller drops the source and opens it again.

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

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use cv_protocol::Timestamp;

use self::v4l2::{Fingerprint, Memory};
use cv_picture::Resolution;

pub use error::CaptureError;
pub use spec::{SourceSpec, SpecError};

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

/// Opens one source again and again, as long as the agent runs.
///
/// It remembers two things: which camera it was, so that `/dev/video0` that comes back as
/// `/dev/video2` is found; and that the source has worked once, after which no fault of it is
/// taken for a bad setting.
#[derive(Debug)]
pub struct Opener {
    spec: SourceSpec,
    wanted: Wanted,
    opened_once: bool,
    /// The camera that was opened last.
    camera: Option<Fingerprint>,
    /// Where it is remembered for the next start.
    memory: Option<Memory>,
}

impl Opener {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(spec: SourceSpec, wanted: Wanted) -> Self {
        Self {
            spec,
            wanted,
            opened_once: false,
            camera: None,
            memory: None,
        }
    }

    /// Remembers a camera in `file` from start to start: numbers of device files may be others
    /// after a boot.
    #[must_use]
    pub fn remembering(mut self, file: PathBuf) -> Self {
        let memory = Memory::new(file);
        if let SourceSpec::Camera(device) = &self.spec {
            self.camera = memory.recall(device);
        }
        self.memory = Some(memory);
        self
    }

    /// Opens the source; may take two seconds, in which a command or an address is given the
    /// chance to fail at once, or udev the time to let us open a camera.
    ///
    /// The camera that was open before is looked for first, wherever it is now, unless it was
    /// asked for by a name that is stable anyway. If it is not there, another one at the place that
    /// was asked for is taken.
    ///
    /// # Errors
    ///
    /// [`CaptureError`], which names the source and what was expected of it.
    pub fn open(&mut self) -> Result<Box<dyn Source>, CaptureError> {
        let source = match &self.spec {
            SourceSpec::Camera(device) if !device.starts_with("/dev/v4l") => {
                let known = self.camera.as_ref().and_then(Fingerprint::find);
                let place = known.unwrap_or_else(|| device.clone());
                let source = v4l2::start(&place, &self.wanted)?;
                self.camera =
                    Fingerprint::of(&place).map(|camera| camera.with_earlier(self.camera.take()));
                if let (Some(memory), Some(camera)) = (&self.memory, &self.camera) {
                    memory.keep(device, camera);
                }
                source
            }
            spec => open(spec, &self.wanted)?,
        };
        self.opened_once = true;
        Ok(source)
    }

    /// Whether opening again after `error` can succeed without someone changing the settings.
    #[must_use]
    pub fn should_retry(&self, error: &CaptureError) -> bool {
        self.opened_once || error.is_transient()
    }
}

/// Opens a source once; [`Opener`] is for those that are to come back.
///
/// # Errors
///
/// [`CaptureError`], which names the source and what was expected of it.
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
    fn a_camera_that_has_another_number_since_the_boot_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cameras.json");
        // No camera, but at the place where the remembered one is now: the error tells which.
        let place = folder.path().join("by-id");
        std::fs::write(&place, "").unwrap();
        let device = "/dev/video4711";
        let remembered = format!(
            r#"{{"{device}": {{"stable_name": {place:?}, "identity":
                {{"driver": "uvcvideo", "card": "HD", "bus": "usb-1", "caps": 1}}}}}}"#
        );
        std::fs::write(&file, remembered).unwrap();
        let told = |opener: Opener| {
            let mut opener = opener;
            opener.open().err().unwrap().to_string()
        };
        let spec: SourceSpec = device.parse().unwrap();
        let forgetful = Opener::new(spec.clone(), Wanted::default());
        assert!(told(forgetful).contains(device));
        let opener = Opener::new(spec, Wanted::default()).remembering(file);
        let error = told(opener);
        assert!(error.contains(place.to_str().unwrap()), "{error}");
    }

    #[test]
    fn what_has_worked_once_is_never_taken_for_a_bad_setting() {
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
