//! Follows the objects of one camera and says when their events start, change and end.

use cv_protocol::{Object, Timestamp};

use super::adopt;
use super::object::{Best, Followed};
use super::{Change, Event, seconds_us};
use crate::frame::Found;
use crate::rules::Rules;

/// Most objects that are followed, whatever an agent reports.
const MAX_OBJECTS: usize = 512;

/// An object that was missed in this many searched frames ...
const GONE_MISSED: u32 = 2;

/// ... and for this long has left.
const GONE_US: u64 = adopt::MISSING_US;

/// After the agent started anew, its objects are looked for in what it finds for this long ...
const ADOPT_US: u64 = 5_000_000;

/// ... and events wait this long for an agent that is silent.
const SILENCE_US: u64 = 30_000_000;

/// Least time between two updates of one event that only tell a better sight.
const BETTER_SPACING_US: u64 = 2_000_000;

/// Something happened to an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What.
    pub change: Change,
    /// The event as it is now.
    pub event: Event,
    /// The best sight, where it is another than at the last outcome.
    pub best: Option<Best>,
}

struct Running {
    number: u64,
    event: Event,
    told_best: Timestamp,
    told_at: Timestamp,
}

/// The objects and events of one camera.
pub struct Engine {
    camera: String,
    objects: Vec<Followed>,
    running: Vec<Running>,
    started: u64,
    last_search: Option<Timestamp>,
    /// The first search after the agent started anew.
    session_since: Option<Timestamp>,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(camera: &str) -> Self {
        Self {
            camera: camera.to_owned(),
            objects: Vec::new(),
            running: Vec::new(),
            started: 0,
            last_search: None,
            session_since: None,
        }
    }

    /// Events that have not ended.
    pub fn running(&self) -> impl Iterator<Item = &Event> {
        self.running.iter().map(|running| &running.event)
    }

    /// The agent has started anew: ids mean other objects from now on.
    pub fn new_session(&mut self) {
        for object in &mut self.objects {
            object.former = object.id.take().or(object.former);
        }
        self.session_since = None;
    }

    /// Takes what was found in the next searched frame.
    pub fn search(&mut self, found: &Found, rules: &Rules) -> Vec<Outcome> {
        let at = found.at_us;
        if self.last_search.is_some_and(|last| at <= last) {
            return Vec::new();
        }
        self.last_search = Some(at);
        self.session_since.get_or_insert(at);
        let frame = (found.detections.seq, found.detections.captured_us);
        self.assign(&found.detections.objects, frame, at, rules);
        let mut outcomes = Vec::new();
        self.change_events(at, rules, &mut outcomes);
        self.end_events(at, rules, &mut outcomes);
        outcomes
    }

    /// Gives each sight to the object that it belongs to.
    fn assign(&mut self, sights: &[Object], frame: (u64, Timestamp), at: Timestamp, rules: &Rules) {
        let mut seen = vec![false; self.objects.len()];
        let mut strangers = Vec::new();
        for sight in sights.iter().filter(|sight| is_usable(sight, rules)) {
            let known = self
                .objects
                .iter()
                .position(|o| o.id == sight.id && o.label == sight.label);
            match known.and_then(|known| Some((self.objects.get_mut(known)?, seen.get_mut(known)?)))
            {
                Some((object, seen)) if !*seen => {
                    *seen = true;
                    object.see(sight, frame, at, rules);
                }
                Some(_) => {}
                None => strangers.push(sight),
            }
        }
        for (stranger, number) in self.adoptions(&strangers, &seen, at) {
            if let (Some(sight), Some(object), Some(seen)) = (
                strangers.get(stranger),
                self.objects.get_mut(number),
                seen.get_mut(number),
            ) {
                *seen = true;
                object.see(sight, frame, at, rules);
            }
        }
        for (object, seen) in self.objects.iter_mut().zip(&seen) {
            if !seen {
                object.miss(at, rules);
            }
        }
        for sight in strangers {
            let adopted = self
                .objects
                .iter()
                .any(|o| o.id == sight.id && o.label == sight.label);
            if !adopted && self.objects.len() < MAX_OBJECTS {
                let mut object = Followed::new(sight, at);
                object.see(sight, frame, at, rules);
                self.objects.push(object);
            }
        }
    }

