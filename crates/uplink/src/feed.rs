//! What waits to be sent: the newest frame, detections and stats, never more than one of each.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cv_protocol::{Detections, Stats};
use tokio::sync::Notify;

use cv_picture::Frame;

/// Why a frame that was captured is not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drop {
    /// There is no connection.
    #[default]
    Offline,
    /// The link is busy with earlier frames.
    Link,
    /// It would exceed the frame rate asked for.
    Pace,
    /// Nobody watches.
    Unwatched,
    /// It is larger than a frame may be, or could not be made smaller.
    Unsendable,
}

impl Drop {
    /// Its key in `stats`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Link => "link",
            Self::Pace => "pace",
            Self::Unwatched => "unwatched",
            Self::Unsendable => "unsendable",
        }
    }
}

/// The mailbox between the threads that make things and the task that sends them.
///
/// Newer replaces older, and nothing here ever waits.
#[derive(Debug, Default)]
pub struct Feed {
    state: Mutex<State>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct State {
    frame: Option<Frame>,
    detections: Option<Detections>,
    stats: Option<Stats>,
    /// Why the frame in the mailbox is still there.
    waiting_for: Drop,
    dropped: BTreeMap<Drop, u64>,
}

impl Feed {
    /// Offers a frame; one that waits is dropped and counted.
    pub fn put_frame(&self, frame: Frame) {
        self.replace_frame(Some(frame));
        self.ready.notify_one();
    }

    /// Takes back a frame that still waits, and counts it.
    pub fn withdraw_frame(&self) {
        self.replace_frame(None);
    }

    fn replace_frame(&self, frame: Option<Frame>) {
        let mut state = self.lock();
        let displaced = std::mem::replace(&mut state.frame, frame);
        if displaced.is_some() {
            let reason = state.waiting_for;
            *state.dropped.entry(reason).or_default() += 1;
        }
        // The picture is dropped outside the lock.
        drop(state);
    }

    /// Offers detections.
    pub fn put_detections(&self, detections: Detections) {
        let displaced = self.lock().detections.replace(detections);
        drop(displaced);
        self.ready.notify_one();
    }

    /// Offers measurements.
    pub fn put_stats(&self, stats: Stats) {
        let displaced = self.lock().stats.replace(stats);
        drop(displaced);
        self.ready.notify_one();
    }

    /// Frames not sent so far, by reason.
    pub fn dropped(&self) -> BTreeMap<Drop, u64> {
        self.lock().dropped.clone()
    }

    /// Frames not sent so far because nobody asks for so many.
    #[must_use]
    pub fn paced(&self) -> u64 {
        let state = self.lock();
        let count = |reason| state.dropped.get(&reason).copied().unwrap_or_default();
        count(Drop::Pace) + count(Drop::Unwatched)
    }

    /// Counts a frame that was taken and not sent.
    pub fn count(&self, reason: Drop) {
        *self.lock().dropped.entry(reason).or_default() += 1;
    }

    /// Takes the frame that waits, if there is one.
    pub fn take_frame(&self) -> Option<Frame> {
        self.lock().frame.take()
    }

    /// Takes the detections that wait, if there are any.
    pub fn take_detections(&self) -> Option<Detections> {
        self.lock().detections.take()
    }

    /// Takes the statistics that wait, if there are any.
    pub fn take_stats(&self) -> Option<Stats> {
        self.lock().stats.take()
    }

    /// Says why frames will stay in the mailbox from now on; returns whether one is there.
    pub fn waits_for(&self, reason: Drop) -> bool {
        let mut state = self.lock();
        state.waiting_for = reason;
        state.frame.is_some()
    }

    /// Waits until something has been put since the last wait.
    pub async fn changed(&self) {
        self.ready.notified().await;
    }

    /// Wakes the sender although nothing was put.
    pub fn wake(&self) {
        self.ready.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
