//! The clock behind every stamp: it goes on evenly while somebody sets the machine's clock.
//!
//! A board without a clock chip starts somewhere in the past and is told the time minutes after its
//! boot. Stamps taken from the machine's clock would make a frame look days older or younger than it
//! is, so they are taken from the time since boot, which nobody can set, and from how far the
//! machine's clock was ahead of it when the process first asked.
//!
//! ```text
//! stamp = time since boot + ahead          ahead: read once, and again by follow()
//! ```
//!
//! An agent never follows: its relay translates its stamps by the measured offset between both
//! clocks, so its stamps need to be even, not right. A relay has to name real times, so it follows
//! every half second, and tells everybody who compares clocks with it by how much it was set.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Smaller differences come from reading two clocks one after the other.
const NOTICEABLE_US: i64 = 20_000;

/// How far the machine's clock is ahead of the time since boot, in microseconds, as of last asked.
#[derive(Debug)]
struct Steady {
    ahead_us: AtomicI64,
}

impl Steady {
    fn new(ahead_us: i64) -> Self {
        Self {
            ahead_us: AtomicI64::new(ahead_us),
        }
    }

    fn follow(&self, ahead_us: i64) -> Option<i64> {
        let before = self.ahead_us.load(Ordering::Relaxed);
        let set_by = ahead_us.saturating_sub(before);
        if set_by.abs() < NOTICEABLE_US {
            return None;
        }
        self.ahead_us.store(ahead_us, Ordering::Relaxed);
        Some(set_by)
    }
}

fn process_clock() -> &'static Steady {
    static CLOCK: OnceLock<Steady> = OnceLock::new();
    CLOCK.get_or_init(|| Steady::new(measure_ahead()))
}

/// How far stamps are ahead of the time since boot.
pub fn ahead_us() -> i64 {
    process_clock().ahead_us.load(Ordering::Relaxed)
}

/// Takes over the machine's clock; returns by how much that moves the stamps, if it does.
pub fn follow() -> Option<i64> {
    process_clock().follow(measure_ahead())
}

/// Microseconds since boot; they also pass while the machine sleeps.
#[cfg(target_os = "linux")]
pub fn since_boot_us() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

/// Microseconds since the process first asked.
#[cfg(not(target_os = "linux"))]
pub fn since_boot_us() -> i64 {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    micros(START.get_or_init(std::time::Instant::now).elapsed())
}

/// The machine's clock, in microseconds since the epoch.
pub fn wall_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    micros(now.unwrap_or_default())
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn measure_ahead() -> i64 {
    // The process may be made to wait between the readings: the quickest of some is the truest.
    let reading = || {
        let before = since_boot_us();
        let wall = wall_us();
        let took = since_boot_us() - before;
        (took, wall - before - took / 2)
    };
    let best = (0..4).map(|_| reading()).min();
    best.map_or(0, |(_, ahead)| ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_US: i64 = 86_400_000_000;

    #[test]
    fn a_clock_that_is_set_is_followed_once_and_noise_is_not() {
        let clock = Steady::new(1_000_000);
        assert_eq!(clock.follow(1_000_000 + NOTICEABLE_US - 1), None);
        assert_eq!(clock.follow(1_000_000 + 14 * DAY_US), Some(14 * DAY_US));
        assert_eq!(clock.follow(1_000_000 + 14 * DAY_US), None);
        assert_eq!(clock.follow(1_000_000 + 13 * DAY_US), Some(-DAY_US));
    }

    #[test]
    fn stamps_agree_with_a_machines_clock_that_nobody_sets() {
        assert_eq!(follow(), None);
        let stamp = since_boot_us() + ahead_us();
        assert!((wall_us() - stamp).abs() < NOTICEABLE_US);
    }
}