    /// Which strangers are objects that are missing, nearest first: (stranger, object).
    fn adoptions(
        &self,
        strangers: &[&Object],
        seen: &[bool],
        at: Timestamp,
    ) -> Vec<(usize, usize)> {
        let mut pairs = Vec::new();
        for (stranger, sight) in strangers.iter().enumerate() {
            for (number, object) in self.objects.iter().enumerate() {
                if seen.get(number) == Some(&false)
                    && let Some(distance) = adopt::distance(object, sight, at)
                {
                    pairs.push((distance, stranger, number));
                }
            }
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut chosen: Vec<(usize, usize)> = Vec::new();
        for (_, stranger, object) in pairs {
            if !chosen.iter().any(|(s, o)| *s == stranger || *o == object) {
                chosen.push((stranger, object));
            }
        }
        chosen
    }

    /// Starts events, and notes what has changed in those that run.
    fn change_events(&mut self, at: Timestamp, rules: &Rules, outcomes: &mut Vec<Outcome>) {
        for object in &mut self.objects {
            if object.missed > 0 {
                continue;
            }
            if object.event.is_none() {
                let start = object
                    .started(rules)
                    .filter(|_| !object.resting && rules.hours_hold(at));
                if let (Some(start), Some(best)) = (start, object.best.clone()) {
                    self.started += 1;
                    object.event = Some(self.started);
                    let event = new_event(&self.camera, self.started, object, start, &best, rules);
                    self.running.push(Running {
                        number: self.started,
                        event: event.clone(),
                        told_best: best.at_us,
                        told_at: at,
                    });
                    outcomes.push(Outcome {
                        change: Change::Start,
                        event,
                        best: Some(best),
                    });
                }
                continue;
            }
            let Some(running) = self
                .running
                .iter_mut()
                .find(|running| Some(running.number) == object.event)
            else {
                continue;
            };
            if running.update(object, at, rules) {
                let best = object.best.clone();
                outcomes.push(running.tell(Change::Update, best, at));
            }
        }
    }

    /// Ends the events of objects that have left or rest for long, and forgets objects.
    fn end_events(&mut self, at: Timestamp, rules: &Rules, outcomes: &mut Vec<Outcome>) {
        let session_since = self.session_since.unwrap_or(at);
        let mut gone = Vec::new();
        self.objects.retain(|object| {
            let unseen_us = at.0.saturating_sub(object.last_seen.0);
            let left = match object.id {
                Some(_) => object.missed >= GONE_MISSED && unseen_us > GONE_US,
                // Of an agent that has started anew.
                None => {
                    unseen_us > SILENCE_US
                        || (at.0.saturating_sub(session_since.0) > ADOPT_US
                            && object.missed >= GONE_MISSED)
                }
            };
            if left {
                gone.push((object.event, object.best.clone()));
            }
            !left
        });
        let end_after_us = seconds_us(rules.stationary.end_after_s);
        for object in &mut self.objects {
            let rested = end_after_us > 0
                && object
                    .stationary_since
                    .is_some_and(|since| at.0 >= since.0.saturating_add(end_after_us));
            if rested && object.event.is_some() {
                object.resting = true;
                gone.push((object.event.take(), object.best.take()));
            }
        }
        for (event, best) in gone {
            self.end(event, best, outcomes);
        }
    }

    fn end(&mut self, event: Option<u64>, best: Option<Best>, outcomes: &mut Vec<Outcome>) {
        let Some(place) = self.running.iter().position(|r| Some(r.number) == event) else {
            return;
        };
        let mut running = self.running.swap_remove(place);
        running.event.end_us = Some(running.event.last_seen_us);
        let at = running.event.last_seen_us;
        outcomes.push(running.tell(Change::End, best, at));
    }

    /// Ends what has to end although nothing is heard of the camera. `now` by the archive's clock.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Outcome> {
        let silent = self
            .last_search
            .is_some_and(|last| now.0.saturating_sub(last.0) > SILENCE_US);
        if silent && !self.objects.is_empty() {
            self.end_all()
        } else {
            Vec::new()
        }
    }

    /// Ends every event, as when recording stops or the rules are replaced.
    pub fn end_all(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for object in std::mem::take(&mut self.objects) {
            self.end(object.event, object.best, &mut outcomes);
        }
        outcomes
    }

    /// The place of time is no longer what it was: the clock was set back.
    pub fn clock_set_back(&mut self) -> Vec<Outcome> {
        let outcomes = self.end_all();
        self.last_search = None;
        self.session_since = None;
        outcomes
    }
}

impl Running {
    /// Brings the event up to date; returns whether people should hear of it.
    fn update(&mut self, object: &Followed, at: Timestamp, rules: &Rules) -> bool {
        let mut tell = false;
        self.event.last_seen_us = object.last_seen;
        for (number, zone) in rules.zones.iter().enumerate() {
            if object.is_in_zone(number, rules) && !self.event.zones.contains(&zone.name) {
                self.event.zones.push(zone.name.clone());
                tell = true;
            }
        }
        let stationary = object.stationary_since.is_some();
        if self.event.stationary != stationary {
            self.event.stationary = stationary;
            tell = true;
        }
        if let Some(best) = &object.best {
            self.event.score = best.score;
            self.event.bounding_box = best.bounding_box;
            self.event.best_us = best.at_us;
            tell |= best.at_us != self.told_best
                && at.0.saturating_sub(self.told_at.0) >= BETTER_SPACING_US;
        }
        tell
    }

    fn tell(&mut self, change: Change, best: Option<Best>, at: Timestamp) -> Outcome {
        let best = best.filter(|best| best.at_us != self.told_best);
        if let Some(best) = &best {
            self.told_best = best.at_us;
        }
        self.told_at = at;
        Outcome {
            change,
            event: self.event.clone(),
            best,
        }
    }
}

/// Whether a sight can be followed at all.
fn is_usable(sight: &Object, rules: &Rules) -> bool {
    sight.id.is_some()
        && rules.wants(&sight.label)
        && sight.bounding_box.iter().all(|edge| edge.is_finite())
        && sight.score.is_finite()
}

fn new_event(
    camera: &str,
    number: u64,
    object: &Followed,
    start: Timestamp,
    best: &Best,
    rules: &Rules,
) -> Event {
    // The start alone would do for one camera; several may see something at the same moment.
    let mut hash = crc32fast::Hasher::new();
    hash.update(camera.as_bytes());
    hash.update(&number.to_le_bytes());
    hash.update(&object.id.unwrap_or_default().to_le_bytes());
    let zones = rules
        .zones
        .iter()
        .enumerate()
        .filter(|(number, _)| object.is_in_zone(*number, rules))
        .map(|(_, zone)| zone.name.clone());
    Event {
        id: format!("{:014x}-{:08x}", start.0, hash.finalize()),
        camera: camera.to_owned(),
        label: object.label.clone(),
        start_us: start,
        end_us: None,
        score: best.score,
        bounding_box: best.bounding_box,
        best_us: best.at_us,
        zones: zones.collect(),
        stationary: object.stationary_since.is_some(),
        kept: false,
        last_seen_us: object.last_seen,
        has_snapshot: false,
    }
}
