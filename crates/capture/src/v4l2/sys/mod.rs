//! Safe access to the kernel's V4L2 interface: the structures and requests of `linux/videodev2.h`
//! that the agent uses.
//!
//! This module contains the only `unsafe` code for cameras. [`Node`] has a safe method for each
//! request. The kernel's "Video for Linux API" describes what the requests mean, and
//! [`super::device`] how they are combined.
#![allow(unsafe_code)]

mod abi;
mod mapping;

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::abi::*;
pub use self::abi::{
    CAP_META_CAPTURE, CAP_STREAMING, CAP_VIDEO_CAPTURE, CAP_VIDEO_CAPTURE_MPLANE, CAP_VIDEO_M2M,
    CAP_VIDEO_M2M_MPLANE, CTRL_FLAG_DISABLED, CTRL_FLAG_INACTIVE, CTRL_FLAG_READ_ONLY,
    CTRL_FLAG_WRITE_ONLY,
};
pub use self::mapping::Mapping;

/// An open device file under `/dev`.
#[derive(Debug)]
pub struct Node {
    fd: OwnedFd,
}

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Eq)]
pub struct Identity {
    /// Name of the driver, for example `uvcvideo`.
    pub driver: String,
    /// Name of the device, for example `HD Pro Webcam C920`.
    pub card: String,
    /// Bus address of the device, for example `usb-0000:00:14.0-1`.
    pub bus: String,
    /// Capabilities of this device file: bits of `CAP_*`.
    pub caps: u32,
}

/// Format that the driver chose in response to VIDIOC_S_FMT.
#[derive(Clone, Copy, Debug)]
pub struct Negotiated {
    /// Pixel format, for example `MJPG`.
    pub fourcc: [u8; 4],
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Number of bytes from the start of one row to the next, for uncompressed formats.
    pub stride: u32,
    /// Whether Y ranges from 0 to 255 instead of 16 to 235.
    pub full_range: bool,
}

/// One entry of the driver's list of sizes or intervals.
#[derive(Clone, Copy, Debug)]
pub enum Listed<T> {
    /// A single value; the list may have more entries.
    Discrete(T),
    /// A range: smallest value, largest value and step. It is the only entry of the list.
    Stepwise(T, T, T),
}

/// A buffer that the driver has filled.
#[derive(Clone, Copy, Debug)]
pub struct Filled {
    /// Index of the buffer.
    pub index: u32,
    /// Number of bytes in the buffer.
    pub len: u32,
    /// Sequence number of the frame, which the driver counts.
    pub sequence: u32,
    /// Whether the driver reports the data as damaged.
    pub damaged: bool,
    /// Time at which the first byte was captured, by the monotonic clock; `None` if the driver uses
    /// another clock.
    pub monotonic: Option<Duration>,
}

/// A control as the driver describes it.
#[derive(Clone, Debug)]
pub struct RawControl {
    /// Identifier of the control, which the other requests take.
    pub id: u32,
    /// Type of the control, `V4L2_CTRL_TYPE_*`.
    pub kind: u32,
    /// Name of the control for people, for example `White Balance, Automatic`.
    pub name: String,
    /// Smallest value.
    pub minimum: i32,
    /// Largest value.
    pub maximum: i32,
    /// Distance between two values.
    pub step: i32,
    /// Default value.
    pub default: i32,
    /// State of the control: bits of `CTRL_FLAG_*`.
    pub flags: u32,
}

