//! A ceiling on the frame rate that is kept evenly.

use std::time::{Duration, Instant};

/// A camera's timing jitters: a frame that is so much early is the one that was meant.
const JITTER: Duration = Duration::from_millis(5);

/// Lets through at most one frame per interval, on a fixed time line.
///
/// Each frame let through moves the line on by one interval, whenever it came, so 20 of 30 frames
/// pass in the pattern that comes closest to even spacing and the rate is exact over time.
#[derive(Debug)]
pub struct Pace {
    /// Where the time line stands: when the last frame let through was due.
    last: Option<Instant>,
}

impl Pace {
    pub fn new() -> Self {
        Self { last: None }
    }

    /// Whether a frame that comes `now` may pass, at one frame per `interval`.
    pub fn admit(&mut self, now: Instant, interval: Duration) -> bool {
        let due = self.last.map_or(now, |last| last + interval);
        if now + JITTER.min(interval / 4) < due {
            return false;
        }
        // After a pause, only one interval may be caught up with.
        let earliest = now.checked_sub(interval).unwrap_or(now);
        self.last = Some(due.max(earliest));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Indices of the frames let through, of `count` frames at `fps` with up to `jitter_us`.
    fn passed(count: u32, fps: f64, ceiling: f64, jitter_us: u64) -> Vec<u32> {
        let mut random = fastrand::Rng::with_seed(1);
        let start = Instant::now();
        let mut pace = Pace::new();
        (0..count)
            .filter(|&i| {
                let at = Duration::from_secs_f64(f64::from(i) / fps)
                    + Duration::from_micros(random.u64(0..=jitter_us));
                pace.admit(start + at, Duration::from_secs_f64(1.0 / ceiling))
            })
            .collect()
    }

    #[test]
    fn twenty_of_thirty_pass_evenly() {
        let passed = passed(300, 30.0, 20.0, 3000);
        assert!((199..=201).contains(&passed.len()), "{}", passed.len());
        assert!(passed.windows(2).all(|w| w[1] - w[0] <= 2));
    }

    #[test]
    fn a_ceiling_at_the_cameras_own_rate_costs_nothing() {
        assert!(passed(300, 30.0, 30.0, 3000).len() >= 299);
        assert_eq!(passed(300, 15.0, 30.0, 3000).len(), 300);
    }

    #[test]
    fn one_in_three_seconds() {
        assert_eq!(passed(301, 30.0, 1.0 / 3.0, 0), [0, 90, 180, 270]);
    }
}
