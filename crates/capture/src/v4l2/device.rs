//! Opens and configures a camera, and explains what can go wrong with it.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::control::Control;
use super::find::{present, user_of};
use super::mode::{
    FormatModes, Fourcc, Interval, Intervals, Layout, Mode, Modes, SizeModes, Sizes,
};
use super::raw::RawFormat;
use super::sys::{self, Filled, Identity, Listed, Mapping, Negotiated, Node, Readiness};
use crate::error::CaptureError;
use crate::source::Wanted;
use cv_picture::Resolution;

/// Number of buffers: two with the driver, and four for frames in flight to the slot, the uplink,
/// the detector and a local viewer.
const BUFFERS: u32 = 6;

/// Time that udev has to set the group of a new device file; until then only root may open it.
const UDEV_GRACE: Duration = Duration::from_secs(2);

/// Maximum number of entries that are read from any list of a driver.
const MAX_LISTED: u32 = 256;

/// The requests to a running camera, as a trait so that tests can replace the driver.
pub trait Device: Send {
    /// Memory of a mapped buffer.
    type Memory: AsRef<[u8]> + Send + Sync + 'static;

    /// Waits at most `timeout` until a buffer is filled.
    fn wait(&mut self, timeout: Duration) -> io::Result<Readiness>;

    /// Takes a filled buffer from the driver; `None` if there is none.
    fn dequeue(&mut self) -> io::Result<Option<Filled>>;

    /// Hands a buffer to the driver, which will fill it.
    fn queue(&mut self, index: u32) -> io::Result<()>;
}

/// A camera that is streaming.
#[derive(Debug)]
pub struct Camera {
    node: Node,
}

/// Configuration of a camera that is streaming.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Path of the device file.
    pub device: PathBuf,
    /// Name of the camera, as its driver reports it.
    pub card: String,
    /// Pixel format that the camera delivers.
    pub fourcc: Fourcc,
    /// Size of the frames.
    pub resolution: Resolution,
    /// Frames per second, if the driver reports the rate.
    pub fps: Option<f32>,
    /// How to encode the frames; `None` if the camera delivers JPEG.
    pub raw: Option<RawFormat>,
}

impl Camera {
    /// Opens the device, chooses a mode, sets the controls, and starts streaming.
    pub fn start(
        device: &Path,
        wanted: &Wanted,
    ) -> Result<(Self, Vec<Mapping>, Setup), CaptureError> {
        let (node, identity) = open(device)?;
        let fail = |step: &str, error| refused(device, step, error);
        let modes =
            list_modes(&node, wanted.max_size).map_err(|error| fail("list its modes", error))?;
        let no_mode = || CaptureError::NoMode {
            device: device.into(),
            max_size: wanted.max_size,
            offered: modes.to_string(),
        };
        let mode = modes
            .choose(wanted.max_size, wanted.fps)
            .ok_or_else(no_mode)?;
        let size = (mode.resolution.width, mode.resolution.height);
        let negotiated = node
            .set_format(mode.fourcc.0, size)
            .map_err(|error| fail(&format!("use {} {}", mode.fourcc, mode.resolution), error))?;
        let raw = raw_format(&negotiated).ok_or_else(no_mode)?;
        let fps = set_rate(&node, &mode, wanted.fps);
        set_controls(&node, device, &wanted.controls)?;
        let mappings = node
            .map_buffers(BUFFERS)
            .map_err(|error| fail("give buffers", error))?;
        let camera = Self { node };
        for index in 0..mappings.len() as u32 {
            camera
                .node
                .queue(index)
                .map_err(|error| fail("take buffers", error))?;
        }
        camera.node.start().map_err(|error| {
            let bandwidth = error.raw_os_error() == Some(libc::ENOSPC);
            fail(
                if bandwidth {
                    "start: the USB bus has no bandwidth left for it (try another port or a \
                     smaller --max-size)"
                } else {
                    "start"
                },
                error,
            )
        })?;
        let setup = Setup {
            device: device.into(),
            card: identity.card,
            fourcc: Fourcc(negotiated.fourcc),
            resolution: Resolution {
                width: negotiated.width,
                height: negotiated.height,
            },
            fps,
            raw,
        };
        Ok((camera, mappings, setup))
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // Frames in flight keep their buffers mapped, and a mapping keeps the device file open.
        // Stopping the stream and releasing the buffers makes the camera free for the next start.
        // Both fail when the camera is gone, and then there is nothing left to stop.
        for result in [self.node.stop(), self.node.release_buffers()] {
            if let Err(error) = result {
                log::debug!("while closing a camera: {error}");
            }
        }
    }
}

