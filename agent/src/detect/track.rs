//! Gives objects an identity that stays the same from frame to frame.

use cv_protocol::Timestamp;

use super::Detection;

/// What a tracker has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackCounts {
    /// Identities given since the start.
    pub found: u64,
    /// Of these, how many have left for good.
    pub lost: u64,
}

/// Follows objects from frame to frame.
#[derive(Debug, Default)]
pub struct Tracker {
    counts: TrackCounts,
}

impl Tracker {
    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was found in the next frame and sets each `id`.
    pub fn update(&mut self, found: &mut [Detection], captured_at: Timestamp) {
        let _ = (found, captured_at);
    }

    /// Identities given and lost so far.
    #[must_use]
    pub fn counts(&self) -> TrackCounts {
        self.counts
    }
}
