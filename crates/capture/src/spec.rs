//! The source that the user asked for with `--source` or `--camera`.

use std::fmt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

use cv_picture::Resolution;

/// Which source to open: a camera, files, a stream, a command or the test image.
///
/// | text | source |
/// | --- | --- |
/// | `0` | the camera `/dev/video0` |
/// | `/dev/video2`, `/dev/v4l/by-id/...` | that camera |
/// | `clip.mjpeg`, `clip.avi`, `image.jpg`, `folder` | a clip, an image or a folder of images, looped |
/// | `clip.avi?fps=10` | the same at a given rate |
/// | `a.jpg,b.png` | several images, one after the other |
/// | `http://...`, `https://...` | an MJPEG stream |
/// | `exec:COMMAND` | standard output of a shell command, an MJPEG stream |
/// | `test`, `test:1280x720@30` | the moving test image |
#[derive(Clone, PartialEq)]
pub enum SourceSpec {
    /// A V4L2 device file.
    Camera(PathBuf),
    /// Clips, images or folders of images.
    Files {
        /// One or more paths, which are played in this order.
        paths: Vec<PathBuf>,
        /// Frame rate to play at; `None` for the rate of the clip itself.
        fps: Option<f32>,
    },
    /// Address of an MJPEG stream over HTTP.
    Http(Url),
    /// A shell command that writes an MJPEG stream to its standard output.
    Exec(String),
    /// The moving test image.
    Test {
        /// Size of the test image; `None` for the maximum size that the user wants.
        size: Option<Resolution>,
        /// Frame rate of the test image; `None` for the rate that the user wants.
        fps: Option<f32>,
    },
}

/// Error for a source that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a source: {reason}")]
pub struct SpecError {
    text: String,
    reason: String,
}

const KINDS: &str = "expected a camera index, a device, a clip, an image or a folder, http(s)://..., \
                     exec:COMMAND or test[:WIDTHxHEIGHT][@FPS]";

impl SourceSpec {
    /// Returns the source for the camera with this index, `/dev/videoINDEX`.
    #[must_use]
    pub fn camera(index: u16) -> Self {
        Self::Camera(format!("/dev/video{index}").into())
    }
}

impl FromStr for SourceSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |reason: String| SpecError {
            text: without_password(text),
            reason,
        };
        if text.is_empty() {
            return Err(fail(KINDS.into()));
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text
                .parse()
                .map(Self::camera)
                .map_err(|_| fail("a camera index is at most 65535".into()));
        }
        if let Some(command) = text.strip_prefix("exec:") {
            return if command.trim().is_empty() {
                Err(fail("exec: needs a command".into()))
            } else {
                Ok(Self::Exec(command.trim().into()))
            };
        }
        if text == "test" || text.starts_with("test:") || text.starts_with("test@") {
            return test_picture(&text["test".len()..]).map_err(fail);
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return match scheme {
                "http" | "https" => Url::parse(text)
                    .map(Self::Http)
                    .map_err(|error| fail(error.to_string())),
                "rtsp" | "rtsps" | "rtmp" | "srt" | "udp" => Err(fail(format!(
                    "{scheme} comes in through a command that writes MJPEG, for example \
                     exec:ffmpeg -i ADDRESS -f mjpeg -"
                ))),
                _ => Err(fail(KINDS.into())),
            };
        }
        if text.starts_with("/dev/") || is_device(Path::new(text)) {
            return Ok(Self::Camera(text.into()));
        }
        files(text).map_err(fail)
    }
}

/// Whether a path is a device file, or a link to one.
fn is_device(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.file_type().is_char_device())
}

fn test_picture(options: &str) -> Result<SourceSpec, String> {
    let (size, rate) = match options.split_once('@') {
        Some((size, rate)) => (size, Some(rate)),
        None => (options, None),
    };
    let size = size.trim_start_matches(':');
    Ok(SourceSpec::Test {
        size: (!size.is_empty()).then(|| size.parse()).transpose()?,
        fps: rate.map(parse_fps).transpose()?,
    })
}

fn files(text: &str) -> Result<SourceSpec, String> {
    // A file's name may contain ? or a comma, so a text that exists as a path is taken as one path.
    let (paths, fps) = match text.rsplit_once("?fps=") {
        Some((paths, fps)) if !Path::new(text).exists() => (paths, Some(parse_fps(fps)?)),
        _ => (text, None),
    };
    let paths: Vec<PathBuf> = if Path::new(paths).exists() {
        vec![paths.into()]
    } else {
        paths.split(',').map(PathBuf::from).collect()
    };
    if paths.iter().any(|path| path.as_os_str().is_empty()) {
        return Err("there is an empty name in the list of files".into());
    }
    Ok(SourceSpec::Files { paths, fps })
}

