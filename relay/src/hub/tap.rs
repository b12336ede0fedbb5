//! The way of every camera's frames and detections to the archive, if there is one.

use std::sync::Arc;

use bytes::Bytes;
use cv_protocol::{Detections, FrameMeta, Recording, Timestamp};

/// Whoever records cameras.
pub trait Recorder: Send + Sync + 'static {
    /// Called when an agent brings a camera; `None` if it is not recorded.
    fn tap(&self, camera: &str) -> Option<Arc<dyn Tap>>;
    /// Adds its metrics, as Prometheus text.
    fn write_metrics(&self, out: &mut String);
}

/// Takes what one camera brings. No method waits.
pub trait Tap: Send + Sync + 'static {
    /// The agent has started anew, or is another one.
    fn begin(&self);
    /// A frame, captured at this time by the relay's clock.
    fn frame(&self, at: Timestamp, meta: &FrameMeta, jpeg: &Bytes);
    /// What was found in a frame that was captured at this time by the relay's clock.
    fn detections(&self, at: Timestamp, detections: &Detections);
    /// The most frames a second that are recorded: `Some(None)` is all, `None` is none.
    fn wants(&self) -> Option<Option<f32>>;
    /// What viewers are told of the recording.
    fn recording(&self) -> Recording;
}

/// Farthest in the past that a frame is believed to have been captured.
const MAX_AGE_US: u64 = 60_000_000;

/// Farthest in the future: clocks are compared no better than this.
const MAX_AHEAD_US: u64 = 500_000;

/// Finds the time of a capture by the relay's clock.
#[derive(Debug, Default)]
pub(super) struct Placing {
    /// The least that any message of this session took, where the agent's clock is not known.
    least_us: Option<i64>,
}

impl Placing {
    /// When something was captured that has been received at `received`. `offset_us` is how far the
    /// relay's clock is ahead of the agent's.
    pub fn place(
        &mut self,
        captured: Timestamp,
        received: Timestamp,
        offset_us: Option<i64>,
    ) -> Timestamp {
        let offset = offset_us.unwrap_or_else(|| {
            let signed = |t: Timestamp| i64::try_from(t.0).unwrap_or(i64::MAX);
            let took = signed(received).saturating_sub(signed(captured));
            let least = self.least_us.map_or(took, |least| least.min(took));
            *self.least_us.insert(least)
        });
        let at = captured.shifted(offset);
        let believed = received.0.saturating_sub(MAX_AGE_US)..=received.0 + MAX_AHEAD_US;
        if believed.contains(&at.0) {
            at.min(received)
        } else {
            received
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000_000;

    #[test]
    fn a_frame_is_placed_by_the_offset_of_its_agents_clock() {
        let mut placing = Placing::default();
        let at = placing.place(
            Timestamp(5_000_000),
            Timestamp(NOW),
            Some(NOW as i64 - 5_040_000),
        );
        assert_eq!(at.0, NOW - 40_000);
    }

    #[test]
    fn an_unknown_clock_is_told_by_the_fastest_message() {
        let mut placing = Placing::default();
        let mut place = |captured, took| {
            placing
                .place(Timestamp(captured), Timestamp(NOW + captured + took), None)
                .0
        };
        assert_eq!(place(0, 80_000), NOW + 80_000);
        assert_eq!(place(100_000, 20_000), NOW + 120_000);
        assert_eq!(place(200_000, 90_000), NOW + 220_000);
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_not_believed() {
        let mut placing = Placing::default();
        let fortnight = 14 * 86_400_000_000;
        for captured in [NOW - fortnight, NOW + fortnight] {
            assert_eq!(
                placing
                    .place(Timestamp(captured), Timestamp(NOW), Some(0))
                    .0,
                NOW
            );
        }
    }
}