impl Device for Camera {
    type Memory = Mapping;

    fn wait(&mut self, timeout: Duration) -> io::Result<Readiness> {
        self.node.wait(timeout)
    }

    fn dequeue(&mut self) -> io::Result<Option<Filled>> {
        self.node.dequeue()
    }

    fn queue(&mut self, index: u32) -> io::Result<()> {
        self.node.queue(index)
    }
}

/// Opens a device that captures video; the error says what else the device is.
pub fn open(device: &Path) -> Result<(Node, Identity), CaptureError> {
    let (node, identity) = open_any(device)?;
    let what = match identity.caps {
        caps if caps & sys::CAP_META_CAPTURE != 0 => "carries only metadata",
        caps if caps & (sys::CAP_VIDEO_M2M | sys::CAP_VIDEO_M2M_MPLANE) != 0 => {
            "is a codec or scaler"
        }
        caps if caps & sys::CAP_VIDEO_CAPTURE_MPLANE != 0 => {
            "delivers its planes apart, as CSI cameras do; try exec:rpicam-vid -t 0 --codec mjpeg \
             -o - or its like"
        }
        caps if caps & sys::CAP_VIDEO_CAPTURE == 0 => "does not capture pictures",
        caps if caps & sys::CAP_STREAMING == 0 => "cannot stream",
        _ => return Ok((node, identity)),
    };
    Err(CaptureError::NotCapture {
        device: device.into(),
        what: what.into(),
        present: present(),
    })
}

/// Opens any video device.
pub fn open_any(device: &Path) -> Result<(Node, Identity), CaptureError> {
    let no_camera = || CaptureError::NoCamera {
        device: device.into(),
        present: present(),
    };
    let not_video = || CaptureError::NotVideo {
        device: device.into(),
    };
    let metadata = match fs::metadata(device) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_camera()),
        Err(error) => return Err(refused(device, "be looked at", error)),
    };
    if !is_video_device(&metadata) {
        return Err(not_video());
    }
    let deadline = Instant::now() + UDEV_GRACE;
    let node = loop {
        match Node::open(device) {
            Ok(node) => break node,
            Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                if Instant::now() >= deadline {
                    return Err(CaptureError::Permission {
                        device: device.into(),
                        source,
                    });
                }
                thread::sleep(Duration::from_millis(50));
            }
            Err(error) => {
                return Err(match error.raw_os_error() {
                    Some(libc::ENOENT | libc::ENXIO | libc::ENODEV) => no_camera(),
                    _ => refused(device, "open", error),
                });
            }
        }
    };
    match node.identity() {
        Ok(identity) => Ok((node, identity)),
        Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => Err(not_video()),
        Err(error) => Err(refused(device, "say what it is", error)),
    }
}

/// Lists every mode. For a range of sizes, the rates are listed at `size` or the nearest size to
/// it.
pub fn list_modes(node: &Node, size: Resolution) -> io::Result<Modes> {
    let mut modes = Modes::default();
    for index in 0..MAX_LISTED {
        let Some((fourcc, description)) = node.format(index)? else {
            break;
        };
        modes.formats.push(FormatModes {
            fourcc: Fourcc(fourcc),
            description,
            sizes: list_sizes(node, fourcc, size)?,
        });
    }
    Ok(modes)
}

fn list_sizes(node: &Node, fourcc: [u8; 4], size: Resolution) -> io::Result<Vec<SizeModes>> {
    let resolution = |(width, height)| Resolution { width, height };
    let mut found = Vec::new();
    for index in 0..MAX_LISTED {
        match node.size(fourcc, index)? {
            None => break,
            Some(Listed::Discrete(one)) => found.push(Sizes::One(resolution(one))),
            Some(Listed::Stepwise(min, max, step)) => {
                found.push(Sizes::Range {
                    min: resolution(min),
                    max: resolution(max),
                    step: resolution(step),
                });
                break;
            }
        }
    }
    if found.is_empty() {
        // The driver lists no sizes. It will answer the request for `size` with the nearest size it
        // has.
        found.push(Sizes::Range {
            min: resolution((16, 16)),
            max: resolution((16_384, 16_384)),
            step: resolution((2, 2)),
        });
    }
    found
        .into_iter()
        .map(|sizes| {
            Ok(SizeModes {
                sizes,
                intervals: list_intervals(node, fourcc, sizes.nearest(size))?,
            })
        })
        .collect()
}

