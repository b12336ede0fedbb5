//! Time in messages, and the exchange that relates the clocks of two machines.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::steady;

/// Microseconds since the Unix epoch, by the clock of the process that wrote the timestamp.
///
/// That clock goes on evenly when the machine's clock is set; see [`Self::follow_wall_clock`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This process's clock, now.
    #[must_use]
    pub fn now() -> Self {
        Moment::now().timestamp()
    }

    /// Returns the current time of the machine's clock, for people to read. It may be set at any
    /// time.
    #[must_use]
    pub fn wall_clock() -> Self {
        Self(u64::try_from(steady::wall_us()).unwrap_or_default())
    }

    /// Sets this process's clock to the machine's, for processes whose stamps are to be real times;
    /// returns by how many microseconds that moves the stamps from now on, if it does.
    ///
    /// Whoever calls this must correct what it has compared with other clocks.
    #[must_use]
    pub fn follow_wall_clock() -> Option<i64> {
        steady::follow()
    }

    /// Returns the time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Time from `earlier` to `self`, for two clocks that are known well enough to compare them;
    /// `None` if no frame can be as old, or as far in the future, as they say: one of the clocks has
    /// been set, and its offset is not known yet.
    #[must_use]
    pub fn plausibly_since(self, earlier: Self) -> Option<Duration> {
        let by_error = Self(earlier.0.saturating_sub(Self::CLOCK_ERROR_US));
        (self >= by_error && self.since(earlier) <= Self::OLDEST).then(|| self.since(earlier))
    }

    /// A stalled connection is given up after a sixth of this.
    const OLDEST: Duration = Duration::from_secs(60);

    /// Offsets are known to half a round trip.
    const CLOCK_ERROR_US: u64 = 1_000_000;

    /// This time by another clock that is ahead by `offset_us` microseconds.
    #[must_use]
    pub fn shifted(self, offset_us: i64) -> Self {
        Self(self.0.saturating_add_signed(offset_us))
    }
}

/// A moment in the life of this process, whose [`Timestamp`] stays right when the machine's clock is
/// set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    since_boot_us: i64,
}

impl Moment {
    /// Returns the current moment.
    #[must_use]
    pub fn now() -> Self {
        Self {
            since_boot_us: steady::since_boot_us(),
        }
    }

    /// Returns the time that has passed since this moment.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        let us = Self::now().since_boot_us.saturating_sub(self.since_boot_us);
        Duration::from_micros(u64::try_from(us).unwrap_or_default())
    }

    /// Returns the timestamp of this moment by this process's clock as it goes now.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        let us = self.since_boot_us.saturating_add(steady::ahead_us());
        Timestamp(u64::try_from(us).unwrap_or_default())
    }
}

/// A relay's news that its clock has been set: whoever knows the offset to it adds this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSet {
    /// By how many microseconds the relay's clock is ahead of what it was.
    pub set_by_us: i64,
}

/// One round of an NTP-like exchange: the asker sends `t0`, the relay answers with all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockExchange {
    /// Time at which the client sent the question, by the client's clock. The relay returns it
    /// unchanged.
    pub t0: Timestamp,
    /// Time at which the relay received the question, by the relay's clock; absent in the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t1: Option<Timestamp>,
    /// Time at which the relay sent the answer, by the relay's clock; absent in the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t2: Option<Timestamp>,
}

impl ClockExchange {
    /// Returns how far the relay's clock is ahead of the client's, in microseconds, and the
    /// round-trip time without the relay's processing time; `None` for a question.
    ///
    /// `t3` is the time at which the answer arrived, by the client's clock. The estimate is off by
    /// at most half the round trip, so the caller should keep the estimate with the shortest round
    /// trip.
    #[must_use]
    pub fn offset(&self, t3: Timestamp) -> Option<(i64, Duration)> {
        let signed = |t: Timestamp| i64::try_from(t.0).unwrap_or(i64::MAX);
        let (t0, t1, t2, t3) = (
            signed(self.t0),
            signed(self.t1?),
            signed(self.t2?),
            signed(t3),
        );
        let offset = (t1.saturating_sub(t0) / 2).saturating_add(t2.saturating_sub(t3) / 2);
        let round_trip = t3.saturating_sub(t0).saturating_sub(t2.saturating_sub(t1));
        Some((
            offset,
            Duration::from_micros(u64::try_from(round_trip).unwrap_or(0)),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_exact_on_a_symmetric_path() {
        // The relay is 1000 us ahead, each way takes 200 us, and the relay needs 50 us to answer.
        let exchange = ClockExchange {
            t0: Timestamp(10_000),
            t1: Some(Timestamp(11_200)),
            t2: Some(Timestamp(11_250)),
        };
        let (offset, round_trip) = exchange.offset(Timestamp(10_450)).unwrap();
        assert_eq!((offset, round_trip), (1000, Duration::from_micros(400)));
    }

    #[test]
    fn ages_that_no_frame_can_have_are_told_apart() {
        let day = 86_400_000_000;
        let now = Timestamp(20 * day);
        let since = |us: u64| now.plausibly_since(Timestamp(us));
        assert_eq!(since(now.0 - 250_000), Some(Duration::from_millis(250)));
        // The clocks are known to half a round trip only.
        assert_eq!(since(now.0 + 900_000), Some(Duration::ZERO));
        for absurd in [
            now.0 - 14 * day,
            now.0 + day,
            now.0 + 1_100_000,
            0,
            u64::MAX,
        ] {
            assert_eq!(since(absurd), None, "{absurd}");
        }
    }

    #[test]
    fn a_moment_is_a_stamp() {
        let before = Timestamp::now();
        let moment = Moment::now();
        assert!(moment.timestamp() >= before && moment <= Moment::now());
    }

    #[test]
    fn hostile_times_do_not_overflow() {
        let exchange = ClockExchange {
            t0: Timestamp(u64::MAX),
            t1: Some(Timestamp(0)),
            t2: Some(Timestamp(u64::MAX)),
        };
        assert!(exchange.offset(Timestamp(0)).is_some());
    }
}
