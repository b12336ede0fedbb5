//! The time, so that tests can make it up.

use std::time::{Duration, Instant};

use cv_protocol::Timestamp;

/// Where the archive gets the time from.
pub trait Clock: Send + Sync + 'static {
    /// The time of day, which may jump.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment, which never jumps.
    fn elapsed(&self) -> Duration;
}

/// This machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
