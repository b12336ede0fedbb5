//! Estimates how far the clock of the other side is ahead of this machine's clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Number of estimates kept. The estimate with the shortest round trip is the best one.
const KEPT: usize = 8;

/// Estimates the offset between two clocks from recent clock exchanges.
///
/// An exchange is wrong by at most half its round trip, so the estimate with the shortest round trip
/// among the last eight counts.
#[derive(Debug, Default)]
pub struct Clock {
    estimates: VecDeque<(Duration, i64)>,
    asked: usize,
}

impl Clock {
    /// Adds an estimate: what [`cv_protocol::ClockExchange::offset`] returns.
    pub fn learn(&mut self, offset_us: i64, round_trip: Duration) {
        if self.estimates.len() == KEPT {
            self.estimates.pop_front();
        }
        self.estimates.push_back((round_trip, offset_us));
    }

    /// Microseconds that the other side's clock is ahead; `None` before the first estimate.
    #[must_use]
    pub fn offset_us(&self) -> Option<i64> {
        self.estimates.iter().min().map(|&(_, offset)| offset)
    }

    /// Counts a question that is asked `now`, and returns when to ask the next one: the first few
    /// follow quickly, later ones at the pace at which clocks drift apart.
    pub fn next_question(&mut self, now: Instant) -> Instant {
        self.asked += 1;
        now + if self.asked < KEPT {
            Duration::from_millis(250)
        } else {
            Duration::from_secs(10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_round_trip_decides_and_old_answers_are_forgotten() {
        let mut clock = Clock::default();
        assert_eq!(clock.offset_us(), None);
        clock.learn(10, Duration::from_millis(1));
        clock.learn(25_000, Duration::from_millis(50));
        assert_eq!(clock.offset_us(), Some(10));
        for _ in 0..KEPT {
            clock.learn(20, Duration::from_millis(2));
        }
        assert_eq!(clock.offset_us(), Some(20));
    }
}
