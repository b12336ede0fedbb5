//! How many frames may be on their way unacknowledged.
//!
//! As many as one round trip holds at the current rate, and one more so that the rate can grow.
//! "Round trip" is that of a frame that travelled alone: the time behind other frames is the very
//! queue that the window is there to bound, and counting it would let the window feed on itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cv_protocol::WINDOW;

/// How long a measured round trip is believed. Then one frame is made to travel alone, which costs
/// a fast link one round trip's pause.
const BELIEVED: Duration = Duration::from_secs(30);

/// Acknowledgements that the current rate is taken from: at most so many, at most so old.
const RATE_COUNT: usize = 8;
const RATE_AGE: Duration = Duration::from_secs(4);

/// Frames in flight and what their acknowledgements tell.
#[derive(Debug, Default)]
pub struct Window {
    in_flight: VecDeque<InFlight>,
    acknowledged: VecDeque<Instant>,
    round_trip: Option<(Duration, Instant)>,
}

#[derive(Debug)]
struct InFlight {
    seq: u64,
    sent: Instant,
    bytes: usize,
    alone: bool,
}

/// What one acknowledgement says about the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Bytes of pictures that it acknowledges.
    pub bytes: usize,
    /// Time that the link needed for them, not counting the time they waited for earlier ones.
    pub took: Duration,
}

impl Window {
    /// Whether another frame may be sent.
    pub fn is_open(&self, now: Instant) -> bool {
        self.in_flight.len() < self.limit(now)
    }

    /// A frame of `bytes` is handed to the socket.
    pub fn sent(&mut self, seq: u64, bytes: usize, now: Instant) {
        self.in_flight.push_back(InFlight {
            seq,
            sent: now,
            bytes,
            alone: self.in_flight.is_empty(),
        });
    }

    /// Only so many bytes of the last frame were sent.
    pub fn cut(&mut self, bytes: usize) {
        if let Some(last) = self.in_flight.back_mut() {
            last.bytes = bytes;
        }
    }

    /// The relay holds `seq` and everything before it; `None` if that is no news.
    pub fn acknowledge(&mut self, seq: u64, now: Instant) -> Option<Delivery> {
        let mut delivery: Option<(usize, Instant)> = None;
        while let Some(first) = self.in_flight.pop_front_if(|first| first.seq <= seq) {
            let round_trip = now.saturating_duration_since(first.sent);
            let believed = self
                .round_trip
                .filter(|&(best, at)| best < round_trip && now - at < BELIEVED);
            if first.alone && believed.is_none() {
                self.round_trip = Some((round_trip, now));
            }
            let (bytes, since) = delivery.unwrap_or((0, first.sent));
            delivery = Some((bytes + first.bytes, since));
            self.acknowledged.push_back(now);
        }
        while self.acknowledged.len() > RATE_COUNT
            || self
                .acknowledged
                .front()
                .is_some_and(|&at| now - at > RATE_AGE)
        {
            self.acknowledged.pop_front();
        }
        let (bytes, sent) = delivery?;
        let previous = self.acknowledged.iter().rev().find(|&&at| at < now);
        let since = previous.map_or(sent, |&previous| previous.max(sent));
        Some(Delivery {
            bytes,
            took: now - since,
        })
    }

    /// When the oldest frame in flight was sent, or the last acknowledgement came if that is later:
    /// how long the other side has owed an answer.
    pub fn owed_since(&self) -> Option<Instant> {
        let first = self.in_flight.front()?.sent;
        Some(
            self.acknowledged
                .back()
                .map_or(first, |&last| last.max(first)),
        )
    }

