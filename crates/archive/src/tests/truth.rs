//! The events are exactly those of the script that composed the scene.

use std::sync::Arc;

use cv_protocol::Timestamp;

use super::scene::{Actor, View, play, us};
use super::{Bench, found, frame};
use crate::disk::RealDisk;
use crate::events::{Change, Event};
use crate::rules::{Mask, Rules, Stationary, Zone};
use crate::segment::Reader;

fn bench(rules: Rules) -> (Bench, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Bench::new(Arc::new(RealDisk), dir.path(), rules), dir)
}

fn walker(label: &'static str, from_s: f32, to_s: f32, y: f32) -> Actor {
    Actor {
        label,
        way: vec![(from_s, -0.05, y), (to_s, 1.05, y)],
        size: (0.3, 0.12),
    }
}

/// Enters, stops, crosses a zone, overlaps, leaves: with everything that a yard has.
fn yard() -> Vec<Actor> {
    vec![
        walker("person", 3.0, 15.0, 0.9),
        // Comes, stands for six seconds at the gate, and goes back.
        Actor {
            label: "person",
            way: vec![
                (8.0, 1.05, 0.6),
                (14.0, 0.5, 0.6),
                (20.0, 0.5, 0.6),
                (26.0, 1.05, 0.6),
            ],
            size: (0.25, 0.1),
        },
        // Passes before and behind each other, the farther one hidden for more than a second.
        walker("dog", 30.0, 44.0, 0.8),
        Actor {
            label: "dog",
            way: vec![(30.0, 1.05, 0.82), (44.0, -0.05, 0.82)],
            size: (0.3, 0.12),
        },
        walker("car", 35.0, 39.0, 0.45),
        // Appears in the middle, as out of a door.
        Actor {
            label: "person",
            way: vec![(46.0, 0.3, 0.7), (52.0, 0.8, 0.7), (54.0, 0.8, 0.72)],
            size: (0.3, 0.12),
        },
    ]
}

fn yard_rules() -> Rules {
    Rules {
        zones: vec![
            Zone {
                name: "gate".into(),
                points: vec![[0.4, 0.5], [0.6, 0.5], [0.6, 0.65], [0.4, 0.65]],
                labels: Vec::new(),
            },
            Zone {
                name: "lawn".into(),
                points: vec![[0.0, 0.85], [1.0, 0.85], [1.0, 1.0], [0.0, 1.0]],
                labels: vec!["person".into()],
            },
        ],
        ..Rules::default()
    }
}

const HALF_S: f32 = 0.5;

fn seconds(at: Timestamp) -> f32 {
    (at.0 as i64 - us(0.0) as i64) as f32 / 1e6
}

/// Compares with the script. A walker is only visible once enough of it is in the picture, which
/// the half second includes.
fn assert_truth(events: &[Event], actors: &[Actor], tolerance_of: impl Fn(&Actor, bool) -> f32) {
    let told: Vec<_> = events
        .iter()
        .map(|e| (&*e.label, seconds(e.start_us), e.end_us.map(seconds)))
        .collect();
    assert_eq!(events.len(), actors.len(), "{told:?}");
    let mut free: Vec<&Event> = events.iter().collect();
    for actor in actors {
        let place = free
            .iter()
            .position(|event| {
                event.label == actor.label
                    && (seconds(event.start_us) - actor.enters()).abs() <= tolerance_of(actor, true)
                    && event.end_us.is_some_and(|end| {
                        (seconds(end) - actor.leaves()).abs() <= tolerance_of(actor, false)
                    })
            })
            .unwrap_or_else(|| panic!("no event for {actor:?} in {told:?}"));
        free.remove(place);
    }
}

fn run(view: &View) -> (Bench, tempfile::TempDir) {
    let (mut bench, dir) = bench(yard_rules());
    play(&mut bench, &yard(), view);
    (bench, dir)
}

