//! The reasons why a source cannot be opened or has stopped delivering frames.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use cv_picture::Resolution;

/// Reason why a source cannot be opened or has stopped delivering frames.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// There is no such device file, at least not yet.
    #[error("there is no camera at {}{}", device.display(), others(present))]
    NoCamera {
        /// Path of the device file that was looked for.
        device: PathBuf,
        /// Cameras that are present, as `/dev/video0 (HD Webcam)`.
        present: Vec<String>,
    },
    /// Another program uses the camera.
    #[error("{} is in use by {}", device.display(), user.as_deref().unwrap_or("another program"))]
    Busy {
        /// Path of the device file.
        device: PathBuf,
        /// Name and process id of the other program, if the agent may read them.
        user: Option<String>,
        /// Error that the driver returned.
        source: io::Error,
    },
    /// The agent has no permission to open the device file.
    #[error(
        "no permission to open {}; its users belong to the group that owns it, mostly `video` \
         (sudo usermod -aG video USER, then log in again)",
        device.display()
    )]
    Permission {
        /// Path of the device file.
        device: PathBuf,
        /// Error that the kernel returned.
        source: io::Error,
    },
    /// The file is not a video device.
    #[error("{} is not a video device", device.display())]
    NotVideo {
        /// Path of the file.
        device: PathBuf,
    },
    /// The file is a video device, but not one that captures video.
    #[error("{} is a video device, but {what}{}", device.display(), instead(present))]
    NotCapture {
        /// Path of the device file.
        device: PathBuf,
        /// End of the sentence "DEVICE is a video device, but ...", for example `carries only
        /// metadata`.
        what: String,
        /// Cameras that are present, as `/dev/video0 (HD Webcam)`.
        present: Vec<String>,
    },
    /// The camera has no mode that the agent can use.
    #[error("{} has no usable mode of at most {max_size}; it offers {offered}", device.display())]
    NoMode {
        /// Path of the device file.
        device: PathBuf,
        /// Maximum size that the settings allow.
        max_size: Resolution,
        /// The camera's modes, for a person to read.
        offered: String,
    },
    /// The driver refused a request while the camera was being started.
    #[error("{} refused to {step}", device.display())]
    Refused {
        /// Path of the device file.
        device: PathBuf,
        /// Name of the step that failed, for example `start streaming`.
        step: String,
        /// Error that the driver returned.
        source: io::Error,
    },
    /// The camera does not have a control given with `--control`, or does not accept its value.
    #[error("{}: control {name}: {reason}", device.display())]
    Control {
        /// Path of the device file.
        device: PathBuf,
        /// Name of the control, as given.
        name: String,
        /// Reason for the refusal, and what would be accepted.
        reason: String,
    },
    /// The camera was unplugged, or the stream broke off.
    #[error("lost {what}")]
    Lost {
        /// Name of the device, address or command.
        what: String,
        /// Error that the kernel returned.
        source: io::Error,
    },
    /// The source is open but delivers no usable frames.
    #[error("{what} has delivered no usable frame for {:.0} s{}", since.as_secs_f32(), bad(*bad_pictures, reason))]
    Silent {
        /// Name of the device, address or command.
        what: String,
        /// Time since the last usable frame.
        since: Duration,
        /// Number of frames in this time that were not usable.
        bad_pictures: u64,
        /// Reason why the last of those frames was not usable.
        reason: String,
    },
    /// A clip, image or folder cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Path of the file or folder.
        path: PathBuf,
        /// Error that the kernel returned.
        source: io::Error,
    },
    /// The content of a source cannot be used.
    #[error("cannot use {what}: {reason}")]
    Unusable {
        /// Name of the file, address or command.
        what: String,
        /// Reason: what was found and what was expected.
        reason: String,
    },
    /// An HTTP stream cannot be opened.
    #[error("cannot open {url}: {reason}")]
    Http {
        /// Address of the stream, without a password.
        url: String,
        /// Reason: what happened while connecting.
        reason: String,
        /// Whether the server refused permanently (status 4xx).
        refused: bool,
    },
    /// The shell command of an `exec:` source cannot be started.
    #[error("cannot start `{command}`")]
    Spawn {
        /// The command, without a password.
        command: String,
        /// Error that the kernel returned.
        source: io::Error,
    },
    /// The shell command of an `exec:` source ended.
    #[error("`{command}` ended: {status}{}", detail(last_words))]
    Ended {
        /// The command, without a password.
        command: String,
        /// Exit status of the command.
        status: ExitStatus,
        /// Last line that the command wrote to standard error.
        last_words: String,
    },
}

impl CaptureError {
    /// Describes the error and its cause in one line.
    #[must_use]
    pub fn with_cause(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    /// Whether opening the source again can succeed without a change of the settings.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            // Permission counts as transient because at boot the group of a device file may be set
            // late.
            Self::NoCamera { .. }
            | Self::Busy { .. }
            | Self::Permission { .. }
            | Self::Refused { .. }
            | Self::Lost { .. }
            | Self::Silent { .. } => true,
            Self::Http { refused, .. } => !refused,
            // 127 and 126 are the shell's statuses for "not found" and "not executable".
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
        format!("; cameras present: {}", present.join(", "))
    }
}

fn instead(present: &[String]) -> String {
    if present.is_empty() {
        String::new()
    } else {
        format!("; cameras present: {}", present.join(", "))
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
            "there is no camera at /dev/video7; cameras present: /dev/video0 (UVC Camera)"
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
    fn the_silence_error_describes_bad_frames() {
        let error = CaptureError::Silent {
            what: "/dev/video0".into(),
            since: Duration::from_secs(5),
            bad_pictures: 3,
            reason: "no SOI".into(),
        };
        assert_eq!(
            error.to_string(),
            "/dev/video0 has delivered no usable frame for 5 s (3 were bad, the last one: no SOI)"
        );
        assert!(error.is_transient());
    }
}
