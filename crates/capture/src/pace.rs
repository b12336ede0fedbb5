//! A fixed rate for sources that have no clock of their own: clips, images and the test image.

use std::thread;
use std::time::{Duration, Instant};

/// Tells when the next frame is due at a fixed rate.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    due: Instant,
}

impl Pace {
    /// Creates a pace of `fps` frames per second, whose first frame is due at once.
    pub fn new(fps: f32) -> Self {
        Self {
            interval: Duration::from_secs_f64(1.0 / f64::from(fps.clamp(0.01, 1000.0))),
            due: Instant::now(),
        }
    }

    /// Sleeps until the next frame is due, but at most for `timeout`. Returns how many further
    /// frames have become due meanwhile and are to be dropped; `None` if no frame is due yet.
    pub fn wait(&mut self, timeout: Duration) -> Option<u64> {
        let early = self.due.saturating_duration_since(Instant::now());
        if early > timeout {
            thread::sleep(timeout);
            return None;
        }
        thread::sleep(early);
        Some(self.missed(Instant::now()))
    }

    /// Advances to the first due time after `now`, and returns how many due times it skipped.
    fn missed(&mut self, now: Instant) -> u64 {
        let late = now.saturating_duration_since(self.due);
        let missed = u32::try_from(late.as_nanos() / self.interval.as_nanos().max(1));
        // If the machine slept for hours, the pace starts again.
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
    fn the_rate_is_kept_and_missed_frames_are_counted() {
        let mut pace = Pace::new(10.0);
        let start = pace.due;
        assert_eq!(pace.missed(start), 0);
        assert_eq!(pace.missed(start + Duration::from_millis(105)), 0);
        assert_eq!(pace.due, start + Duration::from_millis(200));
        assert_eq!(pace.missed(start + Duration::from_millis(450)), 2);
        assert_eq!(pace.due, start + Duration::from_millis(500));
    }

    #[test]
    fn waiting_ends_with_the_timeout() {
        let mut pace = Pace::new(0.1);
        assert_eq!(pace.wait(Duration::ZERO), Some(0));
        assert_eq!(pace.wait(Duration::from_millis(1)), None);
    }
}
