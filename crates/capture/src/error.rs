//! Why no picture could be captured.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use cv_picture::Resolution;

/// Why no picture could be captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// There is no such device (yet).
    #[error("there is no camera at {}{}", device.display(), others(present))]
    NoCamera {
        /// The device that was looked for.
        device: PathBuf,
        /// Cameras that are there.
        present: Vec<String>,
    },
    /// Another program uses the camera.
    #[error("{} is in use by {}", device.display(), user.as_deref().unwrap_or("another program"))]
    Busy {
        /// The device.
        device: PathBuf,
        /// Name and process id of that program, if we may know.
        user: Option<String>,
        /// What the driver said.
        source: io::Error,
    },
    /// The device may not be opened.
    #[error(
        "no permission to open {}; its users belong to the group that owns it, mostly `video` \
         (sudo usermod -aG video USER, then log in again)",
        device.display()
    )]
    Permission {
        /// The device.
        device: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file that is no video device.
    #[error("{} is not a video device", device.display())]
    NotVideo {
        /// The file.
        device: PathBuf,
    },
    /// A video device that does not capture pictures.
    #[error("{} is a video device, but {what}{}", device.display(), instead(present))]
    NotCapture {
        /// The device.
        device: PathBuf,
        /// What it is, for example `it carries only metadata`.
        what: String,
        /// Cameras that are there.
        present: Vec<String>,
    },
    /// The camera has no mode that we can use.
    #[error("{} has no usable mode at most {max_size} large; it offers {offered}", device.display())]
    NoMode {
        /// The device.
        device: PathBuf,
        /// What was wanted.
        max_size: Resolution,
        /// The camera's modes, for a person to read.
        offered: String,
    },
    /// The driver refused a step of starting the camera.
    #[error("{} refused to {step}", device.display())]
    Refused {
        /// The device.
        device: PathBuf,
        /// What was tried, for example `start streaming`.
        step: String,
        /// What the driver said.
        source: io::Error,
    },
    /// A `--control` that the camera does not have or does not take.
    #[error("{}: control {name}: {reason}", device.display())]
    Control {
        /// The device.
        device: PathBuf,
        /// The control's name as given.
        name: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The camera was unplugged, or the stream broke off.
    #[error("lost {what}")]
    Lost {
        /// The device, address or command.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The source is there but makes no pictures.
    #[error("{what} has made no usable picture for {:.0} s{}", since.as_secs_f32(), bad(*bad_pictures, reason))]
    Silent {
        /// The device, address or command.
        what: String,
        /// How long.
        since: Duration,
        /// Pictures in this time that were not usable.
        bad_pictures: u64,
        /// What was wrong with the last of those.
        reason: String,
    },
    /// A clip, picture or folder cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A source whose content cannot be used.
    #[error("cannot use {what}: {reason}")]
    Unusable {
        /// The file, address or command.
        what: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// An HTTP stream could not be opened.
    #[error("cannot open {url}: {reason}")]
    Http {
        /// The address, without password.
        url: String,
        /// What happened.
        reason: String,
        /// Whether the server refused for good (4xx).
        refused: bool,
    },
    /// The command of `exec:` could not be started.
    #[error("cannot start `{command}`")]
    Spawn {
        /// The command.
        command: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The command of `exec:` ended.
    #[error("`{command}` ended: {status}{}", detail(last_words))]
    Ended {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last line of its standard error.
        last_words: String,
    },
}

impl CaptureError {
    /// What happened and what caused it, in one line.
    #[must_use]
    pub fn with_cause(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    /// Whether trying again can succeed without someone changing the settings.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            // Permission: at boot the group of a device file may be set late.
            Self::NoCamera { .. }
            | Self::Busy { .. }
            | Self::Permission { .. }
            | Self::Refused { .. }
            | Self::Lost { .. }
            | Self::Silent { .. } => true,
            Self::Http { refused, .. } => !refused,
            // The shell's statuses for "not found" and "not executable".
            Self::Ended { status, .. } => !matches!(status.code(), Some(126 | 127)),
            Self::NotVideo { .. }
            | Self::NotCapture { .. }
            | Self::NoMode { .. }
            | Self::Control { .. }
            | Self::File { .. }
            | Self::Unusable { .. }
            | Self::Spawn { .. } => false,
        }
    }
}

fn others(present: &[String]) -> String {
    if present.is_empty() {
        "; no camera is plugged in".into()
    } else {
        format!("; there are {}", present.join(", "))
    }
}

fn instead(present: &[String]) -> String {
    if present.is_empty() {
        String::new()
    } else {
        format!("; cameras are {}", present.join(", "))
    }
}

fn bad(pictures: u64, reason: &str) -> String {
    if pictures == 0 {
        String::new()
    } else {
        format!(" ({pictures} were bad, the last one: {reason})")
    }
}

fn detail(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" ({text})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_device_and_what_to_do() {
        let error = CaptureError::NoCamera {
            device: "/dev/video7".into(),
            present: vec!["/dev/video0 (UVC Camera)".into()],
        };
        assert_eq!(
            error.to_string(),
            "there is no camera at /dev/video7; there are /dev/video0 (UVC Camera)"
        );
        let error = CaptureError::Permission {
            device: "/dev/video0".into(),
            source: io::ErrorKind::PermissionDenied.into(),
        };
        assert!(error.to_string().contains("usermod -aG video"));
        assert!(error.with_cause().ends_with(": permission denied"));
        assert!(error.is_transient());
    }

    #[test]
    fn silence_tells_about_bad_pictures() {
        let error = CaptureError::Silent {
            what: "/dev/video0".into(),
            since: Duration::from_secs(5),
            bad_pictures: 3,
            reason: "no SOI".into(),
        };
        assert_eq!(
            error.to_string(),
            "/dev/video0 has made no usable picture for 5 s (3 were bad, the last one: no SOI)"
        );
        assert!(error.is_transient());
    }
}
