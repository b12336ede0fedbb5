//! Opens sources, and finds the camera again that was open before.

use crate::error::CaptureError;
use crate::source::{Source, Wanted};
use crate::spec::SourceSpec;
use crate::v4l2::{self, Fingerprint};
use crate::{clip, exec, http, test_picture};

/// Opens one source again and again, for as long as the agent runs.
///
/// The opener remembers two things. First, which camera it opened, so that it finds a camera that
/// was `/dev/video0` and reconnects as `/dev/video2`. Second, whether the source has ever worked:
/// after that, no fault of the source is taken for a wrong setting.
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
        std::fs::write(&path, crate::jpeg::tests::jpeg(16, 16, 1)).unwrap();
        opener.open().unwrap();
        std::fs::remove_file(&path).unwrap();
        let error = opener.open().err().unwrap();
        assert!(opener.should_retry(&error));
    }
}
