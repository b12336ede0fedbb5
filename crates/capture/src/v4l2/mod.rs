//! Captures from the cameras that the kernel drives: V4L2.
//!
//! [`sys`] talks to the kernel, [`device`] opens and configures a camera, [`mode`] chooses the
//! format, size and rate, [`buffers`] records who has which buffer, and [`CameraSource`] turns
//! filled buffers into frames. All modules except the first two are tested without a camera.

mod buffers;
mod control;
mod device;
mod find;
mod memory;
mod mode;
mod raw;
mod sys;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use cv_protocol::Timestamp;

pub use self::control::Control;
pub use self::device::{list_modes, open};
pub use self::find::{Fingerprint, nodes, stable_name};
pub use self::memory::Memory;
pub use self::mode::{FormatModes, Fourcc, Interval, Intervals, Modes, SizeModes, Sizes};

use self::buffers::{Buffers, Lent};
use self::device::{Camera, Device, Setup};
use self::sys::{Filled, Readiness, monotonic_now};
use super::error::CaptureError;
use super::jpeg::{BadPicture, Checker, Usable};
use super::silence::Silence;
use super::source::{Counts, Picture, Source, Wanted};

/// Time without a frame after which a camera counts as silent. The slowest mode of a webcam
/// delivers one frame a second, and its first frame takes up to three seconds.
const SILENCE: Duration = Duration::from_secs(5);

/// Maximum age of a driver's timestamp. One that is older, or in the future, is not from the
/// monotonic clock.
const OLDEST_STAMP: Duration = Duration::from_secs(10);

/// Opens and starts a camera.
///
/// # Errors
///
/// Returns a [`CaptureError`] that names the device.
pub fn start(device: &Path, wanted: &Wanted) -> Result<Box<dyn Source>, CaptureError> {
    let (camera, memory, setup) = Camera::start(device, wanted)?;
    Ok(Box::new(CameraSource::new(camera, memory, setup)))
}

/// A running camera.
pub struct CameraSource<D: Device> {
    device: D,
    buffers: Buffers<D::Memory>,
    setup: Setup,
    checker: Checker,
    silence: Silence,
    counts: Counts,
    last_sequence: Option<u32>,
    /// Number of frames that were lost or dropped (stale or bad) since the last delivered frame.
    skipped: u64,
}

impl<D: Device> CameraSource<D> {
    /// Creates the source of a started camera whose buffers are all with the driver.
    fn new(device: D, memory: Vec<D::Memory>, setup: Setup) -> Self {
        let mut buffers = Buffers::new(memory);
        (0..buffers.len() as u32).for_each(|index| buffers.queued(index));
        Self {
            device,
            buffers,
            silence: Silence::new(setup.device.display().to_string(), SILENCE),
            setup,
            checker: Checker::default(),
            counts: Counts::default(),
            last_sequence: None,
            skipped: 0,
        }
    }

    /// Dequeues until no filled buffer is left, and keeps the newest one.
    fn dequeue_newest(&mut self) -> io::Result<Option<Filled>> {
        let mut newest: Option<Filled> = None;
        // The loop takes no more buffers than there are, so a fast driver cannot keep it running.
        for _ in 0..self.buffers.len() {
            let Some(filled) = self.device.dequeue()? else {
                break;
            };
            self.buffers.dequeued(filled.index);
            let is_newer = self.is_newer(filled.sequence);
            let replaced = if filled.damaged {
                self.drop_bad(BadPicture::Damaged);
                Some(filled)
            } else if is_newer {
                let stale = newest.replace(filled);
                self.count_stale(stale.is_some());
                stale
            } else {
                self.count_stale(true);
                Some(filled)
            };
            if let Some(replaced) = replaced {
                self.queue(replaced.index)?;
            }
        }
        Ok(newest)
    }

    /// Follows the driver's sequence numbers, and returns whether a frame is newer than the last
    /// one. Drivers deliver a few frames out of order when a camera is unplugged; a driver that
    /// does not count leaves the number unchanged.
    fn is_newer(&mut self, sequence: u32) -> bool {
        let Some(last) = self.last_sequence else {
            self.last_sequence = Some(sequence);
            return true;
        };
        let step = sequence.wrapping_sub(last).cast_signed();
        if step < 0 {
            return false;
        }
        self.last_sequence = Some(sequence);
        let lost = u64::from(step.unsigned_abs().saturating_sub(1));
        self.counts.lost += lost;
        self.skipped += lost;
        true
    }

