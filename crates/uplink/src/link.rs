//! The connection as the rest of the agent sees it: its state, and the request to end it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::shallow::RoundTrip;

/// Tells a task to end.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// `stop` becomes true, or is dropped, when everything is to end.
    #[must_use]
    pub fn new(stop: watch::Receiver<bool>) -> Self {
        Self(stop)
    }

    /// Waits until the end is requested.
    pub async fn requested(&mut self) {
        // An error means that the sender is gone, which is the end as well.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// What is known about the connection, for stats and status lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkStatus {
    /// Whether the relay has accepted us.
    pub connected: bool,
    /// Why there is no connection, once one has failed.
    pub failure: Option<String>,
    /// Round trip of a frame that travelled alone.
    pub round_trip: Option<Duration>,
    /// How far the relay's clock is ahead of ours, in microseconds.
    pub clock_offset_us: Option<i64>,
    /// Size that pictures are reduced to, as long as the link is too slow for the camera's own.
    pub reduced_to: Option<String>,
}

/// The connection as seen by the rest of the agent.
#[derive(Debug)]
pub struct Link {
    status: Mutex<LinkStatus>,
    sent: AtomicU64,
    /// Bits of an `f32`: a reload may change it.
    stream_fps: AtomicU32,
    /// Round trip of a small message, for the depth of the kernel's buffer.
    pub(crate) shortest: Arc<RoundTrip>,
}

impl Link {
    /// Not connected yet; at most `stream_fps` frames are sent per second.
    #[must_use]
    pub fn new(stream_fps: f32) -> Self {
        Self {
            status: Mutex::default(),
            sent: AtomicU64::new(0),
            stream_fps: AtomicU32::new(stream_fps.to_bits()),
            shortest: Arc::default(),
        }
    }

    /// Changes the ceiling on the frame rate; it holds from the next frame on.
    pub fn set_stream_fps(&self, stream_fps: f32) {
        self.stream_fps
            .store(stream_fps.to_bits(), Ordering::Relaxed);
    }

    /// The present state.
    #[must_use]
    pub fn status(&self) -> LinkStatus {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Frames handed to the socket since the start.
    #[must_use]
    pub fn frames_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Counts a frame that was handed to the socket.
    pub fn frame_sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Most frames sent per second.
    #[must_use]
    pub fn stream_fps(&self) -> f32 {
        f32::from_bits(self.stream_fps.load(Ordering::Relaxed))
    }

    /// Changes the state that [`Self::status`] returns.
    pub fn update(&self, change: impl FnOnce(&mut LinkStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
