//! Polygons on the picture.

use serde::{Deserialize, Serialize};

use super::error::RulesError;

/// Most corners of one polygon.
pub const MAX_POINTS: usize = 64;

/// A named area.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// Its name, as events tell it.
    pub name: String,
    /// Corners `[x, y]`, fractions of the picture from its top left corner.
    pub points: Vec<[f32; 2]>,
    /// Labels that the zone is for; empty: all that make events.
    #[serde(default)]
    pub labels: Vec<String>,
}

impl Zone {
    /// Whether an object stands in the zone: the bottom centre of its box decides.
    #[must_use]
    pub fn holds(&self, label: &str, bounding_box: &[f32; 4]) -> bool {
        (self.labels.is_empty() || self.labels.iter().any(|wanted| wanted == label))
            && contains(&self.points, bottom_centre(bounding_box))
    }
}

/// An area where objects are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    /// Corners `[x, y]`, as in [`Zone::points`].
    pub points: Vec<[f32; 2]>,
}

impl Mask {
    /// Whether an object stands in the masked area: the bottom centre of its box decides.
    #[must_use]
    pub fn hides(&self, bounding_box: &[f32; 4]) -> bool {
        contains(&self.points, bottom_centre(bounding_box))
    }
}

/// Where the object of a box (ymin, xmin, ymax, xmax) meets the ground: `[x, y]` within the picture.
#[must_use]
pub fn bottom_centre(&[_, xmin, ymax, xmax]: &[f32; 4]) -> [f32; 2] {
    [
        f32::midpoint(xmin, xmax).clamp(0.0, 1.0),
        ymax.clamp(0.0, 1.0),
    ]
}

/// Points on the picture's own edge count as inside when the polygon reaches it: a person whose
/// feet are cut off by the picture stands in a zone that ends there.
fn contains(points: &[[f32; 2]], [x, y]: [f32; 2]) -> bool {
    // Half-open tests leave out the right and lower edge, so look from a hair inside.
    const INSIDE: f32 = 1.0 - 1e-6;
    let (x, y) = (x.min(INSIDE), y.min(INSIDE));
    let mut inside = false;
    let Some(&last) = points.last() else {
        return false;
    };
    let mut previous = last;
    for &corner in points {
        let ([x1, y1], [x2, y2]) = (previous, corner);
        if (y1 > y) != (y2 > y) && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1 {
            inside = !inside;
        }
        previous = corner;
    }
    inside
}

pub(super) fn check_points(what: &str, points: &[[f32; 2]]) -> Result<(), RulesError> {
    if !(3..=MAX_POINTS).contains(&points.len()) {
        return Err(RulesError(format!(
            "{what} has {} corners, expected 3 to {MAX_POINTS}",
            points.len()
        )));
    }
    match points
        .iter()
        .flatten()
        .find(|value| !(0.0..=1.0).contains(*value))
    {
        Some(value) => Err(RulesError(format!(
            "{what} has a corner at {value}, expected fractions of the picture, 0 to 1"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottom_centre_decides() {
        let zone = Zone {
            name: "lawn".into(),
            points: vec![[0.0, 0.5], [1.0, 0.5], [1.0, 1.0], [0.0, 1.0]],
            labels: vec!["dog".into()],
        };
        assert!(zone.holds("dog", &[0.1, 0.4, 0.6, 0.6]));
        assert!(!zone.holds("dog", &[0.1, 0.4, 0.4, 0.6]));
        assert!(!zone.holds("cat", &[0.1, 0.4, 0.6, 0.6]));
        // Feet below the picture.
        assert!(zone.holds("dog", &[0.5, 0.4, 1.1, 0.6]));
    }

    #[test]
    fn a_hollow_is_outside() {
        let u = [
            [0.1, 0.1],
            [0.3, 0.1],
            [0.3, 0.7],
            [0.7, 0.7],
            [0.7, 0.1],
            [0.9, 0.1],
            [0.9, 0.9],
            [0.1, 0.9],
        ];
        assert!(contains(&u, [0.2, 0.3]));
        assert!(contains(&u, [0.5, 0.8]));
        assert!(!contains(&u, [0.5, 0.3]));
    }
}
