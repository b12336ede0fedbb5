//! Identities on the demo clip: what the detector found in its frames (`scripts/make-detections`)
//! goes through the tracker, and is compared with where the objects are (`scripts/make-clip`).
//!
//! The detector misses one of the two dogs in more than half of the frames, calls the tram a bus now
//! and then and reports passers-by that nobody labelled, which is what a tracker has to live with.

use std::collections::{BTreeMap, BTreeSet};

use cv_detect::{Detection, Tracker, iou};
use cv_protocol::Timestamp;
use serde::Deserialize;

/// The clip's own rate is 25 frames a second.
const FRAME_US: u64 = 40_000;

/// Least overlap at which something found is taken for the object.
const MIN_IOU: f32 = 0.5;

#[derive(Deserialize)]
struct Recording<T> {
    frames: Vec<Vec<T>>,
}

/// An object as it is.
#[derive(Deserialize)]
struct Real {
    id: u64,
    label: String,
    #[serde(rename = "box")]
    bounding_box: [f32; 4],
}

/// An object as it was found.
#[derive(Deserialize)]
struct Found {
    label: String,
    score: f32,
    #[serde(rename = "box")]
    bounding_box: [f32; 4],
}

fn recording<T: for<'a> Deserialize<'a>>(name: &str) -> Vec<Vec<T>> {
    let text = std::fs::read(crate::setup::fixture(name)).unwrap();
    let recording: Recording<T> = serde_json::from_slice(&text).unwrap();
    assert_eq!(recording.frames.len(), 300);
    recording.frames
}

/// How well identities kept to objects.
#[derive(Debug, Default, PartialEq, Eq)]
struct Score {
    /// Objects that were in the frames.
    objects: usize,
    /// Of the frames in which each was, how many it was found in.
    seen: (usize, usize),
    /// How often an object had another identity than when it was found last.
    switches: usize,
    /// Identities that more than one object had.
    shared: usize,
    /// Identities given in all, also to what is no object.
    identities: usize,
}

/// Shows every `step`-th frame to `identify` and compares.
fn score(step: usize, mut identify: impl FnMut(&mut [Detection], Timestamp)) -> Score {
    let real: Vec<Vec<Real>> = recording("demo-clip-truth.json");
    let found: Vec<Vec<Found>> = recording("demo-clip-detections.json");
    let labels: BTreeSet<&str> = found.iter().flatten().map(|found| &*found.label).collect();
    let labels: Vec<&str> = labels.into_iter().collect();
    let mut score = Score::default();
    let mut objects = BTreeSet::new();
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    let mut owners: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for (frame, (real, found)) in real.iter().zip(&found).enumerate().step_by(step) {
        let mut found: Vec<Detection> = found
            .iter()
            .map(|found| Detection {
                class: labels.binary_search(&&*found.label).unwrap() as u32,
                score: found.score,
                bounding_box: found.bounding_box,
                id: None,
            })
            .collect();
        identify(&mut found, Timestamp(frame as u64 * FRAME_US));
        for found in &found {
            owners.entry(found.id.unwrap()).or_default();
        }
        for real in real {
            objects.insert(real.id);
            score.seen.1 += 1;
            let overlap = |found: &Detection| iou(&found.bounding_box, &real.bounding_box);
            let best = found
                .iter()
                .filter(|found| labels[found.class as usize] == real.label)
                .filter(|found| overlap(found) >= MIN_IOU)
                .max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
            let Some(id) = best.and_then(|best| best.id) else {
                continue;
            };
            score.seen.0 += 1;
            owners.entry(id).or_default().insert(real.id);
            let before = last.insert(real.id, id);
            score.switches += usize::from(before.is_some_and(|before| before != id));
        }
    }
    score.objects = objects.len();
    score.identities = owners.len();
    score.shared = owners.values().filter(|owners| owners.len() > 1).count();
    score
}

/// Five frames a second are what a board searches that is busy with the model all the time.
const STEPS: [(usize, &str); 3] = [
    (1, "25 frames a second"),
    (3, "8 frames a second"),
    (5, "5 frames a second"),
];

#[test]
fn objects_of_the_clip_keep_their_identities() {
    for (step, rate) in STEPS {
        let mut tracker = Tracker::new();
        let score = score(step, |found, at| tracker.update(found, at));
        println!("{rate}: {score:?}");
        assert_eq!(score.objects, 9);
        // Else there would be little to keep.
        assert!(score.seen.0 * 100 >= score.seen.1 * 70, "{rate}: {score:?}");
        assert_eq!((score.switches, score.shared), (0, 0), "{rate}: {score:?}");
        assert_eq!(tracker.counts().found, score.identities as u64);
    }
}

#[test]
fn the_score_tells_good_identities_from_bad_ones() {
    // The place in the list, which goes by the score.
    let places = score(1, |found, _| {
        for (place, found) in found.iter_mut().enumerate() {
            found.id = Some(place as u64);
        }
    });
    assert!(places.switches > 10 && places.shared > 0, "{places:?}");
    // One for each class, as if nothing told two dogs apart.
    let classes = score(1, |found, _| {
        for found in found {
            found.id = Some(u64::from(found.class));
        }
    });
    assert!(classes.shared > 0, "{classes:?}");
    // A new one in each frame.
    let mut next = 0;
    let new = score(1, |found, _| {
        for found in found {
            found.id = Some(next);
            next += 1;
        }
    });
    assert_eq!(new.switches, new.seen.0 - new.objects, "{new:?}");
}
