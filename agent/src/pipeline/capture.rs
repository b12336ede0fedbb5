//! The capture thread: opens the source, passes on its frames, and reopens it when it fails.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::shared::{Shared, hang};
use crate::cli::TestHook;
use cv_capture::{CaptureError, Opener, Picture, Source};
use cv_flow::Taken;
use cv_picture::Frame;
use cv_picture::Shrinker;

/// Maximum time of one wait for a frame, after which the thread checks whether it is to stop.
const WAIT: Duration = Duration::from_millis(250);

/// JPEG quality of frames that were scaled down to `--max-size`.
const FITTED_QUALITY: u8 = 85;

/// Shortest and longest wait between two attempts to open a source. A camera that is plugged in
/// again must deliver within two seconds, so the longest wait is well below that.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// Captures until the stop. Returns an error only if it takes other settings to capture.
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
                        shared.withdraw_frames();
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
        let reason = failure.with_cause();
        if shared.meters.camera_fails(reason.clone()) {
            log::warn!("Camera: {reason}; trying until it works");
        }
        if let Taken::Closed = shared.stop.take(retry) {
            break;
        }
        retry = (retry * 2).min(LONGEST_RETRY);
    }
    Ok(())
}

/// Scales a frame down if it exceeds the largest size that the user asked for. Returns `None`, and
/// counts the frame as dropped, if that fails.
fn fitted(picture: Picture, shared: &Shared, shrinker: &mut Shrinker) -> Option<Picture> {
    let size = picture.resolution;
    let Some(most) = shared
        .max_size
        .filter(|most| size.width > most.width || size.height > most.height)
    else {
        return Some(picture);
    };
    match shrinker.annotate(&picture.jpeg, &[], most, FITTED_QUALITY) {
        Ok((jpeg, resolution)) => Some(Picture {
            jpeg,
            resolution,
            ..picture
        }),
        Err(err) => {
            log::debug!("A frame was dropped: it cannot be scaled down: {err}");
            shared.meters.unfit.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

/// Passes on the frames of a source until the stop (`Ok`) or until the source fails. The error then
/// also tells whether the source delivered any frame.
fn deliver(
    source: &mut dyn Source,
    shared: &Shared,
    seq: &mut u64,
    hook: Option<TestHook>,
) -> Result<(), (bool, CaptureError)> {
    let mut delivered = false;
    let mut shrinker = Shrinker::default();
    while !shared.stopping() {
        shared.capture_beat.beat();
        let picture = match source.next(WAIT) {
            Ok(Some(picture)) => picture,
            Ok(None) => continue,
            Err(error) => return Err((delivered, error)),
        };
        *seq += picture.skipped;
        let Some(picture) = fitted(picture, shared, &mut shrinker) else {
            *seq += 1;
            continue;
        };
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
                since.elapsed().as_secs_f32()
            );
        }
        delivered = true;
        if let Some(frames) = &shared.to_detect {
            drop(frames.put(frame.clone()));
        }
        shared.feed.put_frame(frame);
        let count = shared.meters.captured.fetch_add(1, Ordering::Relaxed) + 1;
        match hook {
            Some(TestHook::StuckCapture) if count == 30 => hang("capture"),
            Some(TestHook::PanicCapture) if count == 30 => panic!("test hook"),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;
    use cv_protocol::Timestamp;
    use tokio::sync::watch;

    use super::*;
    use crate::config::Rates;
    use cv_capture::Wanted;
    use cv_picture::Resolution;

    /// A source that delivers these frames and is then gone.
    struct Fixed(Vec<Picture>);

    impl Source for Fixed {
        fn next(&mut self, _: Duration) -> Result<Option<Picture>, CaptureError> {
            if self.0.is_empty() {
                return Err(CaptureError::Unusable {
                    what: "fixed".into(),
                    reason: "it is at its end".into(),
                });
            }
            Ok(Some(self.0.remove(0)))
        }

        fn describe(&self) -> String {
            "fixed".into()
        }

        fn nominal_fps(&self) -> Option<f32> {
            None
        }
    }

    fn picture(jpeg: Bytes, skipped: u64) -> Picture {
        Picture {
            jpeg,
            captured_at: Timestamp::now(),
            resolution: Resolution {
                width: 64,
                height: 48,
            },
            skipped,
        }
    }

    #[test]
    fn uplink_and_detector_share_the_bytes_that_the_source_delivered() {
        let (_sender, rates) = watch::channel(Rates {
            stream_fps: 20.0,
            detect_fps: None,
            search: cv_detect::SearchWhen::default(),
        });
        let shared = Shared::new(rates, None, true);
        let jpeg = Bytes::from(vec![1; 50_000]);
        let address = jpeg.as_ptr();
        let mut seq = 5;
        let mut source = Fixed(vec![picture(Bytes::new(), 0), picture(jpeg, 3)]);
        let ended = deliver(&mut source, &shared, &mut seq, None);
        assert!(matches!(ended, Err((true, _))));
        // Three frames were lost between number 5 and this one.
        assert_eq!(seq, 10);

        let Taken::Value(found) = shared.to_detect.as_ref().unwrap().take(WAIT) else {
            panic!("nothing to detect");
        };
        let sent = shared.feed.take_frame().unwrap();
        assert_eq!((found.seq, sent.seq), (9, 9));
        assert_eq!(found.jpeg.as_ptr(), address, "copied for the detector");
        assert_eq!(sent.jpeg.as_ptr(), address, "copied for the uplink");
        assert_eq!(shared.meters.captured.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_frame_larger_than_asked_for_is_scaled_down() {
        let (_sender, rates) = watch::channel(Rates {
            stream_fps: 20.0,
            detect_fps: None,
            search: cv_detect::SearchWhen::default(),
        });
        let most = Resolution {
            width: 32,
            height: 32,
        };
        let shared = Shared::new(rates, Some(most), false);
        let jpeg = cv_picture::encode(&[99; 64 * 48 * 3], 64, 48, 90).unwrap();
        let broken = Bytes::from_static(b"no picture");
        let mut source = Fixed(vec![picture(broken, 0), picture(jpeg, 0)]);
        assert!(deliver(&mut source, &shared, &mut 0, None).is_err());
        let frame = shared.feed.take_frame().unwrap();
        assert_eq!(frame.resolution.to_string(), "32x24");
        assert_eq!(frame.seq, 1);
        assert_eq!(shared.meters.unfit.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn waiting_frames_are_dropped_when_their_camera_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let jpeg = cv_picture::encode(&[99; 64 * 48 * 3], 64, 48, 90).unwrap();
        std::fs::write(folder.path().join("jpeg"), jpeg).unwrap();
        // The command delivers one frame, and none when it is started again.
        let command = format!("exec:cd {} && cat jpeg && rm jpeg", folder.path().display());
        let (_sender, rates) = watch::channel(Rates {
            stream_fps: 20.0,
            detect_fps: None,
            search: cv_detect::SearchWhen::default(),
        });
        let shared = Shared::new(rates, None, true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let opener = Opener::new(command.parse().unwrap(), Wanted::default());
                run(opener, &shared, None)
            });
            let deadline = Instant::now() + Duration::from_secs(20);
            while shared.meters.camera().fault.is_none() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            shared.stop.close();
        });
        assert_eq!(shared.meters.captured.load(Ordering::Relaxed), 1);
        assert!(shared.feed.take_frame().is_none());
        let searched = shared.to_detect.as_ref().unwrap().take(Duration::ZERO);
        assert!(matches!(searched, Taken::TimedOut));
        assert_eq!(shared.feed.dropped().values().sum::<u64>(), 1);
    }

    #[test]
    fn a_stop_ends_the_capture() {
        let (_sender, rates) = watch::channel(Rates {
            stream_fps: 20.0,
            detect_fps: None,
            search: cv_detect::SearchWhen::default(),
        });
        let shared = Shared::new(rates, None, false);
        shared.stop.close();
        assert!(deliver(&mut Fixed(Vec::new()), &shared, &mut 0, None).is_ok());
    }
}
