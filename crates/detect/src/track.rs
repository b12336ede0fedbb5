//! Gives objects an identity that stays the same from frame to frame.
//!
//! As in SORT, each object has a Kalman filter that predicts where its box is by now, and what was
//! found is matched with the predictions, class by class: first by overlap, then, for what moved
//! far between two frames, by the distance of the centres. The best match goes first, which for
//! boxes that suppression has kept apart gives what an optimal assignment would.
//!
//! Time is the frames' own: with five pictures a second or with thirty, after a pause or not.

use cv_protocol::Timestamp;

use super::detection::Detection;
use super::output::iou;

/// Least overlap with the predicted box that makes it the same object.
const MIN_IOU: f32 = 0.25;

/// Farthest that a centre may lie from the predicted one, in box sizes, where nothing overlaps.
const MAX_DISTANCE: f32 = 1.0;

/// Largest ratio of two heights or widths of one object in neighbouring frames.
const MAX_GROWTH: f32 = 1.8;

/// An object that was missed in more than this many frames ...
const MAX_MISSED: u32 = 3;

/// ... and for more than this many seconds has left.
const MAX_UNSEEN: f32 = 1.0;

/// Most objects that are followed; bounds time and memory whatever a model reports.
const MAX_TRACKS: usize = 512;

/// What a tracker has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackCounts {
    /// Identities given since the start.
    pub found: u64,
    /// Of these, how many have left for good.
    pub lost: u64,
}

/// Follows objects from frame to frame.
///
/// One update costs some ten microseconds; its buffers are kept.
#[derive(Debug, Default)]
pub struct Tracker {
    tracks: Vec<Track>,
    pairs: Vec<Pair>,
    /// For each detection of the frame, whether it has its identity.
    matched: Vec<bool>,
    last: Option<Timestamp>,
    counts: TrackCounts,
}

/// An object that is followed.
#[derive(Clone, Debug)]
struct Track {
    id: u64,
    class: u32,
    /// Centre y, centre x, height, width.
    axes: [Axis; 4],
    /// Frames since it was found last.
    missed: u32,
    /// Seconds since it was found last.
    unseen: f32,
    matched: bool,
}

/// How well a detection fits a track.
#[derive(Clone, Copy, Debug)]
struct Pair {
    /// Overlap, or minus the distance where there is none.
    fit: f32,
    track: u16,
    detection: u16,
}

impl Tracker {
    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was found in the next frame and sets each `id`.
    pub fn update(&mut self, found: &mut [Detection], captured_at: Timestamp) {
        let seconds = self.last.map_or(0.0, |last| {
            captured_at.0.saturating_sub(last.0) as f32 / 1e6
        });
        self.last = Some(captured_at);
        for track in &mut self.tracks {
            track.predict(seconds);
        }
        self.matched.clear();
        self.matched.resize(found.len(), false);
        self.pair(found);
        for index in 0..self.pairs.len() {
            let Some(&Pair {
                track, detection, ..
            }) = self.pairs.get(index)
            else {
                break;
            };
            let (Some(track), Some(detection), Some(matched)) = (
                self.tracks.get_mut(usize::from(track)),
                found.get_mut(usize::from(detection)),
                self.matched.get_mut(usize::from(detection)),
            ) else {
                continue;
            };
            if !track.matched && !*matched {
                *matched = true;
                track.correct(&detection.bounding_box);
                detection.id = Some(track.id);
            }
        }
        let before = self.tracks.len();
        self.tracks
            .retain(|track| track.missed <= MAX_MISSED || track.unseen <= MAX_UNSEEN);
        self.counts.lost += (before - self.tracks.len()) as u64;
        for (detection, matched) in found.iter_mut().zip(&self.matched) {
            if !matched {
                detection.id = Some(self.counts.found);
                if self.tracks.len() < MAX_TRACKS {
                    self.tracks.push(Track::new(self.counts.found, detection));
                } else {
                    self.counts.lost += 1;
                }
                self.counts.found += 1;
            }
        }
    }

    /// Collects what fits together, best first.
    fn pair(&mut self, found: &[Detection]) {
        self.pairs.clear();
        for (track_index, track) in self.tracks.iter().enumerate() {
            let predicted = track.bounding_box();
            for (detection_index, detection) in found.iter().enumerate() {
                if detection.class != track.class {
                    continue;
                }
                let overlap = iou(&predicted, &detection.bounding_box);
                let fit = if overlap >= MIN_IOU {
                    overlap
                } else {
                    match track.distance(&detection.bounding_box) {
                        Some(distance) => -distance,
                        None => continue,
                    }
                };
                // Both fit: at most MAX_TRACKS tracks, and a thousand detections.
                self.pairs.push(Pair {
                    fit,
                    track: track_index as u16,
                    detection: detection_index as u16,
                });
            }
        }
        self.pairs.sort_unstable_by(|a, b| {
            b.fit
                .total_cmp(&a.fit)
                .then_with(|| (a.track, a.detection).cmp(&(b.track, b.detection)))
        });
    }

