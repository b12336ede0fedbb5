//! Events: the stay of one tracked object before one camera.
//!
//! ```text
//!  detections -> Engine: follow every object, test the rules ----> Event starts, changes, ends
//!                  object.rs: N of M, zones, best sight, rest
//!                  adopt.rs:  the same object under another id
//! ```

mod adopt;
mod engine;
mod object;

use cv_protocol::Timestamp;
use serde::{Deserialize, Serialize};

pub use engine::{Engine, Outcome};

/// The stay of one object before one camera.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Sorts by start; never given twice.
    pub id: String,
    /// The camera's name.
    pub camera: String,
    /// The object's class.
    pub label: String,
    /// When the object was first seen, by the archive's clock.
    pub start_us: Timestamp,
    /// When it was last seen; `None` while it stays.
    pub end_us: Option<Timestamp>,
    /// Score of the best sight, 0 to 1.
    pub score: f32,
    /// Box of the best sight: ymin, xmin, ymax, xmax as fractions of the picture.
    #[serde(rename = "box")]
    pub bounding_box: [f32; 4],
    /// When the best sight was captured.
    pub best_us: Timestamp,
    /// Zones that the object has entered, in the order in which it did.
    pub zones: Vec<String>,
    /// Whether the object rests.
    pub stationary: bool,
    /// Whether the event is kept for good.
    pub kept: bool,
    /// When the object was last seen.
    pub last_seen_us: Timestamp,
    /// Whether a snapshot is stored.
    pub has_snapshot: bool,
}

impl Event {
    /// From when to when footage is recorded for the event. While it runs, until now.
    #[must_use]
    pub fn footage(&self, pre_roll_us: u64, post_roll_us: u64) -> (Timestamp, Timestamp) {
        let end = self.end_us.unwrap_or(self.last_seen_us);
        (
            Timestamp(self.start_us.0.saturating_sub(pre_roll_us)),
            Timestamp(end.0.saturating_add(post_roll_us)),
        )
    }
}

/// What happened to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It has begun.
    Start,
    /// Something that people can see has changed.
    Update,
    /// Its object has left, or rests for long.
    End,
    /// It was deleted, by a person or because its time was up.
    Delete,
}

pub(crate) fn seconds_us(seconds: f32) -> u64 {
    // The cast saturates; rules are checked to be small and not negative.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let micros = (f64::from(seconds) * 1e6) as u64;
    micros
}
