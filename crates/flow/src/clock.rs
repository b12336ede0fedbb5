//! Estimates how far the clock of the other side is ahead of this machine's clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Number of estimates kept. The estimate with the shortest round trip is the best one.
const KEPT: usize = 8;

/// Two estimates disagree by half of both round trips at most, and by what clocks drift meanwhile.
const DRIFT_US: u64 = 20_000;

/// Estimates the offset between two clocks from recent clock exchanges.
///
/// An exchange is wrong by at most half its round trip, so the estimate with the shortest round trip
/// among the last eight counts. One that disagrees with it by more than both can be wrong shows that a
/// clock was set: then only the newest one counts.
#[derive(Debug, Default)]
pub struct Clock {
    estimates: VecDeque<(Duration, i64)>,
    asked: usize,
}

impl Clock {
    /// Adds an estimate: what [`cv_protocol::ClockExchange::offset`] returns.
    pub fn learn(&mut self, offset_us: i64, round_trip: Duration) {
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

    /// The other side says that its clock has been set: it is ahead by so many microseconds more.
    pub fn set_by(&mut self, set_by_us: i64) {
        for (_, offset) in &mut self.estimates {
            *offset = offset.saturating_add(set_by_us);
        }
    }

    /// Microseconds that the other side's clock is ahead; `None` before the first estimate.
    #[must_use]
    pub fn offset_us(&self) -> Option<i64> {
        self.estimates.iter().min().map(|&(_, offset)| offset)
    }

    /// The shortest round trip of the recent exchanges; `None` before the first.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.estimates
            .iter()
            .min()
            .map(|&(round_trip, _)| round_trip)
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

    #[test]
    fn a_clock_that_is_set_is_followed_at_once_told_or_not() {
        const DAY_US: i64 = 86_400_000_000;
        let mut clock = Clock::default();
        clock.learn(10, Duration::from_millis(1));
        clock.learn(14 * DAY_US, Duration::from_millis(300));
        assert_eq!(clock.offset_us(), Some(14 * DAY_US));
        clock.set_by(-DAY_US);
        assert_eq!(clock.offset_us(), Some(13 * DAY_US));
        // All the time of a slow exchange may have gone into one direction: that is no other clock.
        clock.learn(13 * DAY_US, Duration::from_millis(2));
        clock.learn(13 * DAY_US + 150_000, Duration::from_millis(300));
        assert_eq!(clock.offset_us(), Some(13 * DAY_US));
    }
}