impl Node {
    /// Opens a device file in non-blocking mode. Child processes do not inherit it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(path)?;
        Ok(Self { fd: file.into() })
    }

    /// Returns name, driver and capabilities of the device; the error is `ENOTTY` if this is no
    /// video device.
    pub fn identity(&self) -> io::Result<Identity> {
        let mut capability = Capability::zeroed();
        self.ioctl(QUERYCAP, &mut capability)?;
        let caps = if capability.capabilities & CAP_DEVICE_CAPS == 0 {
            capability.capabilities
        } else {
            capability.device_caps
        };
        Ok(Identity {
            driver: text(&capability.driver),
            card: text(&capability.card),
            bus: text(&capability.bus_info),
            caps,
        })
    }

    /// Returns the pixel format at `index` and its description; `None` after the last one.
    pub fn format(&self, index: u32) -> io::Result<Option<([u8; 4], String)>> {
        let mut format = FmtDesc {
            index,
            kind: VIDEO_CAPTURE,
            ..FmtDesc::zeroed()
        };
        Ok(self
            .listed(ENUM_FMT, &mut format)?
            .map(|()| (format.pixelformat.to_le_bytes(), text(&format.description))))
    }

    /// Returns the frame size at `index`; `None` after the last one, or if the driver lists no
    /// sizes.
    pub fn size(&self, fourcc: [u8; 4], index: u32) -> io::Result<Option<Listed<(u32, u32)>>> {
        let mut size = FrmSizeEnum {
            index,
            pixelformat: u32::from_le_bytes(fourcc),
            ..FrmSizeEnum::zeroed()
        };
        let [a, b, c, d, e, f] = match self.listed(ENUM_FRAMESIZES, &mut size)? {
            Some(()) => size.size,
            None => return Ok(None),
        };
        Ok(Some(match size.kind {
            1 => Listed::Discrete((a, b)),
            _ => Listed::Stepwise((a, d), (b, e), (c, f)),
        }))
    }

    /// Returns the frame interval at `index` as numerator and denominator of seconds; `None` after
    /// the last one, or if the driver lists no intervals.
    pub fn interval(
        &self,
        fourcc: [u8; 4],
        (width, height): (u32, u32),
        index: u32,
    ) -> io::Result<Option<Listed<(u32, u32)>>> {
        let mut interval = FrmIvalEnum {
            index,
            pixelformat: u32::from_le_bytes(fourcc),
            width,
            height,
            ..FrmIvalEnum::zeroed()
        };
        let [a, b, c] = match self.listed(ENUM_FRAMEINTERVALS, &mut interval)? {
            Some(()) => interval.interval.map(|[num, den]| (num, den)),
            None => return Ok(None),
        };
        Ok(Some(match interval.kind {
            1 => Listed::Discrete(a),
            _ => Listed::Stepwise(a, b, c),
        }))
    }

    /// Requests a format. The driver answers with the nearest format that it has.
    pub fn set_format(
        &self,
        fourcc: [u8; 4],
        (width, height): (u32, u32),
    ) -> io::Result<Negotiated> {
        // Field 0 is `V4L2_FIELD_ANY`: the driver knows best how its frames are stored.
        let mut format = Format::zeroed();
        format.kind = VIDEO_CAPTURE;
        format.fmt.pix = PixFormat {
            width,
            height,
            pixelformat: u32::from_le_bytes(fourcc),
            ..PixFormat::default()
        };
        self.ioctl(S_FMT, &mut format)?;
        // SAFETY: all members of the union are integers, and the kernel filled in this one, since
        // the type is still that of a single-plane capture.
        let pix = unsafe { format.fmt.pix };
        Ok(Negotiated {
            fourcc: pix.pixelformat.to_le_bytes(),
            width: pix.width,
            height: pix.height,
            stride: pix.bytesperline,
            full_range: pix.quantization == FULL_RANGE,
        })
    }

    /// Requests an interval between frames. The driver answers with the interval that it will keep.
    pub fn set_interval(&self, (numerator, denominator): (u32, u32)) -> io::Result<(u32, u32)> {
        let mut parm = StreamParm::zeroed();
        parm.kind = VIDEO_CAPTURE;
        parm.capture.timeperframe = [numerator, denominator];
        self.ioctl(S_PARM, &mut parm)?;
        let [numerator, denominator] = parm.capture.timeperframe;
        Ok((numerator, denominator))
    }

    /// Allocates and maps buffers. The driver may give more or fewer than `count`.
    pub fn map_buffers(&self, count: u32) -> io::Result<Vec<Mapping>> {
        let mut buffers = RequestBuffers {
            count,
            kind: VIDEO_CAPTURE,
            memory: MEMORY_MMAP,
            ..RequestBuffers::zeroed()
        };
        self.ioctl(REQBUFS, &mut buffers)?;
        (0..buffers.count)
            .map(|index| {
                let mut buffer = buffer(index);
                self.ioctl(QUERYBUF, &mut buffer)?;
                Mapping::new(&self.fd, buffer.offset, buffer.length as usize)
            })
            .collect()
    }

    /// Releases the buffers, so that other programs can use the camera even while some buffers are
    /// still mapped (since Linux 4.20; before that, when the last mapping ends).
    pub fn release_buffers(&self) -> io::Result<()> {
        let mut buffers = RequestBuffers {
            kind: VIDEO_CAPTURE,
            memory: MEMORY_MMAP,
            ..RequestBuffers::zeroed()
        };
        self.ioctl(REQBUFS, &mut buffers)
    }

    /// Hands a buffer to the driver, which will fill it.
    pub fn queue(&self, index: u32) -> io::Result<()> {
        self.ioctl(QBUF, &mut buffer(index))
    }

    /// Takes a filled buffer from the driver; `None` if there is none.
    pub fn dequeue(&self) -> io::Result<Option<Filled>> {
        let mut filled = buffer(0);
        match self.ioctl(DQBUF, &mut filled) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            result => result?,
        }
        let is_monotonic = filled.flags & BUF_FLAG_TIMESTAMP_MASK == BUF_FLAG_TIMESTAMP_MONOTONIC;
        Ok(Some(Filled {
            index: filled.index,
            len: filled.bytesused,
            sequence: filled.sequence,
            damaged: filled.flags & BUF_FLAG_ERROR != 0,
            monotonic: is_monotonic.then(|| duration(filled.timestamp)),
        }))
    }

    /// Starts streaming.
    pub fn start(&self) -> io::Result<()> {
        self.ioctl(STREAMON, &mut { VIDEO_CAPTURE })
    }

    /// Stops streaming. The driver forgets the buffers that it has.
    pub fn stop(&self) -> io::Result<()> {
        self.ioctl(STREAMOFF, &mut { VIDEO_CAPTURE })
    }

    /// Returns the control that follows `id`; `None` after the last one.
    pub fn control_after(&self, id: u32) -> io::Result<Option<RawControl>> {
        let mut control = QueryCtrl::zeroed();
        control.id = id | CTRL_FLAG_NEXT_CTRL;
        Ok(self.listed(QUERYCTRL, &mut control)?.map(|()| RawControl {
            id: control.id,
            kind: control.kind,
            name: text(&control.name),
            minimum: control.minimum,
            maximum: control.maximum,
            step: control.step,
            default: control.default,
            flags: control.flags,
        }))
    }

    /// Returns the name of a menu control's item, or its value if it is a menu of numbers.
    pub fn menu_item(&self, id: u32, index: u32, numbers: bool) -> io::Result<Option<String>> {
        let mut item = QueryMenu::zeroed();
        item.id = id;
        item.index = index;
        Ok(self.listed(QUERYMENU, &mut item)?.map(|()| {
            let [a, b, c, d, e, f, g, h, ..] = item.name;
            if numbers {
                i64::from_ne_bytes([a, b, c, d, e, f, g, h]).to_string()
            } else {
                text(&item.name)
            }
        }))
    }

    /// Reads the value of a control.
    pub fn control(&self, id: u32) -> io::Result<i32> {
        let mut control = Control { id, value: 0 };
        self.ioctl(G_CTRL, &mut control)?;
        Ok(control.value)
    }

    /// Sets the value of a control.
    pub fn set_control(&self, id: u32, value: i32) -> io::Result<()> {
        self.ioctl(S_CTRL, &mut Control { id, value })
    }

    /// Waits at most `timeout` until a buffer is filled or the driver reports a fault.
    pub fn wait(&self, timeout: Duration) -> io::Result<Readiness> {
        let mut poll = libc::pollfd {
            fd: self.fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // The timeout is rounded up, so that a wait of half a millisecond is not a busy loop.
        let ms = timeout.as_nanos().div_ceil(1_000_000);
        let ms = c_int::try_from(ms).unwrap_or(c_int::MAX);
        // SAFETY: one valid `pollfd` is passed, of a descriptor that is open as long as `self`.
        match unsafe { libc::poll(&mut poll, 1, ms) } {
            0 => Ok(Readiness::TimedOut),
            n if n < 0 => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(Readiness::TimedOut),
                error => Err(error),
            },
            _ if poll.revents & libc::POLLIN != 0 => Ok(Readiness::Filled),
            _ => Ok(Readiness::Fault),
        }
    }

    /// Sends a request for one entry of a list; returns `None` after the last entry. The kernel
    /// answers `EINVAL` if there is no such index, and `ENOTTY` if the driver has no such list at
    /// all.
    fn listed<T: Argument>(&self, request: Request<T>, argument: &mut T) -> io::Result<Option<()>> {
        match self.ioctl(request, argument) {
            Ok(()) => Ok(Some(())),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOTTY)) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn ioctl<T: Argument>(&self, request: Request<T>, argument: &mut T) -> io::Result<()> {
        loop {
            // SAFETY: the descriptor is open as long as `self`, and `argument` points to as many
            // bytes as the request's code says, which may take any value.
            let result = unsafe {
                libc::ioctl(
                    self.fd.as_raw_fd(),
                    request.0 as libc::Ioctl,
                    ptr::from_mut(argument),
                )
            };
            if result != -1 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

/// Result of [`Node::wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// A buffer can be dequeued.
    Filled,
    /// Nothing happened before the timeout.
    TimedOut,
    /// The driver reports an error, or that the camera is gone. The next request returns the
    /// reason.
    Fault,
}

/// Returns the time of the monotonic clock, which drivers use for the timestamps of frames.
pub fn monotonic_now() -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is valid for writing; the clock exists on every Linux.
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now);
    }
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

fn buffer(index: u32) -> Buffer {
    Buffer {
        index,
        kind: VIDEO_CAPTURE,
        memory: MEMORY_MMAP,
        ..Buffer::zeroed()
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0))
        + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}

/// Decodes a name, which ends at the first zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    let name = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(bytes);
    String::from_utf8_lossy(name).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_device_is_reported() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let node = Node::open(file.path()).unwrap();
        let error = node.identity().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }

    #[test]
    fn names_end_at_the_first_zero() {
        assert_eq!(text(b"UVC Camera \0rest"), "UVC Camera");
        assert_eq!(text(b"\xFF\0"), "\u{FFFD}");
    }
}
