//! Signs of life of the threads, which the watchdog asks for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When a thread last showed that it makes progress.
#[derive(Debug)]
pub struct Heartbeat {
    name: &'static str,
    start: Instant,
    /// Milliseconds after `start`; `u64::MAX` when the thread has ended in order.
    last: AtomicU64,
}

impl Heartbeat {
    /// Beats once.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            start: Instant::now(),
            last: AtomicU64::new(0),
        }
    }

    /// The thread makes progress.
    pub fn beat(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    /// The thread has ended and owes no more signs of life.
    pub fn end(&self) {
        self.last.store(u64::MAX, Ordering::Relaxed);
    }

    /// What the thread is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Time since the last sign of life.
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
    fn silence_ends_with_a_beat_and_for_good_with_the_thread() {
        let mut heart = Heartbeat::new("test");
        heart.start -= Duration::from_secs(60);
        assert!(heart.silence() >= Duration::from_secs(60));
        heart.beat();
        assert!(heart.silence() < Duration::from_secs(10));
        heart.end();
        assert_eq!(heart.silence(), Duration::ZERO);
    }
}
