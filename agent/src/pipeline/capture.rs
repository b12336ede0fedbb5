//! The capture thread: opens the source, hands on what it delivers, opens it again when it fails.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Shared, TestHook};
use crate::capture::{CaptureError, Opener, Source};
use crate::frame::Frame;
use crate::slot::Taken;

/// How long one wait for a picture lasts, so that a stop is noticed.
const WAIT: Duration = Duration::from_millis(250);

/// Waits between attempts to open a source. The longest is well below the two seconds within which
/// a camera that was plugged in again is to be seen.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// Captures until the stop; an error is one that only other settings can help.
pub fn run(
    mut opener: Opener,
    shared: &Shared,
    hook: Option<TestHook>,
) -> Result<(), CaptureError> {
    let mut retry = FIRST_RETRY;
    let mut seq = 0;
    while !shared.stopping() {
        shared.capture_beat.beat();
        let failure = match opener.open() {
            Ok(mut source) => {
                let description = source.describe();
                log::info!("Camera: {description}");
                shared.meters.camera_opened(description);
                match deliver(source.as_mut(), shared, &mut seq, hook) {
                    Ok(()) => return Ok(()),
                    Err((delivered, error)) => {
                        if delivered {
                            retry = FIRST_RETRY;
                        }
                        error
                    }
                }
            }
            Err(error) => error,
        };
        if !opener.should_retry(&failure) {
            return Err(failure);
        }
        if shared.meters.camera_fails(failure.to_string()) {
            log::warn!("Camera: {failure}; trying until it works");
        }
        if let Taken::Closed = shared.stop.take(retry) {
            break;
        }
        retry = (retry * 2).min(LONGEST_RETRY);
    }
    Ok(())
}

/// Hands on pictures until the stop, or until the source fails: then also whether it delivered any.
fn deliver(
    source: &mut dyn Source,
    shared: &Shared,
    seq: &mut u64,
    hook: Option<TestHook>,
) -> Result<(), (bool, CaptureError)> {
    let mut delivered = false;
    while !shared.stopping() {
        shared.capture_beat.beat();
        let picture = match source.next(WAIT) {
            Ok(Some(picture)) => picture,
            Ok(None) => continue,
            Err(error) => return Err((delivered, error)),
        };
        *seq += picture.skipped;
        let frame = Frame {
            seq: *seq,
            captured_at: picture.captured_at,
            resolution: picture.resolution,
            jpeg: picture.jpeg,
        };
        *seq += 1;
        if let Some((reason, since)) = shared.meters.camera_works(source.counts()) {
            log::info!(
                "Camera: works again after {:.1} s ({reason})",
                frame.captured_at.since(since).as_secs_f32()
            );
        }
        delivered = true;
        if let Some(frames) = &shared.to_detect {
            drop(frames.put(frame.clone()));
        }
        shared.feed.put_frame(frame);
        let count = shared.meters.captured.fetch_add(1, Ordering::Relaxed) + 1;
        match hook {
            Some(TestHook::StuckCapture) if count == 30 => super::hang("capture"),
            Some(TestHook::PanicCapture) if count == 30 => panic!("test hook"),
            _ => {}
        }
    }
    Ok(())
}
