//! Time on the wire, and the exchange that reconciles two machines' clocks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, by the clock of the machine that wrote it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This machine's clock, now.
    #[must_use]
    pub fn now() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This time by another clock that is ahead by `offset_us` microseconds.
    #[must_use]
    pub fn shifted(self, offset_us: i64) -> Self {
        Self(self.0.saturating_add_signed(offset_us))
    }
}

/// One round of an NTP-like exchange: the asker sends `t0`, the relay answers with all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockExchange {
    /// When the asker sent it, by the asker's clock; returned unchanged.
    pub t0: Timestamp,
    /// When the relay received it, by the relay's clock; absent in the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t1: Option<Timestamp>,
    /// When the relay answered, by the relay's clock; absent in the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t2: Option<Timestamp>,
}

impl ClockExchange {
    /// How far the relay's clock is ahead of the asker's, in microseconds, and the round-trip time
    /// without the relay's own share; `None` for a question.
    ///
    /// `t3` is when the answer arrived, by the asker's clock. The estimate is off by at most half
    /// the round trip: keep the one with the shortest.
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
    fn offset_is_exact_on_a_symmetric_path() {
        // The relay is 1000 us ahead, each way takes 200 us, and it thinks for 50 us.
        let exchange = ClockExchange {
            t0: Timestamp(10_000),
            t1: Some(Timestamp(11_200)),
            t2: Some(Timestamp(11_250)),
        };
        let (offset, round_trip) = exchange.offset(Timestamp(10_450)).unwrap();
        assert_eq!((offset, round_trip), (1000, Duration::from_micros(400)));
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