    /// Round trip of a frame that travelled alone.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip.map(|(round_trip, _)| round_trip)
    }

    fn limit(&self, now: Instant) -> usize {
        match self.round_trip {
            Some((_, at)) if now - at >= BELIEVED => 1,
            Some((round_trip, _)) => {
                let held = (round_trip.as_secs_f64() * self.rate()).round();
                // `as` saturates; the clamp is far below its limit.
                (held as usize + 1).clamp(*WINDOW.start(), *WINDOW.end())
            }
            None => *WINDOW.start(),
        }
    }

    /// Acknowledged frames per second.
    fn rate(&self) -> f64 {
        match (self.acknowledged.front(), self.acknowledged.back()) {
            (Some(&first), Some(&last)) if first < last => {
                (self.acknowledged.len() - 1) as f64 / (last - first).as_secs_f64()
            }
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A link that delivers one frame after the other, each taking `service`, and answers `delay`
    /// later. Returns frames delivered per second and the most ever in flight, after a start.
    fn run(camera_fps: u32, service: Duration, delay: Duration, seconds: u32) -> (f64, usize) {
        let start = Instant::now();
        let mut window = Window::default();
        let mut answers: VecDeque<(Instant, u64)> = VecDeque::new();
        let mut link_free = start;
        let (mut delivered, mut most) = (0, 0);
        let mut waiting = None;
        let settled = 2000;
        for ms in 0..seconds * 1000 {
            let now = start + MS * ms;
            while let Some((_, seq)) = answers.pop_front_if(|(at, _)| *at <= now) {
                window.acknowledge(seq, now);
                delivered += u32::from(ms >= settled);
            }
            if ms % (1000 / camera_fps) == 0 {
                waiting = Some(u64::from(ms));
            }
            if window.is_open(now)
                && let Some(seq) = waiting.take()
            {
                window.sent(seq, 40_000, now);
                link_free = link_free.max(now) + service;
                answers.push_back((link_free + delay, seq));
                if ms >= settled {
                    most = most.max(window.in_flight.len());
                }
            }
        }
        (
            f64::from(delivered) / f64::from(seconds - settled / 1000),
            most,
        )
    }

    #[test]
    fn a_long_fast_link_is_not_throttled() {
        for round_trip in [1, 60, 150, 230] {
            let (fps, _) = run(25, MS, MS * round_trip, 20);
            assert!(fps > 24.5, "{round_trip} ms: {fps} fps");
        }
    }

    #[test]
    fn a_slow_link_keeps_two_in_flight_for_as_long_as_it_takes() {
        for service in [133, 500] {
            let (fps, most) = run(30, MS * service, MS, 120);
            assert!(most <= 2, "{service} ms: {most} in flight");
            let possible = 1000.0 / f64::from(service);
            assert!(
                fps > possible * 0.95,
                "{service} ms: {fps} of {possible} fps"
            );
        }
    }

    #[test]
    fn one_acknowledgement_covers_everything_before_it() {
        let start = Instant::now();
        let mut window = Window::default();
        window.sent(3, 10, start);
        window.sent(5, 20, start + MS);
        assert!(!window.is_open(start + MS));
        assert_eq!(window.owed_since(), Some(start));
        let delivery = window.acknowledge(5, start + MS * 9).unwrap();
        assert_eq!(
            delivery,
            Delivery {
                bytes: 30,
                took: MS * 9
            }
        );
        assert_eq!(window.acknowledge(5, start + MS * 9), None);
        assert_eq!(window.owed_since(), None);
        window.sent(6, 10, start + MS * 10);
        // The link was idle until the frame was sent.
        assert_eq!(window.acknowledge(6, start + MS * 14).unwrap().took, MS * 4);
    }

    #[test]
    fn a_frame_that_was_cut_counts_with_what_was_sent_of_it() {
        let start = Instant::now();
        let mut window = Window::default();
        window.sent(1, 1000, start);
        window.sent(2, 1000, start);
        window.cut(300);
        assert_eq!(window.acknowledge(2, start + MS).unwrap().bytes, 1300);
    }

    #[test]
    fn frames_that_queue_are_timed_from_the_answer_before() {
        let start = Instant::now();
        let mut window = Window::default();
        window.sent(1, 10, start);
        window.sent(2, 10, start);
        assert_eq!(
            window.acknowledge(1, start + MS * 100).unwrap().took,
            MS * 100
        );
        assert_eq!(
            window.acknowledge(2, start + MS * 200).unwrap().took,
            MS * 100
        );
        assert_eq!(window.round_trip(), Some(MS * 100));
    }
}
