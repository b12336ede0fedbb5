//! How far the relay's clock is ahead of ours.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Estimates kept; the one with the shortest round trip is the best.
const KEPT: usize = 8;

/// The recent answers to `clock` questions.
#[derive(Debug, Default)]
pub struct Clock {
    estimates: VecDeque<(Duration, i64)>,
    asked: usize,
}

impl Clock {
    /// Takes in one estimate: the round trip and the offset in microseconds.
    pub fn learn(&mut self, round_trip: Duration, offset_us: i64) {
        if self.estimates.len() == KEPT {
            self.estimates.pop_front();
        }
        self.estimates.push_back((round_trip, offset_us));
    }

    /// Microseconds that the relay's clock is ahead.
    pub fn offset_us(&self) -> Option<i64> {
        self.estimates.iter().min().map(|&(_, offset)| offset)
    }

    /// When to ask again: quickly at first, then as often as clocks drift apart.
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
        clock.learn(Duration::from_millis(1), 10);
        clock.learn(Duration::from_millis(50), 25_000);
        assert_eq!(clock.offset_us(), Some(10));
        for _ in 0..KEPT {
            clock.learn(Duration::from_millis(2), 20);
        }
        assert_eq!(clock.offset_us(), Some(20));
    }
}
