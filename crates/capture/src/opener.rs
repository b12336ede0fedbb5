//! Opens sources, and finds again the camera that was open before.

use crate::error::CaptureError;
use crate::source::{Source, Wanted};
use crate::spec::SourceSpec;
use crate::v4l2::{self, Fingerprint};
use crate::{clip, exec, http, test_picture};

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
        }
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
    fn what_has_worked_once_is_never_taken_for_a_bad_setting() {
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
