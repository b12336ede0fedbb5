//! One camera: its newest frame and detections, and the viewers that watch it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cv_flow::{Pace, Window};
use cv_protocol::tutorial;
use cv_protocol::{
    CameraInfo, CameraState, Demand, Moment, Text, Timestamp, ViewerDetections, ViewerFrameMeta,
    ViewerStats,
};
use tokio::sync::watch;

use super::tap::{Placing, Tap};
use super::{Frame, Recipient};
use crate::metrics::CameraMetrics;
use crate::tutorial::harmless;

mod source;
mod viewers;

pub(super) use source::FrameTaken;
pub use source::TAKEN_OVER;
pub use viewers::Polling;

/// Agents say something every second; more time than this in between is a link that broke down, or a
/// program that did not run.
const SILENCE: Duration = Duration::from_secs(3);

/// For so long after a silence, frames older than [`FRESH`] are not passed on.
const CATCH_UP: Duration = Duration::from_secs(2);
const FRESH: Duration = Duration::from_secs(1);

/// One camera of the hub.
pub struct Camera {
    name: String,
    state: Mutex<State>,
    newest: watch::Sender<Option<Arc<Frame>>>,
    demand: watch::Sender<Demand>,
    /// Its counters.
    pub metrics: CameraMetrics,
}

struct State {
    source: Option<Source>,
    /// `None` until an agent has brought it: a viewer may watch a camera that is not there yet.
    status: Option<(CameraState, Moment)>,
    gone_at: Option<Instant>,
    heard_at: Instant,
    /// After a silence, old frames may come first until then.
    catching_up: Option<Instant>,
    last_frame: Option<(u64, Timestamp)>,
    /// Sequence number of a frame that came late, if it was the last one.
    late: Option<u64>,
    size: (u32, u32),
    clock_offset_us: Option<i64>,
    fault: Option<String>,
    detections: Option<ViewerDetections>,
    stats: Option<ViewerStats>,
    text: Option<Text>,
    watchers: HashMap<u64, Watcher>,
    tutorial_viewers: HashMap<u64, Recipient>,
    polling: u32,
    /// Records the camera.
    tap: Option<Arc<dyn Tap>>,
    placing: Placing,
}

/// Whoever brings the camera's frames now.
struct Source {
    id: u64,
    /// Tells it that it has been superseded, and why.
    evict: Box<dyn FnOnce(&str) + Send>,
}

/// A viewer of this camera that acknowledges.
struct Watcher {
    recipient: Recipient,
    max_fps: Option<f32>,
    pace: Pace,
    window: Window,
    sent: Option<u64>,
    owes_detections: bool,
    owes_text: bool,
}

impl Watcher {
    fn wants_pictures(&self) -> bool {
        self.max_fps != Some(0.0)
    }

    /// Whether the newest frame may go out now as far as the wanted rate is concerned.
    fn is_due(&self, now: Instant) -> bool {
        self.wants_pictures()
            && self
                .max_fps
                .is_none_or(|fps| self.pace.is_due(now, Pace::interval(fps)))
    }

    /// Whether the window has a place for a frame that is due.
    fn has_place(&mut self) -> bool {
        let open = self.window.is_open();
        if !open {
            self.window.hold_back();
        }
        open
    }

    fn mark_sent(&mut self, seq: u64, bytes: usize, now: Instant) {
        self.window.sent(seq, bytes, now);
        self.sent = Some(seq);
        if let Some(fps) = self.max_fps {
            self.pace.pass(now, Pace::interval(fps));
        }
    }
}

impl Camera {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            state: Mutex::new(State {
                source: None,
                status: None,
                gone_at: None,
                heard_at: Instant::now(),
                catching_up: None,
                last_frame: None,
                late: None,
                size: (0, 0),
                clock_offset_us: None,
                fault: None,
                detections: None,
                stats: None,
                text: None,
                watchers: HashMap::new(),
                tutorial_viewers: HashMap::new(),
                polling: 0,
                tap: None,
                placing: Placing::default(),
            }),
            newest: watch::Sender::new(None),
            demand: watch::Sender::new(Demand {
                viewers: 0,
                max_fps: None,
                cut_frames: true,
            }),
            metrics: CameraMetrics::default(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its entry in `cameras`; `None` while no agent has ever brought it.
    #[must_use]
    pub fn info(&self) -> Option<CameraInfo> {
        let state = self.lock();
        let (status, since) = state.status?;
        Some(CameraInfo {
            name: self.name.clone(),
            width: state.size.0,
            height: state.size.1,
            state: status,
            since_us: since.timestamp(),
            fault: state.fault.clone(),
            viewers: state.viewers(),
            clock_offset_us: state.clock_offset_us,
            recording: state.tap.as_ref().map(|tap| tap.recording()),
        })
    }

    pub(super) fn state(&self) -> Option<CameraState> {
        self.lock().status.map(|(status, _)| status)
    }

    /// The newest frame; `None` before the first and while the camera is offline.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Frame>> {
        self.newest.borrow().clone()
    }

