//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// Waits that double from attempt to attempt, with jitter so that a fleet does not knock in step.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    /// An agent is to be back within three seconds of its relay; an attempt itself may take two.
    const LONGEST: Duration = Duration::from_secs(1);
    /// After a refusal, which a person has to resolve.
    const AFTER_REFUSAL: Duration = Duration::from_secs(30);

    pub fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// The connection worked: start again with short waits.
    pub fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    /// The wait before the next attempt.
    pub fn wait(&mut self) -> Duration {
        let wait = jittered(self.next);
        self.next = (self.next * 2).min(Self::LONGEST);
        wait
    }

    /// The wait after a refusal.
    pub fn wait_after_refusal(&mut self) -> Duration {
        jittered(Self::AFTER_REFUSAL)
    }
}

/// Half to the whole of `longest`.
fn jittered(longest: Duration) -> Duration {
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_start_again() {
        let mut backoff = Backoff::new();
        assert!(backoff.wait() <= Backoff::FIRST);
        for _ in 0..100 {
            assert!(backoff.wait() <= Backoff::LONGEST);
        }
        assert!(backoff.wait() >= Backoff::LONGEST / 2);
        backoff.reset();
        assert!(backoff.wait() <= Backoff::FIRST);
        assert!(backoff.wait_after_refusal() >= Backoff::AFTER_REFUSAL / 2);
    }
}
