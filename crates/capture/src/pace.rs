//! Even times for pictures that do not come from a clock of their own.

use std::thread;
use std::time::{Duration, Instant};

/// Falls due at a fixed rate.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    due: Instant,
}

impl Pace {
    /// Is due at once, then `fps` times a second.
    pub fn new(fps: f32) -> Self {
        Self {
            interval: Duration::from_secs_f64(1.0 / f64::from(fps.clamp(0.01, 1000.0))),
            due: Instant::now(),
        }
    }

    /// Sleeps until the next picture is due, but no longer than `timeout`. How many more have
    /// fallen due meanwhile and are to be left out; `None` if none is due yet.
    pub fn wait(&mut self, timeout: Duration) -> Option<u64> {
        let early = self.due.saturating_duration_since(Instant::now());
        if early > timeout {
            thread::sleep(timeout);
            return None;
        }
        thread::sleep(early);
        Some(self.missed(Instant::now()))
    }

    /// Moves on to the first time after `now`; how many were passed over.
    fn missed(&mut self, now: Instant) -> u64 {
        let late = now.saturating_duration_since(self.due);
        let missed = u32::try_from(late.as_nanos() / self.interval.as_nanos().max(1));
        // After hours in which the machine slept, the beat simply starts again.
        let missed = missed.unwrap_or(0);
        match self.interval.checked_mul(missed.saturating_add(1)) {
            Some(step) => self.due += step,
            None => self.due = now + self.interval,
        }
        u64::from(missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beat_is_kept_and_what_was_missed_is_counted() {
        let mut pace = Pace::new(10.0);
        let start = pace.due;
        assert_eq!(pace.missed(start), 0);
        assert_eq!(pace.missed(start + Duration::from_millis(105)), 0);
        assert_eq!(pace.due, start + Duration::from_millis(200));
        assert_eq!(pace.missed(start + Duration::from_millis(450)), 2);
        assert_eq!(pace.due, start + Duration::from_millis(500));
    }

    #[test]
    fn waiting_ends_with_the_time_that_is_given() {
        let mut pace = Pace::new(0.1);
        assert_eq!(pace.wait(Duration::ZERO), Some(0));
        assert_eq!(pace.wait(Duration::from_millis(1)), None);
    }
}
