//! Limits how many frames may be in flight, which means sent and not yet acknowledged.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cv_protocol::WINDOW;

/// Frames whose acknowledgements the delivered rate is measured over, and the age up to which an
/// acknowledgement counts: what the link carried before a pause says nothing about it now.
const RATE_FRAMES: usize = 16;
const RATE_AGE: Duration = Duration::from_secs(4);

/// Time for which the shortest round trip is trusted while the window holds frames back.
const REMEASURE: Duration = Duration::from_secs(10);

/// Credit window of one sender, for one stream of frames.
///
/// The window holds what one *unloaded* round trip carries at the rate that really arrives, plus
/// one so that the rate can grow: shortest round trip x delivered rate + 1, within [`WINDOW`].
/// The usual round trip would not do: on a slow link it contains the sender's own queue, and would
/// justify a longer queue. On a long fast link the rate grows with the window, so the window grows
/// until the camera's rate is reached; on a slow link the rate does not follow, and the window
/// stays at two.
///
/// Only a frame that finds the link empty measures the round trip; the shortest measurement counts,
/// until it is older than [`REMEASURE`]. If frames are held back by then, and the window never runs
/// empty by itself, it stays closed until it has, which costs about one round trip of sending. While
/// nothing is held back, a larger window would not carry more, and nothing is interrupted.
///
/// A window takes two small allocations, which are kept; nothing is allocated for a frame.
#[derive(Debug)]
pub struct Window {
    in_flight: VecDeque<InFlight>,
    acknowledged: VecDeque<Instant>,
    /// The shortest round trip, and when it was measured.
    shortest: Option<(Duration, Instant)>,
    size: usize,
    /// Whether the oldest frame in flight found the link empty.
    alone: bool,
    /// Whether the next frame has to wait until no other is in flight.
    emptying: bool,
    /// Whether a frame had to wait since the last acknowledgement.
    held_back: bool,
}

#[derive(Debug)]
struct InFlight {
    seq: u64,
    sent: Instant,
    bytes: usize,
}

/// Information about the link that one acknowledgement gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Bytes of the frames that it acknowledges.
    pub bytes: usize,
    /// Time that the link needed for them, without the time that they waited for earlier frames.
    pub took: Duration,
    /// Time since the newest of these frames was sent.
    pub round_trip: Duration,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            in_flight: VecDeque::with_capacity(*WINDOW.start()),
            acknowledged: VecDeque::new(),
            shortest: None,
            size: *WINDOW.start(),
            alone: false,
            emptying: false,
            held_back: false,
        }
    }
}

impl Window {
    /// Whether another frame may be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        if self.emptying {
            self.in_flight.is_empty()
        } else {
            !self.is_full()
        }
    }

    /// Whether as many frames are in flight as the window holds.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.in_flight.len() >= self.size
    }

    /// Notes that a frame has to wait because the window is not open.
    pub fn hold_back(&mut self) {
        self.held_back = true;
    }

    /// Notes that a frame of `bytes` was handed to the socket.
    pub fn sent(&mut self, seq: u64, bytes: usize, now: Instant) {
        if self.in_flight.is_empty() {
            self.alone = true;
            self.emptying = false;
        }
        self.in_flight.push_back(InFlight {
            seq,
            sent: now,
            bytes,
        });
    }

    /// Notes that only so many bytes of the last frame were sent.
    pub fn cut(&mut self, bytes: usize) {
        if let Some(last) = self.in_flight.back_mut() {
            last.bytes = bytes;
        }
    }

    /// Notes an acknowledgement of `seq` and every frame before it; `None` if it covers none.
    pub fn acknowledge(&mut self, seq: u64, now: Instant) -> Option<Delivery> {
        let oldest_sent = self.in_flight.front()?.sent;
        let previous = self.acknowledged.back().copied();
        let mut newest_sent = None;
        let mut bytes = 0;
        while let Some(frame) = self.in_flight.pop_front_if(|frame| frame.seq <= seq) {
            newest_sent = Some(frame.sent);
            bytes += frame.bytes;
            if self.acknowledged.len() == RATE_FRAMES {
                self.acknowledged.pop_front();
            }
            self.acknowledged.push_back(now);
        }
        let round_trip = now.saturating_duration_since(newest_sent?);
        self.measure(round_trip, now);
        self.size = self.wanted_size(now);
        let since = previous.map_or(oldest_sent, |previous| previous.max(oldest_sent));
        Some(Delivery {
            bytes,
            took: now.saturating_duration_since(since),
            round_trip,
        })
    }

    /// Returns the time at which the connection counts as stalled unless an acknowledgement comes:
    /// `limit` after the oldest frame in flight was sent or the last acknowledgement came,
    /// whichever is later.
    #[must_use]
    pub fn stalls_at(&self, limit: Duration) -> Option<Instant> {
        let sent = self.in_flight.front()?.sent;
        let since = self
            .acknowledged
            .back()
            .map_or(sent, |&last| last.max(sent));
        Some(since + limit)
    }

    /// The round trip that the window is computed with.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.shortest.map(|(round_trip, _)| round_trip)
    }

    /// Forgets the frames in flight, when the camera's sequence numbers start again.
    pub fn restart(&mut self) {
        self.in_flight.clear();
        self.alone = false;
    }

    fn measure(&mut self, round_trip: Duration, now: Instant) {
        let alone = std::mem::take(&mut self.alone);
        let held_back = std::mem::take(&mut self.held_back);
        let trusted = self
            .shortest
            .filter(|&(_, at)| now.saturating_duration_since(at) <= REMEASURE);
        if alone {
            if trusted.is_none_or(|(shortest, _)| round_trip < shortest) {
                self.shortest = Some((round_trip, now));
            }
        } else if trusted.is_none() && held_back {
            self.emptying = true;
        }
    }

    fn wanted_size(&mut self, now: Instant) -> usize {
        while let Some(&first) = self.acknowledged.front()
            && now.saturating_duration_since(first) > RATE_AGE
        {
            self.acknowledged.pop_front();
        }
        let (Some((shortest, _)), Some(&first)) = (self.shortest, self.acknowledged.front()) else {
            return *WINDOW.start();
        };
        let span = now.saturating_duration_since(first);
        if span.is_zero() {
            return *WINDOW.start();
        }
        let rate = (self.acknowledged.len() - 1) as f64 / span.as_secs_f64();
        // The cast saturates, and the result is clamped.
        ((rate * shortest.as_secs_f64()).round() as usize)
            .saturating_add(1)
            .clamp(*WINDOW.start(), *WINDOW.end())
    }
}

#[cfg(test)]
mod tests;