#[test]
fn events_are_those_of_the_script() {
    for detect_fps in [15.0, 5.0] {
        let view = View {
            detect_fps,
            ..View::default()
        };
        let (bench, _dir) = run(&view);
        let events = bench.events();
        assert_truth(&events, &yard(), |_, _| HALF_S);
        let zones: Vec<_> = events.iter().map(|e| e.zones.join("+")).collect();
        assert_eq!(zones, ["lawn", "gate", "", "", "", ""], "at {detect_fps}");
        // Each is told once as started and once as ended, in this order.
        for event in &events {
            let told: Vec<_> = bench
                .heard
                .iter()
                .filter(|(_, e)| e.id == event.id)
                .map(|(change, _)| *change)
                .collect();
            assert_eq!(told.first(), Some(&Change::Start));
            assert_eq!(told.last(), Some(&Change::End));
            assert_eq!(told.iter().filter(|c| **c != Change::Update).count(), 2);
        }
    }
}

#[test]
fn a_detector_that_misses_a_fifth_makes_no_event_more() {
    let view = View {
        missed: 0.2,
        jitter: 0.06,
        ..View::default()
    };
    assert_truth(&run(&view).0.events(), &yard(), |_, _| 0.6);
}

#[test]
fn a_link_that_drops_for_five_seconds_neither_ends_nor_doubles_an_event() {
    let view = View {
        link_down: Some((10.0, 15.0)),
        detect_fps: 5.0,
        ..View::default()
    };
    assert_truth(&run(&view).0.events(), &yard(), |actor, start| {
        let at = if start {
            actor.enters()
        } else {
            actor.leaves()
        };
        // Nobody can know better than when it was last seen.
        if (10.0..15.5).contains(&at) {
            5.5
        } else {
            HALF_S
        }
    });
}

#[test]
fn an_agent_that_starts_anew_goes_on_with_the_same_events() {
    let view = View {
        restart: Some((16.0, 18.5)),
        detect_fps: 5.0,
        ..View::default()
    };
    assert_truth(&run(&view).0.events(), &yard(), |_, _| HALF_S);
    // While two objects move.
    let view = View {
        restart: Some((10.0, 12.0)),
        ..View::default()
    };
    assert_truth(&run(&view).0.events(), &yard(), |_, _| HALF_S);
}

#[test]
fn footage_has_pre_roll_and_post_roll_and_the_boxes_of_its_frames() {
    let (bench, dir) = run(&View::default());
    let events = bench.events();
    let segments = bench.index.all_segments().unwrap();
    let disk: Arc<dyn crate::disk::Disk> = Arc::new(RealDisk);
    let mut frames = Vec::new();
    let mut boxes = Vec::new();
    for segment in segments {
        let reader = Reader::open(&disk, dir.path(), segment).unwrap();
        for record in reader.records() {
            let stored = reader.frame(record).unwrap();
            assert_eq!(stored.jpeg, super::picture(record.seq, 500));
            frames.push(*record);
        }
        boxes.extend(reader.found().unwrap());
    }
    assert!(frames.windows(2).all(|pair| pair[0].at_us < pair[1].at_us));
    for event in &events {
        let (from, to) = event.footage(5_000_000, 5_000_000);
        let from = from.0.max(us(0.0));
        let expected = (from..=to.0.min(us(60.0) - 1)).step_by(66_667).count();
        let stored = frames
            .iter()
            .filter(|f| (from..=to.0).contains(&f.at_us.0))
            .count();
        assert!(
            stored + 3 >= expected,
            "{stored} of {expected} frames of {event:?}"
        );
        let snapshot = dir.path().join(crate::segment::snapshot_path(
            "front",
            event.start_us,
            &event.id,
        ));
        let best = frames.iter().find(|f| f.at_us == event.best_us).unwrap();
        assert_eq!(
            std::fs::read(snapshot).unwrap(),
            super::picture(best.seq, 500)
        );
    }
    // Every search of the recorded time is there, tied to its frame.
    let searched = frames.iter().filter(|f| {
        boxes.iter().any(|found| {
            (found.detections.seq, found.detections.captured_us) == (f.seq, f.captured_us)
        })
    });
    assert!(searched.count() + 10 >= frames.len());
    // What lies far from any event was not recorded.
    assert!(frames.iter().all(|f| seconds(f.at_us) < 59.5));
}

