//! How far the relay's clock is ahead of ours.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Estimates kept; the one with the shortest round trip is the best.
const KEPT: usize = 8;

/// Two estimates disagree by half of both round trips at most, and by what clocks drift meanwhile.
const DRIFT_US: u64 = 20_000;

/// The recent answers to `clock` questions.
#[derive(Debug, Default)]
pub struct Clock {
    estimates: VecDeque<(Duration, i64)>,
    asked: usize,
}

impl Clock {
    /// Takes in one estimate: the round trip and the offset in microseconds.
    pub fn learn(&mut self, round_trip: Duration, offset_us: i64) {
        // A clock that was set makes all earlier estimates wrong, however short their round trip.
        if let Some(&(best_trip, best)) = self.estimates.iter().min() {
            let error = (best_trip + round_trip).as_micros() / 2 + u128::from(DRIFT_US);
            if u128::from(best.abs_diff(offset_us)) > error {
                self.estimates.clear();
            }
        }
        if self.estimates.len() == KEPT {
            self.estimates.pop_front();
        }
        self.estimates.push_back((round_trip, offset_us));
    }

    /// The relay's clock has been set: it is ahead by so many microseconds more.
    pub fn set_by(&mut self, set_by_us: i64) {
        for (_, offset) in &mut self.estimates {
            *offset = offset.saturating_add(set_by_us);
        }
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

    #[test]
    fn a_clock_that_is_set_is_followed_at_once_told_or_not() {
        const DAY_US: i64 = 86_400_000_000;
        let mut clock = Clock::default();
        clock.learn(Duration::from_millis(1), 10);
        clock.learn(Duration::from_millis(300), 14 * DAY_US);
        assert_eq!(clock.offset_us(), Some(14 * DAY_US));
        clock.set_by(-DAY_US);
        assert_eq!(clock.offset_us(), Some(13 * DAY_US));
        // All of a long way may have gone into one direction: that is no other clock.
        clock.learn(Duration::from_millis(2), 13 * DAY_US);
        clock.learn(Duration::from_millis(300), 13 * DAY_US + 150_000);
        assert_eq!(clock.offset_us(), Some(13 * DAY_US));
    }
}
