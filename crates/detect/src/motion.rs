//! Whether a frame is worth a search: detection only when something moves.
//!
//! The picture is reduced to cells of mean brightness, which takes a small part of what a search
//! takes, and compared with the picture that was searched last. So slow movement adds up, and what
//! changed once does not ask for a search again.

use std::time::Duration;

use cv_picture::Rgb;
use serde::Deserialize;

/// When frames are searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchOn {
    /// Every frame that the detector has time for
    #[default]
    Always,
    /// Frames in which something has changed
    Motion,
}

/// How much has to change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sensitivity {
    /// Something large or near: for cameras that see leaves, rain or a screen
    Low,
    /// A person across a room
    #[default]
    Medium,
    /// Small or far things, also those of little contrast
    High,
}

impl Sensitivity {
    /// Levels of brightness, 0 to 255, by which a cell has to differ, and how many cells have to.
    fn limits(self) -> (i32, usize) {
        match self {
            Self::Low => (24, CELLS / 100),
            Self::Medium => (12, 3),
            Self::High => (6, 2),
        }
    }
}

/// What a user says about when to search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchWhen {
    /// Always, or when something moves.
    pub on: SearchOn,
    /// Longest time between two searches where nothing moves.
    pub at_least: Duration,
    /// How much has to change.
    pub sensitivity: Sensitivity,
}

impl Default for SearchWhen {
    fn default() -> Self {
        Self {
            on: SearchOn::Always,
            at_least: Duration::from_secs(5),
            sensitivity: Sensitivity::Medium,
        }
    }
}

/// Cells in a row and in a column.
const GRID: (usize, usize) = (64, 48);

const CELLS: usize = GRID.0 * GRID.1;

/// Pixels of a cell that are looked at, in each direction; their mean has little of the noise.
const SAMPLES: usize = 4;

/// Remembers the picture that was searched last.
#[derive(Debug)]
pub struct Motion {
    /// Brightness of each cell; empty before the first search.
    searched: Vec<u8>,
    present: Vec<u8>,
    /// The size of the pictures, which are not comparable if it changes.
    size: (usize, usize),
}

impl Default for Motion {
    fn default() -> Self {
        Self {
            searched: Vec::with_capacity(CELLS),
            present: Vec::with_capacity(CELLS),
            size: (0, 0),
        }
    }
}

impl Motion {
    /// Nothing is known of earlier pictures.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a picture differs from the one that was searched last; also if there was none.
    ///
    /// Call [`Self::searched`] if it is then searched.
    pub fn moved(&mut self, picture: Rgb<'_>, sensitivity: Sensitivity) -> bool {
        self.look(picture);
        if self.searched.len() != self.present.len() {
            return true;
        }
        let (least, cells) = sensitivity.limits();
        let changed = self.searched.iter().zip(&self.present);
        changed
            .filter(|(before, now)| (i32::from(**before) - i32::from(**now)).abs() >= least)
            .take(cells)
            .count()
            == cells
    }

    /// The picture that was looked at last is the one that others are compared with.
    pub fn searched(&mut self) {
        std::mem::swap(&mut self.searched, &mut self.present);
    }

    /// Forgets what was seen: the next picture is searched.
    pub fn forget(&mut self) {
        self.searched.clear();
    }