    fn picture(&mut self, filled: Filled) -> io::Result<Option<Picture>> {
        let captured_at = epoch_time(filled.monotonic);
        let usable = if self.setup.raw.is_some() {
            let usable = self.encoded(filled);
            self.queue(filled.index)?;
            usable
        } else {
            let bytes = match self.buffers.lend(filled.index, filled.len as usize) {
                Lent::Buffer(bytes) => bytes,
                Lent::Copy(bytes) => {
                    self.counts.copied += 1;
                    self.queue(filled.index)?;
                    bytes
                }
            };
            self.checker.check(&bytes)
        };
        Ok(match usable {
            Ok(usable) => {
                self.silence.end();
                self.counts.repaired += u64::from(usable.repaired);
                Some(Picture {
                    jpeg: usable.jpeg,
                    captured_at,
                    resolution: usable.resolution,
                    skipped: std::mem::take(&mut self.skipped),
                })
            }
            Err(reason) => {
                self.drop_bad(reason);
                None
            }
        })
    }

    fn encoded(&self, filled: Filled) -> Result<Usable, BadPicture> {
        let format = self.setup.raw.as_ref().ok_or(BadPicture::Empty)?;
        let raw = self.buffers.filled(filled.index, filled.len as usize);
        if raw.len() < format.len() {
            return Err(BadPicture::Truncated);
        }
        Ok(Usable {
            jpeg: format.encode(raw).map_err(|_| BadPicture::Raw)?,
            resolution: self.setup.resolution,
            repaired: false,
        })
    }

    fn queue(&mut self, index: u32) -> io::Result<()> {
        self.device.queue(index)?;
        self.buffers.queued(index);
        Ok(())
    }

    fn count_stale(&mut self, stale: bool) {
        self.counts.stale += u64::from(stale);
        self.skipped += u64::from(stale);
    }

    fn drop_bad(&mut self, reason: BadPicture) {
        self.silence.bad(1, reason);
        self.counts.bad += 1;
        self.skipped += 1;
    }

    fn next_picture(&mut self, timeout: Duration) -> io::Result<Option<Picture>> {
        let deadline = Instant::now() + timeout;
        loop {
            for index in self.buffers.returned() {
                self.queue(index)?;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let readiness = self.device.wait(left)?;
            if readiness != Readiness::TimedOut {
                match self.dequeue_newest()? {
                    Some(filled) => {
                        if let Some(picture) = self.picture(filled)? {
                            return Ok(Some(picture));
                        }
                    }
                    // The next request usually returns the reason for the fault.
                    None if readiness == Readiness::Fault => {
                        return Err(io::Error::other("the driver reports a fault"));
                    }
                    None => {}
                }
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }
}

impl<D: Device> Source for CameraSource<D> {
    fn next(&mut self, timeout: Duration) -> Result<Option<Picture>, CaptureError> {
        match self.next_picture(timeout) {
            Ok(Some(picture)) => Ok(Some(picture)),
            Ok(None) => self.silence.check().map(|()| None),
            // ENODEV (after a poll) or EINVAL (where a request was waiting) means that the cable
            // was pulled. EIO and the others mean that the driver gave up. Reopening the camera is
            // the answer to all of them.
            Err(source) => Err(CaptureError::Lost {
                what: self.setup.device.display().to_string(),
                source,
            }),
        }
    }

    fn describe(&self) -> String {
        let Setup {
            device,
            card,
            fourcc,
            resolution,
            fps,
            raw,
        } = &self.setup;
        let rate = fps.map_or(String::new(), |fps| format!(" at {fps} fps"));
        let encoded = if raw.is_some() { ", encoded here" } else { "" };
        format!(
            "{card} ({}), {fourcc} {resolution}{rate}{encoded}",
            device.display()
        )
    }

    fn nominal_fps(&self) -> Option<f32> {
        self.setup.fps
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

/// Converts a driver's monotonic timestamp to the clock that messages use.
fn epoch_time(monotonic: Option<Duration>) -> Timestamp {
    let age = monotonic
        .and_then(|stamp| monotonic_now().checked_sub(stamp))
        .filter(|&age| age <= OLDEST_STAMP)
        .unwrap_or_default();
    let age_us = i64::try_from(age.as_micros()).unwrap_or(0);
    Timestamp::now().shifted(-age_us)
}

#[cfg(test)]
pub(crate) mod tests;
