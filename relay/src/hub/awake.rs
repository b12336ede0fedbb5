//! Whether this program did not run for a while itself: stopped, starved, or its machine asleep.
//!
//! The silence of others in that time says nothing about them. What they sent waits in the kernel, and
//! is read before anybody is judged again.

use std::time::{Duration, Instant};

/// A look around that comes so much later than the one before: nothing ran in between.
const PAUSE: Duration = Duration::from_secs(2);

/// In this time everything that waited has been read.
const GRACE: Duration = Duration::from_secs(2);

/// Remembers when the program was last known to run.
#[derive(Debug)]
pub struct Awake {
    last: Instant,
    judge_from: Instant,
}

impl Awake {
    /// Runs since `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            last: now,
            judge_from: now,
        }
    }

    /// Called at each look around: whether the silence of others counts.
    pub fn may_judge(&mut self, now: Instant) -> bool {
        let gap = now.saturating_duration_since(self.last);
        self.last = now;
        if gap > PAUSE {
            log::warn!("this program did not run for {:.1} s", gap.as_secs_f32());
            self.judge_from = now + GRACE;
        }
        now >= self.judge_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_pause_nobody_is_judged_at_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut awake = Awake::new(start);
        let judged: Vec<bool> = [500, 1000, 2900, 22_000, 22_500, 23_900, 24_100]
            .map(|ms| awake.may_judge(at(ms)))
            .into();
        assert_eq!(judged, [true, true, true, false, false, false, true]);
    }
}
