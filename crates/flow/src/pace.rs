//! A ceiling on the frame rate that is kept evenly and exactly.

use std::time::{Duration, Instant};

/// Time by which a frame may come too early and still pass, because a camera's timing jitters.
const JITTER: Duration = Duration::from_millis(5);

/// Lets through at most one frame per interval, on a fixed time line.
///
/// Each frame let through moves the line on by one interval, whenever it came, so 20 of 30 frames
/// pass in the pattern that comes closest to even spacing and the rate is exact over time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// Position of the time line: the time at which the last frame let through was due.
    last: Option<Instant>,
}

impl Pace {
    /// The interval that corresponds to `fps`, which is taken to be at least one in 100 seconds.
    #[must_use]
    pub fn interval(fps: f32) -> Duration {
        Duration::from_secs_f64(1.0 / f64::from(fps).max(0.01))
    }

    /// Whether a frame that comes `now` may pass, at one frame per `interval`.
    #[must_use]
    pub fn is_due(&self, now: Instant, interval: Duration) -> bool {
        now + JITTER.min(interval / 4) >= self.due(now, interval)
    }

    /// Notes that a frame that was due passes `now`.
    pub fn pass(&mut self, now: Instant, interval: Duration) {
        // After a pause, only one interval may be caught up with.
        let earliest = now.checked_sub(interval).unwrap_or(now);
        self.last = Some(self.due(now, interval).max(earliest));
    }

    /// Lets the frame that comes `now` pass if it is due, and returns whether it was.
    pub fn admit(&mut self, now: Instant, interval: Duration) -> bool {
        let due = self.is_due(now, interval);
        if due {
            self.pass(now, interval);
        }
        due
    }

    fn due(&self, now: Instant, interval: Duration) -> Instant {
        self.last.map_or(now, |last| last + interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Indices of the frames let through, of `count` frames at `fps` with up to `jitter_us`.
    fn passed(count: u32, fps: f64, ceiling: f64, jitter_us: u64) -> Vec<u32> {
        let mut random = fastrand::Rng::with_seed(1);
        let start = Instant::now();
        let mut pace = Pace::default();
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
    fn after_each_pause_one_frame_is_caught_up_with() {
        let interval = Duration::from_millis(50);
        let start = Instant::now();
        let mut pace = Pace::default();
        let passed = [0, 50, 300, 310, 320, 350].map(|ms| {
            let now = start + Duration::from_millis(ms);
            pace.admit(now, interval)
        });
        assert_eq!(passed, [true, true, true, true, false, true]);
    }

    #[test]
    fn a_rate_of_almost_nothing_has_an_interval() {
        for fps in [0.0, f32::MIN_POSITIVE, -1.0] {
            assert_eq!(Pace::interval(fps), Duration::from_secs(100), "{fps}");
        }
        assert_eq!(Pace::interval(20.0), Duration::from_millis(50));
    }

    #[test]
    fn one_in_three_seconds() {
        assert_eq!(passed(301, 30.0, 1.0 / 3.0, 0), [0, 90, 180, 270]);
    }
}