    /// Takes all objects for lost, as when classes get another meaning; no identity is given again.
    pub fn forget(&mut self) {
        self.counts.lost += self.tracks.len() as u64;
        self.tracks.clear();
        self.last = None;
    }

    /// Identities given and lost so far.
    #[must_use]
    pub fn counts(&self) -> TrackCounts {
        self.counts
    }
}

/// Centre y, centre x, height, width.
fn centre_form([ymin, xmin, ymax, xmax]: &[f32; 4]) -> [f32; 4] {
    [
        (ymin + ymax) / 2.0,
        (xmin + xmax) / 2.0,
        ymax - ymin,
        xmax - xmin,
    ]
}

impl Track {
    fn new(id: u64, detection: &Detection) -> Self {
        let form = centre_form(&detection.bounding_box);
        let [_, _, height, width] = form;
        let scales = [height, width, height, width];
        let mut axes = [Axis::default(); 4];
        for ((axis, value), scale) in axes.iter_mut().zip(form).zip(scales) {
            *axis = Axis::new(value, scale);
        }
        Self {
            id,
            class: detection.class,
            axes,
            missed: 0,
            unseen: 0.0,
            matched: false,
        }
    }

    fn predict(&mut self, seconds: f32) {
        self.matched = false;
        self.missed += 1;
        self.unseen += seconds;
        let [_, _, height, width] = self.axes.map(|axis| axis.value.max(0.01));
        let scales = [height, width, height, width];
        for (axis, scale) in self.axes.iter_mut().zip(scales) {
            axis.predict(seconds, scale);
        }
    }

    fn correct(&mut self, bounding_box: &[f32; 4]) {
        self.matched = true;
        self.missed = 0;
        self.unseen = 0.0;
        let form = centre_form(bounding_box);
        let [_, _, height, width] = form;
        let scales = [height, width, height, width];
        for ((axis, value), scale) in self.axes.iter_mut().zip(form).zip(scales) {
            axis.correct(value, scale);
        }
    }

    /// Where it should be.
    fn bounding_box(&self) -> [f32; 4] {
        let [y, x, height, width] = self.axes.map(|axis| axis.value);
        let (height, width) = (height.max(0.0) / 2.0, width.max(0.0) / 2.0);
        [y - height, x - width, y + height, x + width]
    }

    /// How far a box of much the same size lies away, in box sizes; `None` if it is no match.
    fn distance(&self, bounding_box: &[f32; 4]) -> Option<f32> {
        let [y, x, height, width] = centre_form(bounding_box);
        let [own_y, own_x, own_height, own_width] = self.axes.map(|axis| axis.value);
        let alike = |a: f32, b: f32| a > 0.0 && b > 0.0 && a.max(b) / a.min(b) <= MAX_GROWTH;
        if !alike(height, own_height) || !alike(width, own_width) {
            return None;
        }
        let size = (height * width).sqrt().max((own_height * own_width).sqrt());
        let distance = (y - own_y).hypot(x - own_x) / size;
        (distance <= MAX_DISTANCE).then_some(distance)
    }
}

/// A Kalman filter of one coordinate that moves with constant speed.
#[derive(Clone, Copy, Debug, Default)]
struct Axis {
    value: f32,
    /// Per second.
    speed: f32,
    /// Covariance: of the value, of both, of the speed.
    covariance: [f32; 3],
}

/// Standard deviation of a detected coordinate, in box sizes: how much boxes jitter.
const JITTER: f32 = 0.05;

/// Standard deviation of the acceleration, in box sizes per second squared: people and cars.
const ACCELERATION: f32 = 2.0;

/// Standard deviation of an unknown speed, in box sizes per second.
const START_SPEED: f32 = 1.0;

impl Axis {
    fn new(value: f32, scale: f32) -> Self {
        Self {
            value,
            speed: 0.0,
            covariance: [(JITTER * scale).powi(2), 0.0, (START_SPEED * scale).powi(2)],
        }
    }

    fn predict(&mut self, seconds: f32, scale: f32) {
        // Beyond this a prediction is worth nothing, and its covariance would only grow.
        let t = seconds.min(2.0);
        let noise = (ACCELERATION * scale).powi(2);
        let [value, both, speed] = self.covariance;
        self.value += self.speed * t;
        self.covariance = [
            value + t * (2.0 * both + t * speed) + noise * t.powi(4) / 4.0,
            both + t * speed + noise * t.powi(3) / 2.0,
            speed + noise * t * t,
        ];
    }

