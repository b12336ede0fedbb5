//! One object that is followed, with or without an event.

use std::collections::VecDeque;

use cv_protocol::{Object, Timestamp};

use super::seconds_us;
use crate::rules::Rules;

/// An object has moved when its centre is farther from where it rested than this, in box sizes.
const MOVED: f32 = 0.2;

/// So many sights in a row away from the place of rest end the rest: detectors err now and then.
const MOVED_SIGHTS: u32 = 3;

/// So long after the last movement the place of rest follows what is seen ...
const SETTLES_US: u64 = 1_000_000;

/// ... with this weight of a new sight.
const SETTLES_WEIGHT: f32 = 0.3;

/// Weight of a new measurement of the speed.
const SPEED_WEIGHT: f32 = 0.4;

/// A box this close to the picture's edge, in fractions of the picture, is cut off or leaving.
const EDGE: f32 = 0.02;

/// The best sight of an object so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// When.
    pub at_us: Timestamp,
    /// Number and capture time of its frame, by the agent.
    pub frame: (u64, Timestamp),
    /// Score of the sight.
    pub score: f32,
    /// Box of the sight.
    pub bounding_box: [f32; 4],
    quality: f32,
}

/// One searched frame, as far as an object is concerned.
#[derive(Clone, Copy, Debug)]
struct Sight {
    at: Timestamp,
    met: bool,
    /// Bit n: the object stood in zone n and met the rules.
    zones: u32,
}

/// An object that is followed.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    /// The tracker's id; `None` while nobody has it, after the agent has started anew.
    pub id: Option<u64>,
    /// The id that it had before.
    pub former: Option<u64>,
    pub label: String,
    pub bounding_box: [f32; 4],
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// Searched frames since it was seen last.
    pub missed: u32,
    /// Centre's speed in fractions of the picture per second, y and x.
    pub speed: [f32; 2],
    sights: VecDeque<Sight>,
    /// Where it rests, and since when.
    rest: [f32; 2],
    rest_since: Timestamp,
    /// Sights in a row away from there, and the first of them.
    away: u32,
    away_since: Timestamp,
    pub stationary_since: Option<Timestamp>,
    /// Its event has ended because it rests: it starts no other until it moves.
    pub resting: bool,
    pub best: Option<Best>,
    /// Number of its event in the engine.
    pub event: Option<u64>,
}

pub(super) fn centre(&[ymin, xmin, ymax, xmax]: &[f32; 4]) -> [f32; 2] {
    [f32::midpoint(ymin, ymax), f32::midpoint(xmin, xmax)]
}

pub(super) fn size(&[ymin, xmin, ymax, xmax]: &[f32; 4]) -> f32 {
    (ymax - ymin).max(xmax - xmin).max(1e-3)
}

pub(super) fn at_edge(&[ymin, xmin, ymax, xmax]: &[f32; 4]) -> bool {
    ymin < EDGE || xmin < EDGE || ymax > 1.0 - EDGE || xmax > 1.0 - EDGE
}

impl Followed {
    pub fn new(object: &Object, at: Timestamp) -> Self {
        Self {
            id: object.id,
            former: None,
            label: object.label.clone(),
            bounding_box: object.bounding_box,
            first_seen: at,
            last_seen: at,
            missed: 0,
            speed: [0.0; 2],
            sights: VecDeque::new(),
            rest: centre(&object.bounding_box),
            rest_since: at,
            away: 0,
            away_since: at,
            stationary_since: None,
            resting: false,
            best: None,
            event: None,
        }
    }

    /// Takes a sight of the object in a searched frame.
    pub fn see(&mut self, object: &Object, frame: (u64, Timestamp), at: Timestamp, rules: &Rules) {
        let seconds = at.since(self.last_seen).as_secs_f32();
        if seconds > 0.0 {
            let (from, to) = (centre(&self.bounding_box), centre(&object.bounding_box));
            for (speed, (from, to)) in self.speed.iter_mut().zip(from.into_iter().zip(to)) {
                *speed += SPEED_WEIGHT * ((to - from) / seconds - *speed);
            }
        }
        self.id = object.id;
        self.bounding_box = object.bounding_box;
        self.last_seen = at;
        self.missed = 0;
        let met = meets(object, rules);
        let zones = if met { zones_of(object, rules) } else { 0 };
        self.push(Sight { at, met, zones }, rules);
        self.follow_rest(at, rules);
        if met {
            self.note_best(object, frame, at);
        }
    }