fn parse_fps(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|fps: &f32| (0.05..=240.0).contains(fps))
        .ok_or_else(|| format!("{text:?} is not a rate; expected 0.05 to 240 frames per second"))
}

/// Replaces everything between `://` and `@` in an address or a command, so that a message cannot
/// reveal a password.
pub(super) fn without_password(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find(|c: char| c == '/' || c == '?' || c.is_whitespace());
        let authority = &after[..end.unwrap_or(after.len())];
        rest = match authority.rfind('@') {
            Some(at) => {
                shown.push_str("...");
                &after[at..]
            }
            None => after,
        };
    }
    shown.push_str(rest);
    shown
}

impl fmt::Display for SourceSpec {
    /// Writes the source as typed, but without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Camera(device) => write!(f, "{}", device.display()),
            Self::Files { paths, fps } => {
                for (index, path) in paths.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{}", path.display())?;
                }
                fps.map_or(Ok(()), |fps| write!(f, "?fps={fps}"))
            }
            Self::Http(url) => f.write_str(&without_password(url.as_str())),
            Self::Exec(command) => write!(f, "exec:{}", without_password(command)),
            Self::Test { size, fps } => {
                f.write_str("test")?;
                size.map_or(Ok(()), |size| write!(f, ":{size}"))?;
                fps.map_or(Ok(()), |fps| write!(f, "@{fps}"))
            }
        }
    }
}

impl fmt::Debug for SourceSpec {
    /// Writes the same text as `Display`, so that debug output cannot reveal a password either.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceSpec({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> SourceSpec {
        text.parse().unwrap()
    }

    #[test]
    fn every_kind_of_source_is_parsed_and_printed_unchanged() {
        for text in [
            "/dev/video2",
            "/dev/v4l/by-id/usb-046d_C270-video-index0",
            "clip.avi",
            "clip.mjpeg?fps=12.5",
            "a.jpg,b.png",
            "http://camera/stream.mjpg",
            "exec:rpicam-vid -t 0 --codec mjpeg -o -",
            "test",
            "test:1280x720@30",
            "test@5",
        ] {
            assert_eq!(parse(text).to_string(), text);
        }
        assert_eq!(parse("3"), SourceSpec::Camera("/dev/video3".into()));
    }

    #[test]
    fn a_link_to_a_device_counts_as_a_device() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("front-door");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        assert_eq!(
            parse(link.to_str().unwrap()),
            SourceSpec::Camera(link.clone())
        );
    }

    #[test]
    fn a_password_is_never_printed() {
        let spec = parse("http://me:hunter2@camera/stream");
        assert_eq!(spec.to_string(), "http://...@camera/stream");
        assert!(!format!("{spec:?}").contains("hunter2"));
        let spec = parse("exec:ffmpeg -i rtsp://me:hun@ter2@camera/1 http://b?a@c -f mjpeg -");
        assert_eq!(
            spec.to_string(),
            "exec:ffmpeg -i rtsp://...@camera/1 http://b?a@c -f mjpeg -"
        );
        let error = "http://me:hunter2@:x/".parse::<SourceSpec>().unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn the_error_for_a_bad_source_says_what_is_expected() {
        for (text, hint) in [
            ("", "expected a camera index"),
            ("99999", "at most 65535"),
            ("exec: ", "needs a command"),
            ("test:10x10", "16 to 16384"),
            ("test@0", "0.05 to 240"),
            ("clip.avi?fps=fast", "0.05 to 240"),
            ("rtsp://camera/1", "exec:ffmpeg"),
            ("ftp://camera/1", "expected a camera index"),
            ("a.jpg,,b.jpg", "empty name"),
        ] {
            let message = text.parse::<SourceSpec>().unwrap_err().to_string();
            assert!(message.contains(hint), "{text:?}: {message}");
        }
    }

    #[test]
    fn an_existing_file_is_found_even_if_its_name_contains_separators() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a,b?fps=3");
        std::fs::write(&path, b"").unwrap();
        assert_eq!(
            parse(path.to_str().unwrap()),
            SourceSpec::Files {
                paths: vec![path],
                fps: None
            }
        );
    }
}