    fn correct(&mut self, measured: f32, scale: f32) {
        let [value, both, speed] = self.covariance;
        let total = value + (JITTER * scale).powi(2);
        // A box without size says nothing.
        if !(total.is_finite() && total > 0.0) {
            return;
        }
        let (gain, speed_gain) = (value / total, both / total);
        let error = measured - self.value;
        self.value += gain * error;
        self.speed += speed_gain * error;
        self.covariance = [
            (1.0 - gain) * value,
            (1.0 - gain) * both,
            speed - speed_gain * both,
        ];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detection(class: u32, y: f32, x: f32) -> Detection {
        Detection {
            class,
            score: 0.9,
            bounding_box: [y - 0.1, x - 0.05, y + 0.1, x + 0.05],
            id: None,
        }
    }

    fn ids(found: &[Detection]) -> Vec<u64> {
        found.iter().map(|found| found.id.unwrap()).collect()
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp(1_000_000_000 + ms * 1000)
    }

    #[test]
    fn two_that_pass_each_other_keep_their_identities() {
        let mut tracker = Tracker::new();
        for step in 0..40 {
            let along = 0.1 + 0.02 * step as f32;
            // The order of the list says nothing.
            let mut found = vec![detection(1, 0.5, along), detection(1, 0.56, 1.0 - along)];
            if step % 2 == 1 {
                found.reverse();
            }
            tracker.update(&mut found, at(step * 100));
            let expected = if step % 2 == 1 { [1, 0] } else { [0, 1] };
            assert_eq!(ids(&found), expected, "step {step}");
        }
        assert_eq!(tracker.counts(), TrackCounts { found: 2, lost: 0 });
    }

    #[test]
    fn a_short_absence_is_forgiven_and_a_long_one_is_not() {
        let mut tracker = Tracker::new();
        let mut found = [detection(1, 0.5, 0.5)];
        let mut see = |tracker: &mut Tracker, ms| {
            tracker.update(&mut found, at(ms));
            found[0].id.unwrap()
        };
        assert_eq!(see(&mut tracker, 0), 0);
        for ms in 1..9 {
            tracker.update(&mut [], at(ms * 100));
        }
        assert_eq!(see(&mut tracker, 900), 0);
        for ms in 10..22 {
            tracker.update(&mut [], at(ms * 100));
        }
        assert_eq!(tracker.counts(), TrackCounts { found: 1, lost: 1 });
        assert_eq!(see(&mut tracker, 2200), 1);
    }

    #[test]
    fn one_frame_a_second_is_enough_for_what_hardly_moves() {
        let mut tracker = Tracker::new();
        for second in 0..10 {
            let mut found = [detection(1, 0.5, 0.2 + 0.04 * second as f32)];
            tracker.update(&mut found, at(second * 1000));
            assert_eq!(ids(&found), [0]);
            // Missed in every other frame.
            tracker.update(&mut [], at(second * 1000 + 500));
        }
    }

    #[test]
    fn what_moves_further_than_its_box_is_found_by_its_speed() {
        let mut tracker = Tracker::new();
        // Boxes are 0.1 wide; 0.09 a frame leaves hardly any overlap, then it gets faster.
        let places = [0.10, 0.19, 0.28, 0.38, 0.50, 0.63, 0.78];
        for (step, x) in places.into_iter().enumerate() {
            let mut found = [detection(1, 0.5, x)];
            tracker.update(&mut found, at(step as u64 * 200));
            assert_eq!(ids(&found), [0], "step {step}");
        }
    }

    #[test]
    fn classes_are_not_confused() {
        let mut tracker = Tracker::new();
        let mut found = [detection(1, 0.5, 0.5)];
        tracker.update(&mut found, at(0));
        let mut found = [detection(2, 0.5, 0.5), detection(1, 0.5, 0.5)];
        tracker.update(&mut found, at(100));
        assert_eq!(ids(&found), [1, 0]);
    }

    #[test]
    fn what_was_forgotten_is_lost_and_its_identity_not_given_again() {
        let mut tracker = Tracker::new();
        let mut found = [detection(1, 0.5, 0.5)];
        tracker.update(&mut found, at(0));
        tracker.forget();
        assert_eq!(tracker.counts(), TrackCounts { found: 1, lost: 1 });
        tracker.update(&mut found, at(100));
        assert_eq!(ids(&found), [1]);
    }

    #[test]
    fn any_boxes_and_times_are_survived() {
        let mut tracker = Tracker::new();
        let mut random = fastrand::Rng::with_seed(7);
        let mut now = 0;
        for _ in 0..300 {
            let count = random.usize(0..600);
            let mut found: Vec<Detection> = (0..count)
                .map(|_| {
                    let mut corner = || match random.u8(0..20) {
                        0 => f32::NAN,
                        1 => 0.0,
                        2 => 1e30,
                        _ => random.f32(),
                    };
                    Detection {
                        class: 1,
                        score: 0.5,
                        bounding_box: [corner(), corner(), corner(), corner()],
                        id: None,
                    }
                })
                .collect();
            now = match random.u8(0..10) {
                0 => 0,
                1 => u64::MAX,
                _ => now / 2 + 33_000,
            };
            tracker.update(&mut found, Timestamp(now));
            assert!(found.iter().all(|found| found.id.is_some()));
            assert!(tracker.tracks.len() <= MAX_TRACKS);
        }
    }
}
