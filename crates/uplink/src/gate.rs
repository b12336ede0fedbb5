//! Which frames go out: as many as viewers want and the settings allow.

use std::time::{Duration, Instant};

use cv_protocol::{Demand, MAX_FRAME_BYTES};

use super::feed::Drop;
use cv_flow::Pace;
use cv_picture::Frame;

/// Time between frames while nobody watches.
const UNWATCHED: Duration = Duration::from_secs(3);

/// Decides about each frame that could be sent.
#[derive(Debug)]
pub struct Gate {
    pace: Pace,
    demand: Demand,
}

impl Default for Gate {
    /// Assumes that somebody watches, until [`Gate::demand`] says otherwise.
    fn default() -> Self {
        Self {
            pace: Pace::default(),
            demand: Demand {
                viewers: 1,
                max_fps: None,
                cut_frames: false,
            },
        }
    }
}

impl Gate {
    /// What viewers want has changed.
    pub fn demand(&mut self, demand: Demand) {
        self.demand = demand;
    }

    /// Whether a frame is sent that could be, at `stream_fps` frames a second at most.
    pub fn admit(&mut self, frame: &Frame, stream_fps: f32, now: Instant) -> Result<(), Drop> {
        if frame.jpeg.len() > MAX_FRAME_BYTES {
            return Err(Drop::Unsendable);
        }
        let (interval, reason) = if self.demand.viewers == 0 {
            (UNWATCHED, Drop::Unwatched)
        } else {
            let wanted = self.demand.max_fps.unwrap_or(f32::MAX);
            (Pace::interval(stream_fps.min(wanted)), Drop::Pace)
        };
        if self.pace.admit(now, interval) {
            Ok(())
        } else {
            Err(reason)
        }
    }
}
