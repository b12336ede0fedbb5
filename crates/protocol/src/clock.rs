//! Time in messages, and the exchange that relates the clocks of two machines.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, by the clock of the machine that wrote the timestamp.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Returns the current time of this machine's clock.
    #[must_use]
    pub fn now() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
    }

    /// Returns the time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Converts this time to another clock that is ahead by `offset_us` microseconds.
    #[must_use]
    pub fn shifted(self, offset_us: i64) -> Self {
        Self(self.0.saturating_add_signed(offset_us))
    }
}

/// One round of an NTP-like exchange. The client sends `t0`, and the relay answers with all three
/// times.
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
    fn extreme_times_do_not_overflow() {
        let exchange = ClockExchange {
            t0: Timestamp(u64::MAX),
            t1: Some(Timestamp(0)),
            t2: Some(Timestamp(u64::MAX)),
        };
        assert!(exchange.offset(Timestamp(0)).is_some());
    }
}
