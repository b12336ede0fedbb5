//! A scene that is composed of objects with known ways, and what a board would report of it.

use cv_protocol::Object;

use super::{Bench, START, found, frame};

/// One object of the script. Times in seconds from the start of the scene.
#[derive(Clone, Debug)]
pub struct Actor {
    pub label: &'static str,
    /// When it is where: (seconds, x of the bottom centre, y of it). Straight in between; it is
    /// in the picture from the first to the last.
    pub way: Vec<(f32, f32, f32)>,
    /// Height and width of its box.
    pub size: (f32, f32),
}

impl Actor {
    pub fn enters(&self) -> f32 {
        self.way.first().unwrap().0
    }

    pub fn leaves(&self) -> f32 {
        self.way.last().unwrap().0
    }

    /// Its box, ymin, xmin, ymax, xmax, cut at the edges of the picture.
    pub fn box_at(&self, seconds: f32) -> Option<[f32; 4]> {
        let pair = self
            .way
            .windows(2)
            .find(|pair| (pair[0].0..pair[1].0).contains(&seconds))?;
        let ((t1, x1, y1), (t2, x2, y2)) = (pair[0], pair[1]);
        let part = (seconds - t1) / (t2 - t1);
        let (x, y) = (x1 + (x2 - x1) * part, y1 + (y2 - y1) * part);
        let (height, width) = self.size;
        let cut = |v: f32| v.clamp(0.0, 1.0);
        Some([
            cut(y - height),
            cut(x - width / 2.0),
            cut(y),
            cut(x + width / 2.0),
        ])
    }
}

/// How the board sees the scene.
#[derive(Clone, Debug)]
pub struct View {
    pub seconds: f32,
    pub frame_fps: f32,
    pub detect_fps: f32,
    /// Nothing arrives between these times; the tracker goes on.
    pub link_down: Option<(f32, f32)>,
    /// The agent is away between these times; ids begin at 0 again afterwards.
    pub restart: Option<(f32, f32)>,
    /// Part of the sights that the detector misses.
    pub missed: f32,
    /// Largest error of a box's edge, in fractions of its size.
    pub jitter: f32,
}

impl Default for View {
    fn default() -> Self {
        Self {
            seconds: 60.0,
            frame_fps: 15.0,
            detect_fps: 15.0,
            link_down: None,
            restart: None,
            missed: 0.0,
            jitter: 0.02,
        }
    }
}

fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let height = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let width = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let area = |c: &[f32; 4]| (c[2] - c[0]) * (c[3] - c[1]);
    height * width / (area(a) + area(b) - height * width).max(1e-6)
}

/// What an agent's detector and tracker make of the actors: suppression hides the smaller of two
/// that overlap much, and an object that was not seen for a second comes back with another id.
struct Board {
    next_id: u64,
    /// For each actor: its id and when it was last seen.
    ids: Vec<Option<(u64, f32)>>,
    random: fastrand::Rng,
}

const TRACKER_FORGETS_S: f32 = 1.0;

impl Board {
    fn new(actors: usize) -> Self {
        Self {
            next_id: 0,
            ids: vec![None; actors],
            random: fastrand::Rng::with_seed(7),
        }
    }

    fn restart(&mut self) {
        self.next_id = 0;
        self.ids.fill(None);
    }

    fn search(&mut self, actors: &[Actor], view: &View, seconds: f32) -> Vec<Object> {
        let mut objects: Vec<(usize, Object)> = Vec::new();
        let mut seen: Vec<_> = actors
            .iter()
            .enumerate()
            .filter_map(|(number, actor)| Some((number, actor, actor.box_at(seconds)?)))
            .collect();
        // The nearer ones first: they hide the others.
        seen.sort_by(|a, b| b.2[2].total_cmp(&a.2[2]));
        for (number, actor, place) in seen {
            let hidden = objects
                .iter()
                .any(|(_, o)| o.label == actor.label && overlap(&o.bounding_box, &place) > 0.5);
            if hidden || self.random.f32() < view.missed {
                continue;
            }
            let mut bounding_box = place;
            for edge in &mut bounding_box {
                let error = (self.random.f32() - 0.5) * 2.0 * view.jitter * actor.size.0;
                *edge = (*edge + error).clamp(0.0, 1.0);
            }
            let id = match self.ids[number] {
                Some((id, last)) if seconds - last <= TRACKER_FORGETS_S => id,
                _ => {
                    self.next_id += 1;
                    self.next_id - 1
                }
            };
            self.ids[number] = Some((id, seconds));
            objects.push((
                number,
                Object {
                    label: actor.label.into(),
                    score: 0.6 + 0.3 * self.random.f32(),
                    bounding_box,
                    id: Some(id),
                },
            ));
        }
        objects.into_iter().map(|(_, object)| object).collect()
    }
}

fn within(span: Option<(f32, f32)>, seconds: f32) -> bool {
    span.is_some_and(|(from, to)| (from..to).contains(&seconds))
}

pub fn us(seconds: f32) -> u64 {
    START + (f64::from(seconds) * 1e6) as u64
}

/// Plays the scene to a recorder.
pub fn play(bench: &mut Bench, actors: &[Actor], view: &View) {
    let mut board = Board::new(actors.len());
    let (mut next_search, mut next_flush) = (0.0_f32, 0.5_f32);
    let mut was_away = false;
    let mut seq = 0;
    for number in 0..(view.seconds * view.frame_fps) as u64 {
        let seconds = number as f32 / view.frame_fps;
        let away = within(view.restart, seconds);
        if was_away && !away {
            board.restart();
            seq = 0;
            bench
                .core
                .take(crate::recorder::Input::NewSession, bench.elapsed);
        }
        was_away = away;
        let arrives = !away && !within(view.link_down, seconds);
        if arrives {
            bench.frame(frame(seq, us(seconds), 500));
        }
        if !away && seconds >= next_search {
            let objects = board.search(actors, view, seconds);
            if arrives {
                bench.found(found(seq, us(seconds), objects));
            }
            next_search += 1.0 / view.detect_fps;
        }
        seq += 1;
        if seconds >= next_flush {
            bench.elapsed += std::time::Duration::from_millis(500);
            bench.flush(us(seconds));
            next_flush += 0.5;
        }
    }
    bench.flush(us(view.seconds));
}
