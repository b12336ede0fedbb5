//! The last seconds of a camera, in memory: pre-roll and snapshots come from here.

use std::collections::VecDeque;

use cv_protocol::Timestamp;

use crate::frame::{Found, Frame};

/// How long frames beyond the stored rate are at hand, for snapshots.
const SPARE_US: u64 = 1_500_000;

/// A snapshot's frame may be this far from the searched one, if that one never came.
const NEAR_US: u64 = 500_000;

/// Most searches that are remembered; they are small.
const MAX_FOUND: usize = 4096;

struct Entry<T> {
    value: T,
    stored: bool,
}

/// Frames and detections of the last seconds.
pub(super) struct Ring {
    frames: VecDeque<Entry<Frame>>,
    found: VecDeque<Entry<Found>>,
    /// Frames that the stored rate leaves out.
    spare: VecDeque<Frame>,
    bytes: u64,
    max_bytes: u64,
}

impl Ring {
    pub fn new(max_bytes: u64) -> Self {
        Self {
            frames: VecDeque::new(),
            found: VecDeque::new(),
            spare: VecDeque::new(),
            bytes: 0,
            max_bytes,
        }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn push(&mut self, frame: Frame, stored: bool) {
        self.bytes += frame.jpeg.len() as u64;
        self.frames.push_back(Entry {
            value: frame,
            stored,
        });
    }

    pub fn push_spare(&mut self, frame: Frame) {
        self.bytes += frame.jpeg.len() as u64;
        self.spare.push_back(frame);
    }

    pub fn push_found(&mut self, found: Found, stored: bool) {
        self.found.push_back(Entry {
            value: found,
            stored,
        });
    }

    /// Forgets what is older than `window_us`, and the oldest beyond the bound in bytes.
    pub fn trim(&mut self, now: Timestamp, window_us: u64) {
        let too_old = |at: Timestamp, window: u64| at.0.saturating_add(window) < now.0;
        while let Some(frame) = self.spare.front()
            && (too_old(frame.at_us, SPARE_US) || self.bytes > self.max_bytes)
        {
            self.bytes -= frame.jpeg.len() as u64;
            self.spare.pop_front();
        }
        while let Some(Entry { value, .. }) = self.frames.front()
            && (too_old(value.at_us, window_us) || self.bytes > self.max_bytes)
        {
            self.bytes -= value.jpeg.len() as u64;
            self.frames.pop_front();
        }
        while let Some(Entry { value, .. }) = self.found.front()
            && (too_old(value.at_us, window_us) || self.found.len() > MAX_FOUND)
        {
            self.found.pop_front();
        }
    }

    pub fn clear(&mut self) {
        self.frames.clear();
        self.found.clear();
        self.spare.clear();
        self.bytes = 0;
    }

    /// Frames from a time on that have not been stored; they count as stored from now on.
    pub fn take_frames(&mut self, from: Timestamp) -> Vec<Frame> {
        take(&mut self.frames, |frame| frame.at_us >= from)
    }

    /// The same for detections.
    pub fn take_found(&mut self, from: Timestamp) -> Vec<Found> {
        take(&mut self.found, |found| found.at_us >= from)
    }

    /// The frame with this number and capture time, or else the one nearest to `at`.
    pub fn frame(&self, (seq, captured): (u64, Timestamp), at: Timestamp) -> Option<&Frame> {
        let all = || self.frames.iter().map(|e| &e.value).chain(&self.spare);
        all()
            .find(|frame| frame.seq == seq && frame.captured_us == captured)
            .or_else(|| {
                all()
                    .filter(|frame| frame.at_us.0.abs_diff(at.0) <= NEAR_US)
                    .min_by_key(|frame| frame.at_us.0.abs_diff(at.0))
            })
    }
}

fn take<T: Clone>(entries: &mut VecDeque<Entry<T>>, wanted: impl Fn(&T) -> bool) -> Vec<T> {
    entries
        .iter_mut()
        .filter(|entry| !entry.stored && wanted(&entry.value))
        .map(|entry| {
            entry.stored = true;
            entry.value.clone()
        })
        .collect()
}
