//! What viewers do to a camera: those who acknowledge, the tutorial's, and those without Socket.IO.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use cv_flow::{Pace, Window};
use cv_protocol::STALL;
use cv_protocol::tutorial::Payload;
use tokio::sync::watch;

use super::{Camera, Watcher};
use crate::hub::{Frame, Message, Outbox, Recipient};

impl Camera {
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

    pub(in crate::hub) fn watch(
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
            watcher.pace = Pace::default();
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
            pace: Pace::default(),
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

    pub(in crate::hub) fn unwatch(&self, viewer: u64) -> bool {
        let mut state = self.lock();
        let watched = state.watchers.remove(&viewer).is_some();
        self.tell_demand(&state);
        watched
    }

    /// Takes an acknowledgement; a place that it frees takes the newest frame there is.
    pub(in crate::hub) fn shown(&self, viewer: u64, seq: u64, outbox: &dyn Outbox) {
        let now = Instant::now();
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(watcher) = state.watchers.get_mut(&viewer) else {
            return;
        };
        if let Some(delivery) = watcher.window.acknowledge(seq, now) {
            self.metrics.relay_to_shown.observe(delivery.round_trip);
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
        if watcher.sent != Some(seq) && watcher.is_due(now) && watcher.has_place() {
            let bytes = frame.jpeg.len();
            watcher.mark_sent(seq, bytes, now);
            self.count_out(1, bytes as u64);
            outbox.send(vec![watcher.recipient.clone()], Message::Frame(frame));
        }
    }

    /// Removes and returns the viewers that have acknowledged nothing for too long.
    pub(in crate::hub) fn take_stalled(&self, now: Instant) -> Vec<Recipient> {
        let mut state = self.lock();
        let stalled = state.watchers.extract_if(|_, watcher| {
            watcher
                .window
                .stalls_at(STALL)
                .is_some_and(|stalls_at| stalls_at <= now)
        });
        let stalled: Vec<_> = stalled.map(|(_, watcher)| watcher.recipient).collect();
        if !stalled.is_empty() {
            self.tell_demand(&state);
        }
        stalled
    }

    pub(in crate::hub) fn add_tutorial_viewer(
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

    pub(in crate::hub) fn remove_tutorial_viewer(&self, viewer: u64) {
        let mut state = self.lock();
        state.tutorial_viewers.remove(&viewer);
        self.tell_demand(&state);
    }

    /// Takes out the viewers who cannot choose, if nobody brings this camera.
    pub(in crate::hub) fn take_tutorial_viewers_if_offline(&self) -> HashMap<u64, Recipient> {
        let mut state = self.lock();
        if state.source.is_some() || state.tutorial_viewers.is_empty() {
            return HashMap::new();
        }
        let viewers = std::mem::take(&mut state.tutorial_viewers);
        self.tell_demand(&state);
        viewers
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