#[test]
fn an_event_needs_n_of_m_sights() {
    let rules = Rules {
        seen: 3,
        of: 5,
        ..Rules::default()
    };
    let sight = |id| cv_protocol::Object {
        label: "cat".into(),
        score: 0.9,
        bounding_box: [0.4, 0.4, 0.6, 0.5],
        id: Some(id),
    };
    // Seen in every third search: never 3 of 5.
    let (mut bench, _dir) = bench(rules);
    for n in 0..30_u64 {
        let at = us(n as f32 / 5.0);
        bench.frame(frame(n, at, 100));
        let objects = if n % 3 == 0 {
            vec![sight(1)]
        } else {
            Vec::new()
        };
        bench.found(found(n, at, objects));
    }
    bench.flush(us(6.0));
    assert!(bench.events().is_empty());
    // In three of five: the event starts with the first of them.
    for (n, seen) in [(40, true), (41, false), (42, true), (43, false), (44, true)] {
        let at = us(n as f32 / 5.0);
        bench.frame(frame(n, at, 100));
        bench.found(found(n, at, if seen { vec![sight(2)] } else { Vec::new() }));
    }
    bench.flush(us(9.0));
    assert_eq!(seconds(bench.events()[0].start_us), 8.0);
}

#[test]
fn what_rests_ends_its_event_and_starts_another_when_it_moves() {
    let rules = Rules {
        stationary: Stationary {
            after_s: 5.0,
            end_after_s: 10.0,
        },
        ..Rules::default()
    };
    let car = Actor {
        label: "car",
        way: vec![
            (2.0, -0.1, 0.7),
            (6.0, 0.5, 0.7),
            (60.0, 0.5, 0.7),
            (64.0, 1.1, 0.7),
        ],
        size: (0.25, 0.3),
    };
    let view = View {
        seconds: 75.0,
        detect_fps: 5.0,
        ..View::default()
    };
    let (mut bench, _dir) = bench(rules);
    play(&mut bench, &[car], &view);
    let spans: Vec<_> = bench
        .events()
        .iter()
        .map(|e| {
            (
                seconds(e.start_us),
                seconds(e.end_us.unwrap()),
                e.stationary,
            )
        })
        .collect();
    assert_eq!(spans.len(), 2, "{spans:?}");
    let (first, second) = (spans[0], spans[1]);
    assert!((first.0 - 2.0).abs() < HALF_S, "{spans:?}");
    // Six seconds of driving, five until it rests, ten of rest.
    assert!((first.1 - 21.0).abs() < 1.0 && first.2, "{spans:?}");
    assert!((second.0 - 60.0).abs() < 1.0, "{spans:?}");
    assert!((second.1 - 64.0).abs() < HALF_S, "{spans:?}");
}

#[test]
fn labels_sizes_masks_and_zones_choose() {
    let actors = [
        walker("person", 2.0, 10.0, 0.9),
        walker("person", 2.0, 10.0, 0.5),
        walker("cat", 2.0, 10.0, 0.7),
    ];
    let starts = |rules: Rules| {
        let (mut bench, _dir) = bench(rules);
        let view = View {
            seconds: 16.0,
            ..View::default()
        };
        play(&mut bench, &actors, &view);
        bench.events().len()
    };
    let area = |points: Vec<[f32; 2]>| points;
    let lower = area(vec![[0.0, 0.8], [1.0, 0.8], [1.0, 1.0], [0.0, 1.0]]);
    assert_eq!(starts(Rules::default()), 3);
    let labels = vec!["person".into()];
    assert_eq!(
        starts(Rules {
            labels,
            ..Rules::default()
        }),
        2
    );
    assert_eq!(
        starts(Rules {
            min_area: 0.2,
            ..Rules::default()
        }),
        0
    );
    assert_eq!(
        starts(Rules {
            masks: vec![Mask {
                points: lower.clone()
            }],
            ..Rules::default()
        }),
        2
    );
    let zones = vec![Zone {
        name: "lower".into(),
        points: lower,
        labels: Vec::new(),
    }];
    assert_eq!(
        starts(Rules {
            zones,
            zones_only: true,
            ..Rules::default()
        }),
        1
    );
}