    pub(super) fn is_forgotten(&self, now: Instant, keep: Duration) -> bool {
        let state = self.lock();
        let unused = state.source.is_none() && state.viewers() == 0 && state.watchers.is_empty();
        unused
            && state
                .gone_at
                .is_none_or(|at| now.saturating_duration_since(at) > keep)
    }

    /// What is recorded has changed.
    pub(super) fn recording_changed(&self) {
        let state = self.lock();
        self.tell_demand(&state);
    }

    fn count_out(&self, viewers: usize, bytes: u64) {
        let viewers = viewers as u64;
        self.metrics.frames_out.add(viewers);
        self.metrics.bytes_out.add(viewers * bytes);
    }

    pub(super) fn demand(&self) -> watch::Receiver<Demand> {
        self.demand.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_demand(&self, state: &State) {
        let demand = state.demand();
        self.demand.send_if_modified(|told| {
            let changed = *told != demand;
            *told = demand;
            changed
        });
    }
}

impl State {
    fn is_source(&self, id: u64) -> bool {
        self.source.as_ref().is_some_and(|source| source.id == id)
    }

    /// The source has said something.
    fn heard(&mut self, now: Instant) {
        if now.saturating_duration_since(self.heard_at) > SILENCE {
            self.catching_up = Some(now + CATCH_UP);
        }
        self.heard_at = now;
    }

    /// Whether a frame waited somewhere while the source was silent: newer ones are right behind it.
    fn is_left_over(&mut self, meta: &ViewerFrameMeta, now: Instant) -> bool {
        let Some(until) = self.catching_up else {
            return false;
        };
        if now > until {
            self.catching_up = None;
            return false;
        }
        let Some(offset) = self.clock_offset_us else {
            return false;
        };
        let captured = meta.frame.captured_us.shifted(offset);
        let age = meta.received_us.plausibly_since(captured);
        age.is_none_or(|age| age > FRESH)
    }

    /// When something was captured, by the relay's clock.
    fn place(&mut self, captured: Timestamp, received: Timestamp) -> Timestamp {
        let offset = self.clock_offset_us;
        self.placing.place(captured, received, offset)
    }

    /// Sequence numbers start again: what is in flight will not be acknowledged by them.
    fn restart(&mut self) {
        self.last_frame = None;
        self.late = None;
        for watcher in self.watchers.values_mut() {
            watcher.window.restart();
            watcher.sent = None;
        }
    }

    /// Who can take a message now. To viewers that lag it is owed: they get the newest once they
    /// have acknowledged something.
    fn ready(&mut self, owes: impl Fn(&mut Watcher) -> &mut bool) -> Vec<Recipient> {
        let mut ready = Vec::with_capacity(self.watchers.len());
        for watcher in self.watchers.values_mut() {
            let lags = watcher.window.is_full();
            *owes(watcher) = lags;
            if !lags {
                ready.push(watcher.recipient.clone());
            }
        }
        ready
    }

    fn watching(&self) -> impl Iterator<Item = &Watcher> {
        self.watchers.values().filter(|w| w.wants_pictures())
    }

    fn viewers(&self) -> u32 {
        let others = self.tutorial_viewers.len() + self.watching().count();
        self.polling
            .saturating_add(u32::try_from(others).unwrap_or(u32::MAX))
    }

    fn demand(&self) -> Demand {
        let unlimited = self.polling > 0 || !self.tutorial_viewers.is_empty();
        // A recording counts as a viewer: what nobody watches is recorded at its rate too.
        let recording = self.tap.as_ref().and_then(|tap| tap.wants());
        let most = self
            .watching()
            .map(|watcher| watcher.max_fps)
            .chain(recording)
            .try_fold(0.0_f32, |most, fps| Some(most.max(fps?)));
        Demand {
            viewers: self.viewers() + u32::from(recording.is_some()),
            max_fps: most.filter(|most| !unlimited && *most > 0.0),
            cut_frames: true,
        }
    }

    fn tutorial_text(&self) -> String {
        match (&self.text, &self.detections) {
            (Some(text), _) => harmless(&text.text),
            (None, Some(found)) => tutorial::card(&found.detections),
            (None, None) => String::new(),
        }
    }
}
