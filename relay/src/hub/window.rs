//! How many frames may be on their way to one viewer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cv_protocol::WINDOW;

/// Acknowledgements over which the delivered rate is measured.
const RATE_SAMPLES: usize = 16;

/// How long a shortest round trip is trusted while the window holds frames back.
const REMEASURE: Duration = Duration::from_secs(10);

/// Credit window of one viewer and camera.
///
/// The window holds what one *unloaded* round trip carries at the rate that really arrives, plus
/// one: shortest round trip x delivered rate. Taking the usual round trip instead would let a slow
/// link's own queue justify a longer queue. On a fast link with a long round trip the rate grows
/// with the window, so the window grows until the camera's rate is reached; on a slow link the rate
/// does not follow, and the window stays at two.
#[derive(Debug)]
pub struct Window {
    in_flight: VecDeque<(u64, Instant)>,
    size: usize,
    shortest: Option<Duration>,
    measured_at: Option<Instant>,
    /// A frame is to be sent alone, to measure the round trip without a queue of our own.
    alone: bool,
    /// The frame that was sent alone.
    measuring: Option<u64>,
    held_back: bool,
    acknowledged_at: VecDeque<Instant>,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            in_flight: VecDeque::with_capacity(*WINDOW.start()),
            size: *WINDOW.start(),
            shortest: None,
            measured_at: None,
            alone: false,
            measuring: None,
            held_back: false,
            acknowledged_at: VecDeque::new(),
        }
    }
}

impl Window {
    /// Whether a frame may be sent now. A `false` is remembered as a frame held back.
    pub fn has_place(&mut self) -> bool {
        let most = match (self.alone, self.measuring) {
            (true, _) => 1,
            (false, Some(_)) => 0,
            (false, None) => self.size,
        };
        let free = self.in_flight.len() < most;
        self.held_back |= !free;
        free
    }

    /// Whether every place is taken, without the memory of [`Self::has_place`].
    pub fn is_full(&self) -> bool {
        self.in_flight.len() >= self.size
    }

    /// Notes that a frame was handed to the socket.
    pub fn sent(&mut self, seq: u64, now: Instant) {
        if std::mem::take(&mut self.alone) {
            self.measuring = Some(seq);
        }
        self.in_flight.push_back((seq, now));
    }

    /// Notes an acknowledgement of `seq` and everything before it; returns the round trip of the
    /// last frame it covers, or `None` if it covers none.
    pub fn acknowledged(&mut self, seq: u64, now: Instant) -> Option<Duration> {
        let mut sent_at = None;
        let was_alone = self
            .measuring
            .take_if(|measured| *measured <= seq)
            .is_some();
        while let Some(&(oldest, at)) = self.in_flight.front()
            && oldest <= seq
        {
            self.in_flight.pop_front();
            sent_at = Some(at);
            if self.acknowledged_at.len() == RATE_SAMPLES {
                self.acknowledged_at.pop_front();
            }
            self.acknowledged_at.push_back(now);
        }
        let round_trip = now.saturating_duration_since(sent_at?);

        if self.shortest.is_none_or(|shortest| round_trip < shortest) || was_alone {
            self.shortest = Some(round_trip);
            self.measured_at = Some(now);
        } else if self.held_back
            && self
                .measured_at
                .is_some_and(|at| now.saturating_duration_since(at) > REMEASURE)
        {
            self.alone = true;
        }
        self.held_back = false;
        self.size = self.wanted_size();
        Some(round_trip)
    }

    /// When the oldest frame in flight was sent.
    pub fn oldest_sent_at(&self) -> Option<Instant> {
        self.in_flight.front().map(|(_, at)| *at)
    }

    /// Forgets the frames in flight, when the camera's sequence numbers start again.
    pub fn restart(&mut self) {
        self.in_flight.clear();
        self.measuring = None;
    }

    fn wanted_size(&self) -> usize {
        let (Some(shortest), Some(first), Some(last)) = (
            self.shortest,
            self.acknowledged_at.front(),
            self.acknowledged_at.back(),
        ) else {
            return *WINDOW.start();
        };
        let span = last.saturating_duration_since(*first).as_secs_f64();
        if span <= 0.0 {
            return self.size;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most 16")]
        let rate = (self.acknowledged_at.len() - 1) as f64 / span;
        let carried = (rate * shortest.as_secs_f64()).round();
        let most = *WINDOW.end();
        // The cast saturates, and the range is checked right after.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        (carried as usize)
            .saturating_add(1)
            .clamp(*WINDOW.start(), most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link that takes `service` for each frame, one after the other, plus `delay` there and
    /// back; the camera makes 30 frames a second. Returns frames delivered in the second half,
    /// their longest wait, and the window at the end.
    fn run(service: Duration, delay: Duration, seconds: u64) -> (usize, Duration, usize) {
        let start = Instant::now();
        let mut window = Window::default();
        let mut link_free = start;
        let mut acks: VecDeque<(Instant, u64, Instant)> = VecDeque::new();
        let half = start + Duration::from_secs(seconds / 2);
        let (mut delivered, mut worst) = (0, Duration::ZERO);
        let mut newest = None;
        let mut next_frame = start;
        let mut seq = 0;
        let end = start + Duration::from_secs(seconds);
        loop {
            let ack_at = acks.front().map_or(end, |ack| ack.0);
            let now = next_frame.min(ack_at);
            if now >= end {
                return (delivered, worst, window.size);
            }
            if now == next_frame {
                newest = Some(seq);
                seq += 1;
                next_frame += Duration::from_micros(33_333);
            } else if let Some((at, seq, sent)) = acks.pop_front() {
                window.acknowledged(seq, at);
                if at > half {
                    delivered += 1;
                    worst = worst.max(at - sent);
                }
            }
            if newest.is_some() && window.has_place() {
                let seq = newest.take().unwrap();
                window.sent(seq, now);
                link_free = link_free.max(now) + service;
                acks.push_back((link_free + delay, seq, now));
            }
        }
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_long_fast_link_is_not_throttled() {
        for delay in [60, 100, 200] {
            let (delivered, _, _) = run(MS, delay * MS, 20);
            assert!(delivered >= 295, "{delivered} frames of 300 at {delay} ms");
        }
    }

    #[test]
    fn a_slow_link_keeps_two_frames_in_flight_for_good() {
        let (delivered, worst, size) = run(200 * MS, 2 * MS, 120);
        assert!(delivered >= 285, "{delivered} of 300");
        assert!(worst < 500 * MS, "{worst:?}");
        assert_eq!(size, 2);
    }

    #[test]
    fn a_short_fast_link_needs_the_least() {
        let (delivered, _, size) = run(MS, 3 * MS, 20);
        assert!(delivered >= 298);
        assert_eq!(size, 2);
    }

    #[test]
    fn an_acknowledgement_covers_everything_before_it() {
        let now = Instant::now();
        let mut window = Window::default();
        window.sent(4, now);
        window.sent(7, now);
        assert!(!window.has_place());
        assert_eq!(window.acknowledged(3, now), None);
        assert_eq!(window.acknowledged(9, now + MS), Some(MS));
        assert!(window.has_place());
        assert_eq!(window.oldest_sent_at(), None);
    }

    #[test]
    fn the_window_never_exceeds_its_bound() {
        let (_, _, size) = run(MS, 900 * MS, 60);
        assert_eq!(size, *WINDOW.end());
    }
}
