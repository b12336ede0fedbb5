//! What following objects from frame to frame costs.
//!
//! Ends with the figure that we promise, one frame with 30 objects, and fails if it is not reached.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use cv_detect::{Detection, Tracker};
use cv_protocol::Timestamp;
use divan::Bencher;
use fastrand::Rng;

/// Frames of the promised figure.
const FRAMES: usize = 2000;
const OBJECTS: usize = 30;
const MOST: Duration = Duration::from_micros(200);

/// Objects that wander about, each at its own speed, and are found with jitter, in any order and
/// not always.
struct Scene {
    random: Rng,
    /// Class, centre y and x, and the speed of both per frame.
    objects: Vec<(u32, [f32; 2], [f32; 2])>,
    frame: u64,
}

impl Scene {
    fn new(objects: usize) -> Self {
        let mut random = Rng::with_seed(1);
        let objects = (0..objects)
            .map(|_| {
                let mut pair =
                    |from: f32, to: f32| [(); 2].map(|()| from + (to - from) * random.f32());
                let (place, speed) = (pair(0.1, 0.9), pair(-0.01, 0.01));
                // Mostly of one class, as people in a street.
                (u32::from(random.u8(0..10) == 0), place, speed)
            })
            .collect();
        Self {
            random,
            objects,
            frame: 0,
        }
    }

    /// The next frame, 25 a second.
    fn next(&mut self) -> (Vec<Detection>, Timestamp) {
        let random = &mut self.random;
        let mut found = Vec::with_capacity(self.objects.len());
        for (class, place, speed) in &mut self.objects {
            for (place, speed) in place.iter_mut().zip(speed) {
                *place += *speed;
                if !(0.1..=0.9).contains(place) {
                    *speed = -*speed;
                }
            }
            if random.u8(0..20) == 0 {
                continue;
            }
            let [y, x] = place.map(|place| place + 0.01 * (random.f32() - 0.5));
            found.push(Detection {
                class: *class,
                score: 0.9,
                bounding_box: [y - 0.1, x - 0.05, y + 0.1, x + 0.05],
                id: None,
            });
        }
        random.shuffle(&mut found);
        self.frame += 1;
        (found, Timestamp(self.frame * 40_000))
    }
}

#[divan::bench(args = [1, 10, OBJECTS, 100])]
fn update(bencher: Bencher, objects: usize) {
    let mut scene = Scene::new(objects);
    let mut tracker = Tracker::new();
    bencher
        .with_inputs(|| scene.next())
        .bench_local_refs(|(found, at)| tracker.update(found, *at));
}

fn main() {
    divan::main();
    let mut scene = Scene::new(OBJECTS);
    let mut tracker = Tracker::new();
    let mut times: Vec<Duration> = (0..FRAMES)
        .map(|_| {
            let (mut found, at) = scene.next();
            let start = Instant::now();
            tracker.update(&mut found, at);
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let (median, late) = (times[FRAMES / 2], times[FRAMES * 99 / 100]);
    println!(
        "{OBJECTS} objects: median {median:?} a frame, 99 % within {late:?}; expected at most {MOST:?}"
    );
    assert!(tracker.counts().found >= OBJECTS as u64);
    if median > MOST {
        std::process::exit(1);
    }
}
