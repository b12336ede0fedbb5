//! What a publisher does to its camera.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cv_protocol::tutorial::Payload;
use cv_protocol::{
    CameraState, ClockSet, Detections, FrameMeta, Moment, Stats, Text, Timestamp, ViewerDetections,
    ViewerFrameMeta, ViewerStats,
};

use super::{Camera, Source, State};
use crate::hub::tap::{Placing, Tap};
use crate::hub::{Frame, Message, Outbox};
use crate::metrics::Histogram;

/// Agents measure their clock again and again; smaller changes than this are noise to a viewer.
const CLOCK_NOISE_US: u64 = 2_000;

/// What a source is told when another one comes with its camera's name.
pub const TAKEN_OVER: &str = "another connection has taken over the camera's name";

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub) enum FrameTaken {
    Yes { list_changed: bool },
    OutOfOrder,
    LeftOver,
    Superseded,
}

impl Camera {
    /// Makes `id` the source; whoever was the source before is told so.
    pub(in crate::hub) fn begin(
        &self,
        id: u64,
        evict: Box<dyn FnOnce(&str) + Send>,
        tap: Option<Arc<dyn Tap>>,
    ) {
        let mut state = self.lock();
        if let Some(tap) = &tap {
            tap.begin();
        }
        state.tap = tap;
        state.placing = Placing::default();
        self.tell_demand(&state);
        let previous = state.source.replace(Source { id, evict });
        state.heard_at = Instant::now();
        state.catching_up = None;
        state.gone_at = None;
        state.restart();
        state.stats = None;
        state.detections = None;
        state.text = None;
        state.clock_offset_us = None;
        state.fault = None;
        state.status = Some((CameraState::Live, Moment::now()));
        self.newest.send_replace(None);
        drop(state);
        if let Some(previous) = previous {
            (previous.evict)(TAKEN_OVER);
        }
    }

    /// Ends the publication of `id`, if it is still the source. Returns whether it was.
    pub(in crate::hub) fn end(&self, id: u64) -> bool {
        let mut state = self.lock();
        let is_source = state.is_source(id);
        if is_source {
            self.go_offline(&mut state);
        }
        is_source
    }

    /// Ends the publication if the source has been silent for `limit`. Returns whether it was.
    pub(in crate::hub) fn end_if_silent(&self, now: Instant, limit: Duration) -> bool {
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
        state.status = Some((CameraState::Offline, Moment::now()));
        state.fault = None;
        self.newest.send_replace(None);
    }

    pub(in crate::hub) fn has_source(&self) -> bool {
        self.lock().source.is_some()
    }

