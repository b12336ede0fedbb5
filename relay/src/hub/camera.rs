//! One camera: its newest frame and detections, and the viewers that watch it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cv_protocol::tutorial::{self, Payload};
use cv_protocol::{
    CameraInfo, CameraState, Demand, Detections, STALL, Stats, Text, Timestamp, ViewerDetections,
    ViewerStats,
};
use tokio::sync::watch;

use super::window::Window;
use super::{Frame, Message, Outbox, Recipient};
use crate::metrics::CameraMetrics;
use crate::tutorial::harmless;

/// Agents measure their clock again and again; smaller changes than this are noise to a viewer.
const CLOCK_NOISE_US: u64 = 2_000;

/// A frame that is due within this time is sent now: arrival times jitter.
const PACE_SLACK: Duration = Duration::from_millis(4);

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
    status: Option<(CameraState, Timestamp)>,
    gone_at: Option<Instant>,
    heard_at: Instant,
    last_frame: Option<(u64, Timestamp)>,
    size: (u32, u32),
    clock_offset_us: Option<i64>,
    fault: Option<String>,
    detections: Option<ViewerDetections>,
    stats: Option<ViewerStats>,
    text: Option<Text>,
    watchers: HashMap<u64, Watcher>,
    tutorial_viewers: HashMap<u64, Recipient>,
    polling: u32,
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
    next_due: Option<Instant>,
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
        self.wants_pictures() && self.next_due.is_none_or(|due| now + PACE_SLACK >= due)
    }

    fn mark_sent(&mut self, seq: u64, now: Instant) {
        self.window.sent(seq, now);
        self.sent = Some(seq);
        self.next_due = self.max_fps.filter(|fps| *fps > 0.0).map(|fps| {
            let interval = Duration::from_secs_f32(1.0 / fps);
            // Keeping to the grid makes the rate even; a pause starts a new grid.
            match self.next_due {
                Some(due) if due + interval > now => due + interval,
                _ => now + interval,
            }
        });
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
                last_frame: None,
                size: (0, 0),
                clock_offset_us: None,
                fault: None,
                detections: None,
                stats: None,
                text: None,
                watchers: HashMap::new(),
                tutorial_viewers: HashMap::new(),
                polling: 0,
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
        let (status, since_us) = state.status?;
        Some(CameraInfo {
            name: self.name.clone(),
            width: state.size.0,
            height: state.size.1,
            state: status,
            since_us,
            fault: state.fault.clone(),
            viewers: state.viewers(),
            clock_offset_us: state.clock_offset_us,
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

    /// Counts as a viewer for as long as the result lives, and follows the newest frame.
    #[must_use]
    pub fn poll(self: &Arc<Self>) -> Polling {
        let mut state = self.lock();
        state.polling += 1;
        self.tell_demand(&state);
        Polling {
            camera: self.clone(),
            newest: self.newest.subscribe(),
        }
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

/// What a publisher does.
impl Camera {
    /// Makes `id` the source; whoever was the source before is told so.
    pub(super) fn begin(&self, id: u64, evict: Box<dyn FnOnce(&str) + Send>) {
        let mut state = self.lock();
        let previous = state.source.replace(Source { id, evict });
        state.heard_at = Instant::now();
        state.gone_at = None;
        state.restart();
        state.stats = None;
        state.detections = None;
        state.text = None;
        state.clock_offset_us = None;
        state.fault = None;
        state.status = Some((CameraState::Live, Timestamp::now()));
        self.newest.send_replace(None);
        drop(state);
        if let Some(previous) = previous {
            (previous.evict)("another connection has taken over the camera's name");
        }
    }

    /// Ends the publication of `id`, if it is still the source. Returns whether it was.
    pub(super) fn end(&self, id: u64) -> bool {
        let mut state = self.lock();
        let is_source = state.is_source(id);
        if is_source {
            self.go_offline(&mut state);
        }
        is_source
    }

    /// Ends the publication if the source has been silent for `limit`. Returns whether it was.
    pub(super) fn end_if_silent(&self, now: Instant, limit: Duration) -> bool {
        let mut state = self.lock();
        if now.saturating_duration_since(state.heard_at) < limit {
            return false;
        }
        let Some(source) = state.source.take() else {
            return false;
        };
        self.go_offline(&mut state);
        drop(state);
        (source.evict)(&format!("nothing was heard for {} s", limit.as_secs()));
        true
    }

    fn go_offline(&self, state: &mut State) {
        state.source = None;
        state.gone_at = Some(Instant::now());
        state.status = Some((CameraState::Offline, Timestamp::now()));
        state.fault = None;
        self.newest.send_replace(None);
    }

    pub(super) fn has_source(&self) -> bool {
        self.lock().source.is_some()
    }

    /// Takes a frame from source `id` and hands it to everyone who has a place for it.
    ///
    /// Returns whether it was taken: a superseded source's is not, nor is one older than the last.
    pub(super) fn frame(&self, id: u64, mut frame: Frame, outbox: &dyn Outbox) -> FrameTaken {
        let now = Instant::now();
        let mut state = self.lock();
        if !state.is_source(id) {
            return FrameTaken::Superseded;
        }
        state.heard_at = now;
        let meta = &frame.meta.frame;
        let mut list_changed = state.size != (meta.width, meta.height);
        if let Some((seq, captured)) = state.last_frame
            && meta.seq <= seq
        {
            // Older in both is a late message; a later picture with a lower number is a new capture.
            if meta.captured_us <= captured {
                self.metrics.dropped_out_of_order.add(1);
                return FrameTaken::OutOfOrder;
            }
            state.restart();
            list_changed = true;
        }
        state.last_frame = Some((meta.seq, meta.captured_us));
        state.size = (meta.width, meta.height);
        frame.meta.received_us = Timestamp::now();
        if let Some(offset) = state.clock_offset_us {
            let captured = meta.captured_us.shifted(offset);
            self.metrics
                .capture_to_relay
                .observe(frame.meta.received_us.since(captured));
        }
        let bytes = frame.jpeg.len() as u64;
        self.metrics.frames_in.add(1);
        self.metrics.bytes_in.add(bytes);

        let seq = meta.seq;
        let frame = Arc::new(frame);
        self.newest.send_replace(Some(frame.clone()));

        let mut ready = Vec::with_capacity(state.watchers.len());
        for watcher in state.watchers.values_mut() {
            if !watcher.is_due(now) {
                self.metrics
                    .dropped_rate_limit
                    .add(u64::from(watcher.wants_pictures()));
            } else if watcher.window.has_place() {
                watcher.mark_sent(seq, now);
                ready.push(watcher.recipient.clone());
            } else {
                self.metrics.dropped_viewer_busy.add(1);
            }
        }
        if !ready.is_empty() {
            self.count_out(ready.len(), bytes);
            // Under the lock: a frame sent by an acknowledgement must not be overtaken.
            outbox.send(ready, Message::Frame(&frame));
        }
        if !state.tutorial_viewers.is_empty() {
            let recipients: Vec<_> = state.tutorial_viewers.values().cloned().collect();
            let text = state.tutorial_text();
            drop(state);
            self.count_out(recipients.len(), bytes);
            let payload = Payload::new(&frame.jpeg, text);
            outbox.send(recipients, Message::Tutorial(&payload));
        }
        FrameTaken::Yes { list_changed }
    }

    fn count_out(&self, viewers: usize, bytes: u64) {
        let viewers = viewers as u64;
        self.metrics.frames_out.add(viewers);
        self.metrics.bytes_out.add(viewers * bytes);
    }

    pub(super) fn detections(&self, id: u64, detections: Detections, outbox: &dyn Outbox) {
        let mut state = self.lock();
        if !state.is_source(id) {
            return;
        }
        state.heard_at = Instant::now();
        self.metrics.detections_in.add(1);
        let message = ViewerDetections {
            camera: self.name.clone(),
            detections,
        };
        let ready = state.ready(|watcher| &mut watcher.owes_detections);
        if !ready.is_empty() {
            outbox.send(ready, Message::Detections(&message));
        }
        state.detections = Some(message);
    }

    /// Takes `stats`; returns whether the camera list has changed by it.
    pub(super) fn stats(&self, id: u64, stats: Stats, outbox: &dyn Outbox) -> bool {
        let mut state = self.lock();
        if !state.is_source(id) {
            return false;
        }
        state.heard_at = Instant::now();
        let mut changed = false;
        if let Some(offset) = stats.clock_offset_us
            && state
                .clock_offset_us
                .is_none_or(|known| known.abs_diff(offset) > CLOCK_NOISE_US)
        {
            state.clock_offset_us = Some(offset);
            changed = true;
        }
        if state.fault != stats.camera_fault {
            let status = match stats.camera_fault {
                Some(_) => CameraState::Fault,
                None => CameraState::Live,
            };
            if state.status.is_none_or(|(known, _)| known != status) {
                state.status = Some((status, Timestamp::now()));
            }
            state.fault.clone_from(&stats.camera_fault);
            changed = true;
        }
        let message = ViewerStats {
            camera: self.name.clone(),
            stats,
        };
        let ready: Vec<_> = state
            .watchers
            .values()
            .filter(|watcher| !watcher.window.is_full())
            .map(|watcher| watcher.recipient.clone())
            .collect();
        if !ready.is_empty() {
            outbox.send(ready, Message::Stats(&message));
        }
        state.stats = Some(message);
        changed
    }

    /// Takes the lines of a tutorial's client.
    pub(super) fn text(&self, id: u64, text: String, outbox: &dyn Outbox) {
        let mut state = self.lock();
        if !state.is_source(id) || state.text.as_ref().is_some_and(|known| known.text == text) {
            return;
        }
        let message = Text {
            camera: self.name.clone(),
            text,
        };
        let ready = state.ready(|watcher| &mut watcher.owes_text);
        if !ready.is_empty() {
            outbox.send(ready, Message::Text(&message));
        }
        state.text = Some(message);
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameTaken {
    Yes { list_changed: bool },
    OutOfOrder,
    Superseded,
}

/// What a viewer does.
impl Camera {
    pub(super) fn watch(
        &self,
        viewer: u64,
        recipient: &Recipient,
        max_fps: Option<f32>,
        outbox: &dyn Outbox,
    ) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Some(watcher) = state.watchers.get_mut(&viewer) {
            watcher.max_fps = max_fps;
            watcher.next_due = None;
            self.tell_demand(state);
            return;
        }
        let to = || vec![recipient.clone()];
        if let Some(stats) = &state.stats {
            outbox.send(to(), Message::Stats(stats));
        }
        if let Some(text) = &state.text {
            outbox.send(to(), Message::Text(text));
        }
        let mut watcher = Watcher {
            recipient: recipient.clone(),
            max_fps,
            next_due: None,
            window: Window::default(),
            sent: None,
            owes_detections: false,
            owes_text: false,
        };
        self.send_newest(&mut watcher, outbox);
        if let Some(detections) = &state.detections {
            outbox.send(to(), Message::Detections(detections));
        }
        state.watchers.insert(viewer, watcher);
        self.tell_demand(state);
    }

    pub(super) fn unwatch(&self, viewer: u64) -> bool {
        let mut state = self.lock();
        let watched = state.watchers.remove(&viewer).is_some();
        self.tell_demand(&state);
        watched
    }

    /// Takes an acknowledgement; a place that it frees takes the newest frame there is.
    pub(super) fn shown(&self, viewer: u64, seq: u64, outbox: &dyn Outbox) {
        let now = Instant::now();
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(watcher) = state.watchers.get_mut(&viewer) else {
            return;
        };
        if let Some(round_trip) = watcher.window.acknowledged(seq, now) {
            self.metrics.relay_to_shown.observe(round_trip);
        }
        self.send_newest(watcher, outbox);
        let to = || vec![watcher.recipient.clone()];
        if std::mem::take(&mut watcher.owes_detections)
            && let Some(detections) = &state.detections
        {
            outbox.send(to(), Message::Detections(detections));
        }
        if std::mem::take(&mut watcher.owes_text)
            && let Some(text) = &state.text
        {
            outbox.send(to(), Message::Text(text));
        }
    }

    fn send_newest(&self, watcher: &mut Watcher, outbox: &dyn Outbox) {
        let newest = self.newest.borrow();
        let Some(frame) = newest.as_ref() else { return };
        let seq = frame.meta.frame.seq;
        let now = Instant::now();
        if watcher.sent != Some(seq) && watcher.is_due(now) && watcher.window.has_place() {
            watcher.mark_sent(seq, now);
            self.count_out(1, frame.jpeg.len() as u64);
            outbox.send(vec![watcher.recipient.clone()], Message::Frame(frame));
        }
    }

    /// Removes and returns the viewers that have acknowledged nothing for too long.
    pub(super) fn take_stalled(&self, now: Instant) -> Vec<Recipient> {
        let mut state = self.lock();
        let stalled = state.watchers.extract_if(|_, watcher| {
            watcher
                .window
                .oldest_sent_at()
                .is_some_and(|at| now.saturating_duration_since(at) > STALL)
        });
        let stalled: Vec<_> = stalled.map(|(_, watcher)| watcher.recipient).collect();
        if !stalled.is_empty() {
            self.tell_demand(&state);
        }
        stalled
    }

    pub(super) fn add_tutorial_viewer(
        &self,
        viewer: u64,
        recipient: Recipient,
        outbox: &dyn Outbox,
    ) {
        let mut state = self.lock();
        if let Some(frame) = self.newest() {
            let payload = Payload::new(&frame.jpeg, state.tutorial_text());
            outbox.send(vec![recipient.clone()], Message::Tutorial(&payload));
        }
        state.tutorial_viewers.insert(viewer, recipient);
        self.tell_demand(&state);
    }

    pub(super) fn remove_tutorial_viewer(&self, viewer: u64) {
        let mut state = self.lock();
        state.tutorial_viewers.remove(&viewer);
        self.tell_demand(&state);
    }

    /// Takes out the viewers who cannot choose, if nobody brings this camera.
    pub(super) fn take_tutorial_viewers_if_offline(&self) -> HashMap<u64, Recipient> {
        let mut state = self.lock();
        if state.source.is_some() || state.tutorial_viewers.is_empty() {
            return HashMap::new();
        }
        let viewers = std::mem::take(&mut state.tutorial_viewers);
        self.tell_demand(&state);
        viewers
    }

    pub(super) fn is_forgotten(&self, now: Instant, keep: Duration) -> bool {
        let state = self.lock();
        let unused = state.source.is_none() && state.viewers() == 0 && state.watchers.is_empty();
        unused
            && state
                .gone_at
                .is_none_or(|at| now.saturating_duration_since(at) > keep)
    }
}

impl State {
    fn is_source(&self, id: u64) -> bool {
        self.source.as_ref().is_some_and(|source| source.id == id)
    }

    /// Sequence numbers start again: what is in flight will not be acknowledged by them.
    fn restart(&mut self) {
        self.last_frame = None;
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
        let most = self
            .watching()
            .map(|watcher| watcher.max_fps)
            .try_fold(0.0_f32, |most, fps| Some(most.max(fps?)));
        Demand {
            viewers: self.viewers(),
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

/// A viewer without Socket.IO; see [`Camera::poll`].
pub struct Polling {
    camera: Arc<Camera>,
    newest: watch::Receiver<Option<Arc<Frame>>>,
}

impl Polling {
    /// Waits for a frame that this has not returned yet: the newest, if several came meanwhile.
    ///
    /// `None` if the camera has gone.
    pub async fn next(&mut self) -> Option<Arc<Frame>> {
        self.newest.changed().await.ok()?;
        let frame = self.newest.borrow_and_update().clone()?;
        self.camera.count_out(1, frame.jpeg.len() as u64);
        Some(frame)
    }

    /// Makes [`Self::next`] return the frame that is there already.
    pub fn include_present(&mut self) {
        if self.newest.borrow().is_some() {
            self.newest.mark_changed();
        }
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        let mut state = self.camera.lock();
        state.polling -= 1;
        self.camera.tell_demand(&state);
    }
}
