//! The detection thread: searches the newest frame for objects, as often as it can or may.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use cv_protocol::Detections;
use tokio::sync::watch;

use super::shared::{Shared, hang};
use crate::cli::TestHook;
use crate::priority;
use cv_detect::{
    Asked, DetectError, Detector, DetectorConfig, Motion, SearchOn, SearchWhen, Tracker,
};
use cv_flow::{Slot, Taken};
use cv_picture::{Frame, Rgb};

/// Loads a detector. Its worker threads, like the detection thread itself, have a lower priority
/// than the video.
///
/// # Errors
///
/// Returns the error of [`Detector::load`].
pub fn load(settings: &DetectorConfig) -> Result<Detector, DetectError> {
    let load = || {
        priority::yield_to_others();
        Detector::load(settings)
    };
    // Worker threads inherit the priority of the thread that starts them.
    let loaded = thread::scope(|scope| scope.spawn(load).join());
    loaded.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Maximum time of one wait for a frame, after which the thread reports to the watchdog that it is
/// alive.
const WAIT: Duration = Duration::from_millis(500);

/// Detects objects until the slot is closed. Loads another detector as soon as `settings` change.
pub fn run(
    mut detector: Detector,
    mut settings: watch::Receiver<DetectorConfig>,
    frames: &Slot<Frame>,
    shared: &Shared,
    hook: Option<TestHook>,
) {
    priority::yield_to_others();
    let mut tracker = Tracker::new();
    let mut track = settings.borrow().track;
    let mut found = Vec::new();
    let mut gate = Gate::default();
    let mut due = Instant::now();
    loop {
        shared.detect_beat.beat();
        if settings.has_changed().unwrap_or(false) {
            let settings = settings.borrow_and_update().clone();
            match Detector::load(&settings) {
                Ok(loaded) => {
                    detector = loaded;
                    // The new detector may have other classes, so the tracker starts again.
                    tracker.forget();
                    gate.forget();
                    track = settings.track;
                }
                Err(err) => {
                    log::error!("Cannot reload the detector: {err}; keeping the previous one")
                }
            }
        }
        // The thread first waits until it may search again, and then takes the frame that is the
        // newest by then.
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            match shared.stop.take(early.min(WAIT)) {
                Taken::Closed => return,
                _ => continue,
            }
        }
        let frame = match frames.take(WAIT) {
            Taken::Value(frame) => frame,
            Taken::TimedOut => continue,
            Taken::Closed => return,
        };
        if let Some(fps) = shared.rates().detect_fps {
            let interval = Duration::from_secs_f32(1.0 / fps);
            let now = Instant::now();
            due = (due + interval).clamp(now, now + interval);
        }
        let (seq, captured_at) = (frame.seq, frame.captured_at);
        let counts = tracker.counts();
        let present = if track {
            counts.found > counts.lost
        } else {
            !found.is_empty()
        };
        let when = shared.rates().search;
        let mut look = |picture: Rgb<'_>| gate.wants(picture, when, present);
        let asked = Asked {
            // What always searches need not be looked at.
            look: (when.on == SearchOn::Motion).then_some(&mut look),
            go_on: &mut || {
                shared.detect_beat.beat();
                !shared.stopping()
            },
        };
        let times = match detector.detect_frame(frame, asked, &mut found) {
            Ok(Some(times)) => times,
            Ok(None) => {
                shared.meters.unchanged.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Err(err) => {
                let before = shared.meters.undetectable.fetch_add(1, Ordering::Relaxed);
                if before == 0 {
                    log::warn!(
                        "Cannot search frame {seq}: {err}; further failures are only counted"
                    );
                }
                shared.meters.searched(Some(err.to_string()));
                continue;
            }
        };
        shared.meters.searched(None);
        if track {
            tracker.update(&mut found, captured_at);
        }
        shared.meters.tracked(tracker.counts());
        let (info, labels) = (detector.info(), detector.labels());
        shared.feed.put_detections(Detections {
            seq,
            captured_us: captured_at,
            model: info.model.clone(),
            engine: info.engine.clone(),
            accelerator: info.accelerator.clone(),
            infer_ms: times.infer.as_secs_f32() * 1000.0,
            objects: found.iter().map(|found| found.to_object(labels)).collect(),
        });
        let count = shared.meters.detected.fetch_add(1, Ordering::Relaxed) + 1;
        match hook {
            Some(TestHook::StuckDetect) if count == 10 => hang("detect"),
            Some(TestHook::PanicDetect) if count == 10 => panic!("test hook"),
            _ => {}
        }
    }
}

/// Decides which frames are searched.
#[derive(Default)]
struct Gate {
    motion: Motion,
    searched: Option<Instant>,
}

impl Gate {
    /// Whether a frame is to be searched: something moved, objects are there, or it is time.
    fn wants(&mut self, picture: Rgb<'_>, when: SearchWhen, present: bool) -> bool {
        let moved = self.motion.moved(picture, when.sensitivity);
        let overdue = self
            .searched
            .is_none_or(|searched| searched.elapsed() >= when.at_least);
        let wanted = moved || present || overdue;
        if wanted {
            self.motion.searched();
            self.searched = Some(Instant::now());
        }
        wanted
    }

    fn forget(&mut self) {
        self.motion.forget();
        self.searched = None;
    }
}