    /// Notes a searched frame without the object.
    pub fn miss(&mut self, at: Timestamp, rules: &Rules) {
        self.missed = self.missed.saturating_add(1);
        let nothing = Sight {
            at,
            met: false,
            zones: 0,
        };
        self.push(nothing, rules);
    }

    fn push(&mut self, sight: Sight, rules: &Rules) {
        while self.sights.len() >= rules.of as usize {
            self.sights.pop_front();
        }
        self.sights.push_back(sight);
    }

    fn follow_rest(&mut self, at: Timestamp, rules: &Rules) {
        let now = centre(&self.bounding_box);
        let farthest = now
            .iter()
            .zip(self.rest)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        if farthest > MOVED * size(&self.bounding_box) {
            if self.away == 0 {
                self.away_since = at;
            }
            self.away += 1;
        } else {
            self.away = 0;
        }
        // A moving object takes its place of rest along at once; one that rests has to be seen
        // elsewhere several times.
        if self.away >= MOVED_SIGHTS || (self.away > 0 && self.stationary_since.is_none()) {
            self.away = 0;
            self.rest = now;
            self.rest_since = at;
            self.stationary_since = None;
            if self.resting {
                self.resting = false;
                // What was seen at rest is no reason to start an event.
                let since = self.away_since;
                self.sights.retain(|sight| sight.at >= since);
                self.first_seen = since;
            }
        } else if at.0 < self.rest_since.0 + SETTLES_US {
            // Whoever stops has a little way to go yet.
            for (rest, now) in self.rest.iter_mut().zip(now) {
                *rest += SETTLES_WEIGHT * (now - *rest);
            }
        } else if at.0 >= self.rest_since.0 + seconds_us(rules.stationary.after_s) {
            self.stationary_since.get_or_insert(at);
        }
    }

    fn note_best(&mut self, object: &Object, frame: (u64, Timestamp), at: Timestamp) {
        let [ymin, xmin, ymax, xmax] = object.bounding_box;
        let area = ((ymax - ymin) * (xmax - xmin)).clamp(0.0, 1.0);
        // A large, sure, whole object makes the best picture.
        let whole = if at_edge(&object.bounding_box) {
            0.7
        } else {
            1.0
        };
        let quality = object.score * whole * (0.5 + area.sqrt());
        if self.best.as_ref().is_none_or(|best| quality > best.quality) {
            self.best = Some(Best {
                at_us: at,
                frame,
                score: object.score,
                bounding_box: object.bounding_box,
                quality,
            });
        }
    }

    /// When the stay began, if the rules were met in N of the last M searched frames.
    pub fn started(&self, rules: &Rules) -> Option<Timestamp> {
        let met = self.sights.iter().filter(|sight| sight.met).count();
        (met >= rules.seen as usize)
            .then(|| self.sights.iter().find(|sight| sight.met))
            .flatten()
            .map(|sight| sight.at)
    }

    /// Whether the object stands in the zone of this number by N of M searched frames.
    pub fn is_in_zone(&self, number: usize, rules: &Rules) -> bool {
        let Some(bit) = u32::try_from(number)
            .ok()
            .and_then(|number| 1_u32.checked_shl(number))
        else {
            return false;
        };
        let inside = self.sights.iter().filter(|s| s.zones & bit != 0).count();
        inside >= rules.seen as usize
    }

    /// Where the object should be by now.
    pub fn predicted_centre(&self, at: Timestamp) -> [f32; 2] {
        let seconds = at.since(self.last_seen).as_secs_f32();
        let [y, x] = centre(&self.bounding_box);
        let [vy, vx] = self.speed;
        [y + vy * seconds, x + vx * seconds]
    }
}

/// Whether one sight meets the rules.
fn meets(object: &Object, rules: &Rules) -> bool {
    let [ymin, xmin, ymax, xmax] = object.bounding_box;
    object.score >= rules.min_score
        && (ymax - ymin).max(0.0) * (xmax - xmin).max(0.0) >= rules.min_area
        && !rules
            .masks
            .iter()
            .any(|mask| mask.hides(&object.bounding_box))
        && (!rules.zones_only || zones_of(object, rules) != 0)
}

fn zones_of(object: &Object, rules: &Rules) -> u32 {
    rules
        .zones
        .iter()
        .zip(0_u32..)
        .filter(|(zone, _)| zone.holds(&object.label, &object.bounding_box))
        .fold(0, |bits, (_, number)| {
            bits | 1_u32.checked_shl(number).unwrap_or(0)
        })
}