    /// Reduces a picture to its cells.
    fn look(&mut self, picture: Rgb<'_>) {
        let Rgb {
            pixels,
            width,
            height,
        } = picture;
        if self.size != (width, height) {
            self.size = (width, height);
            self.searched.clear();
        }
        self.present.clear();
        for row in 0..GRID.1 {
            for column in 0..GRID.0 {
                let mut sum = 0_u32;
                for y in 0..SAMPLES {
                    let y = (row * SAMPLES + y) * height / (GRID.1 * SAMPLES);
                    for x in 0..SAMPLES {
                        let x = (column * SAMPLES + x) * width / (GRID.0 * SAMPLES);
                        let at = (y * width + x) * 3;
                        // Twice green, red and blue: near enough to brightness.
                        if let Some(&[red, green, blue]) = pixels.get(at..at + 3) {
                            sum += u32::from(red) + 2 * u32::from(green) + u32::from(blue);
                        }
                    }
                }
                let mean = sum / (4 * SAMPLES * SAMPLES) as u32;
                self.present.push(u8::try_from(mean).unwrap_or(u8::MAX));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 640;
    const HEIGHT: usize = 480;

    /// A grey picture with noise, and a lighter square of a size at a place.
    fn picture(seed: u64, square: Option<(usize, usize, usize)>, lighter: u8) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut pixels = Vec::new();
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                let inside = square.is_some_and(|(left, top, size)| {
                    (left..left + size).contains(&x) && (top..top + size).contains(&y)
                });
                let grey = 100 + if inside { lighter } else { 0 };
                pixels.extend([0; 3].map(|_: u8| grey - 8 + random.u8(0..=16)));
            }
        }
        pixels
    }

    fn moved(motion: &mut Motion, pixels: &[u8], sensitivity: Sensitivity) -> bool {
        let picture = Rgb {
            pixels,
            width: WIDTH,
            height: HEIGHT,
        };
        motion.moved(picture, sensitivity)
    }

    #[test]
    fn the_noise_of_a_camera_is_no_motion() {
        let mut motion = Motion::new();
        assert!(moved(&mut motion, &picture(0, None, 0), Sensitivity::High));
        motion.searched();
        for seed in 1..8 {
            let picture = picture(seed, None, 0);
            for sensitivity in [Sensitivity::Low, Sensitivity::Medium, Sensitivity::High] {
                assert!(
                    !moved(&mut motion, &picture, sensitivity),
                    "{sensitivity:?}"
                );
            }
        }
    }

    #[test]
    fn what_moves_is_seen_by_its_size_and_contrast() {
        use Sensitivity::{High, Low, Medium};
        for (size, lighter, expected) in [
            (12, 10, [false, false, false]),
            (24, 9, [false, false, true]),
            (24, 40, [false, true, true]),
            (80, 40, [true, true, true]),
        ] {
            let mut motion = Motion::new();
            moved(&mut motion, &picture(0, None, 0), High);
            motion.searched();
            let present = picture(1, Some((203, 117, size)), lighter);
            let seen = [Low, Medium, High].map(|how| moved(&mut motion, &present, how));
            assert_eq!(seen, expected, "{size} pixels, {lighter} lighter");
        }
    }

    #[test]
    fn slow_movement_adds_up_and_is_seen_once() {
        let mut motion = Motion::new();
        moved(
            &mut motion,
            &picture(0, Some((100, 100, 40)), 30),
            Sensitivity::Medium,
        );
        motion.searched();
        let first = (1..40).find(|&step| {
            let place = Some((100 + step, 100, 40));
            moved(
                &mut motion,
                &picture(step as u64, place, 30),
                Sensitivity::Medium,
            )
        });
        assert!(matches!(first, Some(2..=12)), "{first:?}");
        motion.searched();
        let place = Some((100 + first.unwrap_or_default(), 100, 40));
        assert!(!moved(
            &mut motion,
            &picture(99, place, 30),
            Sensitivity::Medium
        ));
        motion.forget();
        assert!(moved(
            &mut motion,
            &picture(100, place, 30),
            Sensitivity::Medium
        ));
    }

    #[test]
    fn pictures_of_another_size_are_searched() {
        let mut motion = Motion::new();
        moved(&mut motion, &picture(0, None, 0), Sensitivity::Low);
        motion.searched();
        let pixels = vec![100; 320 * 240 * 3];
        let small = Rgb {
            pixels: &pixels,
            width: 320,
            height: 240,
        };
        assert!(motion.moved(small, Sensitivity::Low));
    }
}
