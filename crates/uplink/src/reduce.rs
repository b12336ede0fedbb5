//! When pictures are made smaller because the link cannot carry the camera's own.
//!
//! Each acknowledgement says how long the link needed for how many bytes. From that follows how
//! many pictures of each size it carries in a second: below two of the present size, a smaller one
//! is chosen; where it would carry four of a larger size, that one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cv_flow::Delivery;
use cv_picture::Reduction;

/// From the camera's own picture downwards, with the share of its bytes that is expected as long
/// as none has been made. The shares depend on how well the camera compresses: these lie between
/// a webcam's and those of a clip that is compressed hard.
const LEVELS: [(Option<Reduction>, f64); 7] = [
    (None, 1.0),
    (reduction(0, 45), 0.6),
    (reduction(1, 60), 0.35),
    (reduction(1, 35), 0.25),
    (reduction(2, 50), 0.12),
    (reduction(2, 30), 0.09),
    (reduction(3, 40), 0.05),
];

const fn reduction(halvings: u32, quality: u8) -> Option<Reduction> {
    Some(Reduction { halvings, quality })
}

/// Fewer pictures per second than this are too few.
const TOO_FEW: f64 = 2.0;
/// The size chosen then is one of which the link carries so many.
const ENOUGH: f64 = 3.0;
/// A larger size is chosen when the link carries so many of it. Above `ENOUGH`, or two sizes
/// would be taken in turns.
const PLENTY: f64 = 4.0;

/// Deliveries that the link's speed is taken from: the last ones, as far as they are this recent.
const RECENT: Duration = Duration::from_secs(2);
/// But at least so many: one picture may take longer than that.
const FEWEST: usize = 2;
/// How long a size is kept before a larger one is tried.
const SETTLING: Duration = Duration::from_secs(1);

/// Chooses the size of pictures by what the link carries.
#[derive(Debug)]
pub struct Reducer {
    level: usize,
    since: Option<Instant>,
    /// Bytes of the latest picture of each level.
    sizes: [Option<f64>; LEVELS.len()],
    deliveries: VecDeque<(Instant, Delivery)>,
}

impl Reducer {
    /// Starts with the camera's own pictures.
    pub fn new() -> Self {
        Self {
            level: 0,
            since: None,
            sizes: [None; LEVELS.len()],
            deliveries: VecDeque::new(),
        }
    }

    /// How the next picture is to be reduced.
    pub fn reduction(&self) -> Option<Reduction> {
        LEVELS.get(self.level).and_then(|&(reduction, _)| reduction)
    }

    /// A picture of the camera has so many bytes.
    pub fn captured(&mut self, bytes: usize) {
        self.sizes[0] = Some(bytes as f64);
    }

    /// The picture made of it has so many.
    pub fn reduced(&mut self, bytes: usize) {
        if let Some(size) = self.sizes.get_mut(self.level) {
            *size = Some(bytes as f64);
        }
    }

    /// Nothing came through for long: begin with the smallest when the connection is back.
    pub fn stalled(&mut self) {
        self.deliveries.clear();
        self.change(LEVELS.len() - 1, None);
    }

    /// Whether pictures can be made smaller still.
    pub fn can_shrink(&self) -> bool {
        self.level < LEVELS.len() - 1
    }

    /// A picture was given up on its way: the link has become far slower than was known. Pictures
    /// grow again from the smallest, by what is measured from now on.
    pub fn gave_up(&mut self, now: Instant) {
        self.deliveries.clear();
        self.change(LEVELS.len() - 1, Some(now));
    }

    /// An acknowledgement came `now`. Returns whether the size changes.
    pub fn delivered(&mut self, delivery: Delivery, now: Instant) -> bool {
        self.deliveries.push_back((now, delivery));
        while self.deliveries.len() > FEWEST
            && self
                .deliveries
                .front()
                .is_some_and(|&(at, _)| now - at > RECENT)
        {
            self.deliveries.pop_front();
        }
        let bytes: usize = self.deliveries.iter().map(|(_, d)| d.bytes).sum();
        let took: Duration = self.deliveries.iter().map(|(_, d)| d.took).sum();
        let speed = bytes as f64 / took.as_secs_f64().max(1e-6);

        let carries = |level: usize| speed / self.expected(level).max(1.0);
        let settled = self.since.is_none_or(|since| now - since >= SETTLING);
        let wanted = if carries(self.level) < TOO_FEW {
            (self.level..LEVELS.len())
                .find(|&level| carries(level) >= ENOUGH)
                .unwrap_or(LEVELS.len() - 1)
        } else if settled {
            (0..self.level)
                .find(|&level| carries(level) >= PLENTY)
                .unwrap_or(self.level)
        } else {
            self.level
        };
        let changes = wanted != self.level;
        if changes {
            self.change(wanted, Some(now));
        }
        changes
    }

