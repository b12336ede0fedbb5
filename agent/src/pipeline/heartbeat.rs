//! Signs of life of the threads, which the watchdog checks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Records when a thread last showed that it makes progress.
#[derive(Debug)]
pub struct Heartbeat {
    name: &'static str,
    start: Instant,
    /// Time of the last sign of life, in milliseconds after `start`; `u64::MAX` after the thread
    /// has ended in order.
    last: AtomicU64,
}

impl Heartbeat {
    /// Creates a heartbeat for the thread called `name`, which beats once.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            start: Instant::now(),
            last: AtomicU64::new(0),
        }
    }

    /// Notes that the thread makes progress.
    pub fn beat(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    /// Notes that the thread has ended, so that the watchdog expects no more signs of life.
    pub fn end(&self) {
        self.last.store(u64::MAX, Ordering::Relaxed);
    }

    /// Name of the thread.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the time since the last sign of life.
    pub fn silence(&self) -> Duration {
        self.start
            .elapsed()
            .saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_ends_the_silence_and_the_end_of_the_thread_ends_it_for_good() {
        let mut heart = Heartbeat::new("test");
        heart.start -= Duration::from_secs(60);
        assert!(heart.silence() >= Duration::from_secs(60));
        heart.beat();
        assert!(heart.silence() < Duration::from_secs(10));
        heart.end();
        assert_eq!(heart.silence(), Duration::ZERO);
    }
}
