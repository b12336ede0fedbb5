//! Opens sources, and finds the camera again that was open before.

use std::path::PathBuf;

use crate::error::CaptureError;
use crate::source::{Source, Wanted};
use crate::spec::SourceSpec;
use crate::v4l2::{self, Fingerprint, Memory};
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
    /// Where it is remembered for the next start.
    memory: Option<Memory>,
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
    fn a_camera_that_has_another_number_since_the_boot_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cameras.json");
        // There is no camera, but the error names the place that was tried.
        let place = folder.path().join("by-id");
        std::fs::write(&place, "").unwrap();
        let device = "/dev/video4711";
        let remembered = format!(
            r#"{{"{device}": {{"stable_name": {place:?}, "identity":
                {{"driver": "uvcvideo", "card": "HD", "bus": "usb-1", "caps": 1}}}}}}"#
        );
        std::fs::write(&file, remembered).unwrap();
        let told = |mut opener: Opener| opener.open().err().unwrap().to_string();
        let spec: SourceSpec = device.parse().unwrap();
        let forgetful = Opener::new(spec.clone(), Wanted::default());
        assert!(told(forgetful).contains(device));
        let error = told(Opener::new(spec, Wanted::default()).remembering(file));
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
        std::fs::write(&path, crate::jpeg::tests::jpeg(16, 16, 1)).unwrap();
        opener.open().unwrap();
        std::fs::remove_file(&path).unwrap();
        let error = opener.open().err().unwrap();
        assert!(opener.should_retry(&error));
    }
}