    /// Takes a frame from source `id` and hands it to everyone who has a place for it.
    ///
    /// Returns whether it was taken: a superseded source's is not, nor is one older than the last.
    pub(in crate::hub) fn frame(
        &self,
        id: u64,
        mut frame: Frame,
        outbox: &dyn Outbox,
    ) -> FrameTaken {
        let now = Instant::now();
        let mut state = self.lock();
        if !state.is_source(id) {
            return FrameTaken::Superseded;
        }
        state.heard(now);
        frame.meta.received_us = Timestamp::now();
        if state.is_left_over(&frame.meta, now) {
            self.metrics.dropped_left_over.add(1);
            return FrameTaken::LeftOver;
        }
        let meta = &frame.meta.frame;
        let mut list_changed = state.size != (meta.width, meta.height);
        if let Some((seq, captured)) = state.last_frame
            && meta.seq <= seq
        {
            // Older in both is a late message; a later picture with a lower number is a new capture.
            // Two late ones in order are a new capture as well, by a clock that was set back.
            let before = state.late.replace(meta.seq);
            if meta.captured_us <= captured && before.is_none_or(|late| meta.seq <= late) {
                self.metrics.dropped_out_of_order.add(1);
                return FrameTaken::OutOfOrder;
            }
            state.restart();
            list_changed = true;
        }
        state.last_frame = Some((meta.seq, meta.captured_us));
        state.late = None;
        state.size = (meta.width, meta.height);
        self.observe(&frame.meta, state.clock_offset_us);
        let bytes = frame.jpeg.len();
        self.metrics.frames_in.add(1);
        self.metrics.bytes_in.add(bytes as u64);

        let seq = meta.seq;
        let frame = Arc::new(frame);
        self.newest.send_replace(Some(frame.clone()));
        if let Some(tap) = state.tap.clone() {
            let meta = &frame.meta;
            let at = state.place(meta.frame.captured_us, meta.received_us);
            tap.frame(at, &meta.frame, &frame.jpeg);
        }

        let mut ready = Vec::with_capacity(state.watchers.len());
        for watcher in state.watchers.values_mut() {
            if !watcher.is_due(now) {
                self.metrics
                    .dropped_rate_limit
                    .add(u64::from(watcher.wants_pictures()));
            } else if watcher.has_place() {
                watcher.mark_sent(seq, bytes, now);
                ready.push(watcher.recipient.clone());
            } else {
                self.metrics.dropped_viewer_busy.add(1);
            }
        }
        if !ready.is_empty() {
            self.count_out(ready.len(), bytes as u64);
            // Under the lock: a frame sent by an acknowledgement must not be overtaken.
            outbox.send(ready, Message::Frame(&frame));
        }
        if !state.tutorial_viewers.is_empty() {
            let recipients: Vec<_> = state.tutorial_viewers.values().cloned().collect();
            let text = state.tutorial_text();
            drop(state);
            self.count_out(recipients.len(), bytes as u64);
            let payload = Payload::new(&frame.jpeg, text);
            outbox.send(recipients, Message::Tutorial(&payload));
        }
        FrameTaken::Yes { list_changed }
    }

    /// Counts how long a frame took to come here, as far as its stamps and the agent's clock tell.
    fn observe(&self, meta: &ViewerFrameMeta, clock_offset_us: Option<i64>) {
        let count = |histogram: &Histogram, later: Timestamp, earlier: Timestamp| {
            if let Some(took) = later.plausibly_since(earlier) {
                histogram.observe(took);
            }
        };
        let FrameMeta {
            captured_us: captured,
            sent_us: sent,
            ..
        } = meta.frame;
        let received = meta.received_us;
        if let Some(sent) = sent {
            count(&self.metrics.capture_to_sent, sent, captured);
        }
        if let Some(offset) = clock_offset_us {
            if let Some(sent) = sent {
                count(&self.metrics.sent_to_relay, received, sent.shifted(offset));
            }
            let captured = captured.shifted(offset);
            count(&self.metrics.capture_to_relay, received, captured);
        }
    }

    /// The relay's clock has been set: the agent's is known to be as much further behind. One that
    /// is exactly as late as the relay's is the relay's own.
    pub(in crate::hub) fn clock_set(&self, ClockSet { set_by_us }: ClockSet) {
        let mut state = self.lock();
        if let Some(offset) = state
            .clock_offset_us
            .as_mut()
            .filter(|offset| **offset != 0)
        {
            *offset = offset.saturating_add(set_by_us);
        }
    }

    pub(in crate::hub) fn detections(&self, id: u64, detections: Detections, outbox: &dyn Outbox) {
        let mut state = self.lock();
        if !state.is_source(id) {
            return;
        }
        state.heard(Instant::now());
        self.metrics.detections_in.add(1);
        if let Some(tap) = state.tap.clone() {
            let at = state.place(detections.captured_us, Timestamp::now());
            tap.detections(at, &detections);
        }
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
    pub(in crate::hub) fn stats(&self, id: u64, stats: Stats, outbox: &dyn Outbox) -> bool {
        let mut state = self.lock();
        if !state.is_source(id) {
            return false;
        }
        state.heard(Instant::now());
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
                state.status = Some((status, Moment::now()));
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
    pub(in crate::hub) fn text(&self, id: u64, text: String, outbox: &dyn Outbox) {
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