fn list_intervals(node: &Node, fourcc: [u8; 4], size: Resolution) -> io::Result<Vec<Intervals>> {
    let interval = |(numerator, denominator)| Interval::new(numerator, denominator);
    let mut found = Vec::new();
    for index in 0..MAX_LISTED {
        match node.interval(fourcc, (size.width, size.height), index)? {
            None => break,
            Some(Listed::Discrete(one)) => found.push(Intervals::One(interval(one))),
            Some(Listed::Stepwise(shortest, longest, _)) => {
                found.push(Intervals::Range(interval(shortest), interval(longest)));
                break;
            }
        }
    }
    Ok(found)
}

/// Returns how to encode frames of the negotiated format; the inner `None` stands for JPEG, the
/// outer one for a format that the agent cannot use.
fn raw_format(negotiated: &Negotiated) -> Option<Option<RawFormat>> {
    let resolution = Resolution {
        width: negotiated.width,
        height: negotiated.height,
    };
    Some(match Fourcc(negotiated.fourcc).layout()? {
        Layout::Jpeg => None,
        layout => Some(RawFormat::new(
            layout,
            resolution,
            negotiated.stride,
            negotiated.full_range,
        )),
    })
}

/// Sets the frame rate, and returns the rate that the driver keeps. Many drivers have only one rate
/// and no request for it, so a refusal is not an error.
fn set_rate(node: &Node, mode: &Mode, wanted_fps: f32) -> Option<f32> {
    let interval = mode
        .interval
        .unwrap_or_else(|| Interval::of_fps(wanted_fps));
    match node.set_interval((interval.numerator, interval.denominator)) {
        Ok((numerator, denominator)) => Interval::new(numerator, denominator).fps(),
        Err(error) => {
            log::debug!("the driver does not accept a frame rate: {error}");
            None
        }
    }
}

fn set_controls(
    node: &Node,
    device: &Path,
    settings: &[(String, String)],
) -> Result<(), CaptureError> {
    if settings.is_empty() {
        return Ok(());
    }
    let controls =
        Control::list(node).map_err(|error| refused(device, "list its controls", error))?;
    for (name, value) in settings {
        Control::set(node, &controls, name, value).map_err(|reason| CaptureError::Control {
            device: device.into(),
            name: name.clone(),
            reason,
        })?;
    }
    Ok(())
}

/// Turns the error of a failed request into what it means for the user.
fn refused(device: &Path, step: &str, source: io::Error) -> CaptureError {
    let device = device.to_path_buf();
    match source.raw_os_error() {
        Some(libc::EBUSY) => CaptureError::Busy {
            user: user_of(&device),
            device,
            source,
        },
        Some(libc::ENODEV | libc::ENXIO) => CaptureError::Lost {
            what: device.display().to_string(),
            source,
        },
        _ => CaptureError::Refused {
            device,
            step: step.into(),
            source,
        },
    }
}

/// Whether a file is a video device: its major number is 81.
fn is_video_device(metadata: &fs::Metadata) -> bool {
    metadata.file_type().is_char_device() && libc::major(metadata.rdev()) == 81
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_device_is_a_transient_error() {
        let error = open(Path::new("/dev/video-of-nobody")).err().unwrap();
        assert!(matches!(error, CaptureError::NoCamera { .. }), "{error}");
        assert!(error.is_transient());
        assert!(
            error
                .to_string()
                .starts_with("there is no camera at /dev/video-of-nobody")
        );
    }

    #[test]
    fn other_files_are_not_video_devices() {
        for path in ["/dev/null", "/dev", "/proc/self/exe"] {
            let error = open(Path::new(path)).err().unwrap();
            assert_eq!(error.to_string(), format!("{path} is not a video device"));
            assert!(!error.is_transient());
        }
    }

    #[test]
    fn failed_requests_are_told_apart() {
        let error = |code| {
            refused(
                Path::new("/dev/video0"),
                "start",
                io::Error::from_raw_os_error(code),
            )
        };
        assert_eq!(
            error(libc::EBUSY).to_string(),
            "/dev/video0 is in use by another program"
        );
        assert_eq!(error(libc::ENODEV).to_string(), "lost /dev/video0");
        assert_eq!(error(libc::EIO).to_string(), "/dev/video0 refused to start");
    }
}