    fn change(&mut self, level: usize, now: Option<Instant>) {
        self.level = level;
        self.since = now;
    }

    /// Bytes of a picture of this level, measured or guessed from the camera's own.
    fn expected(&self, level: usize) -> f64 {
        let own = self.sizes[0].unwrap_or(0.0);
        self.sizes
            .get(level)
            .copied()
            .flatten()
            .unwrap_or_else(|| own * LEVELS.get(level).map_or(1.0, |&(_, share)| share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends pictures of `own` bytes over a link of `speed` bytes a second for `seconds`, one after
    /// the other but at most 20 a second. Returns pictures a second and changes of size.
    fn run(
        reducer: &mut Reducer,
        start: &mut Instant,
        own: f64,
        speed: f64,
        seconds: f64,
    ) -> (f64, u32) {
        let (mut time, mut pictures, mut changes) = (0.0, 0, 0);
        while time < seconds {
            reducer.captured(own as usize);
            let share = LEVELS[reducer.level].1;
            if reducer.level > 0 {
                // Not quite what was guessed.
                reducer.reduced((own * share * 1.3) as usize);
            }
            let bytes = reducer.sizes[reducer.level].unwrap();
            let took = bytes / speed + 0.002;
            time += took.max(0.05);
            pictures += 1;
            let delivery = Delivery {
                bytes: bytes as usize,
                took: Duration::from_secs_f64(took),
                round_trip: Duration::from_secs_f64(took),
            };
            let at = *start + Duration::from_secs_f64(time);
            changes += u32::from(reducer.delivered(delivery, at));
        }
        *start += Duration::from_secs_f64(time);
        (f64::from(pictures) / time, changes)
    }

    #[test]
    fn a_link_that_carries_two_a_second_is_left_alone() {
        let mut start = Instant::now();
        let mut reducer = Reducer::new();
        let (fps, changes) = run(&mut reducer, &mut start, 40_000.0, 100_000.0, 60.0);
        assert_eq!((changes, reducer.reduction()), (0, None));
        assert!(fps >= 2.0, "{fps}");
    }

    #[test]
    fn at_a_fiftieth_pictures_shrink_and_grow_again_within_ten_seconds() {
        let mut start = Instant::now();
        let mut reducer = Reducer::new();
        run(&mut reducer, &mut start, 40_000.0, 1_200_000.0, 5.0);
        assert_eq!(reducer.reduction(), None);

        run(&mut reducer, &mut start, 40_000.0, 24_000.0, 10.0);
        let (fps, changes) = run(&mut reducer, &mut start, 40_000.0, 24_000.0, 60.0);
        assert!(fps >= 2.0, "{fps}");
        assert!(changes <= 2, "{changes} changes on a steady link");
        assert!(reducer.reduction().is_some());

        run(&mut reducer, &mut start, 40_000.0, 1_200_000.0, 8.0);
        assert_eq!(reducer.reduction(), None);
    }

    #[test]
    fn after_a_picture_was_given_up_the_smallest_comes_first_and_what_fits_soon() {
        let mut start = Instant::now();
        let mut reducer = Reducer::new();
        run(&mut reducer, &mut start, 40_000.0, 1_200_000.0, 5.0);
        assert!(reducer.can_shrink());
        reducer.gave_up(start);
        assert_eq!(reducer.reduction(), LEVELS[LEVELS.len() - 1].0);
        assert!(!reducer.can_shrink());
        // It was only a pause.
        run(&mut reducer, &mut start, 40_000.0, 1_200_000.0, 1.5);
        assert_eq!(reducer.reduction(), None);
    }

    #[test]
    fn after_a_stall_the_smallest_comes_first() {
        let mut start = Instant::now();
        let mut reducer = Reducer::new();
        reducer.captured(400_000);
        reducer.stalled();
        assert_eq!(reducer.reduction(), LEVELS[LEVELS.len() - 1].0);
        run(&mut reducer, &mut start, 400_000.0, 3_000_000.0, 10.0);
        assert_eq!(reducer.reduction(), None);
    }
}
