//! Outputs of a model that ends in `TFLite_Detection_PostProcess` or the like: boxes, classes,
//! scores and how many of them are valid.

use super::boxes::cut;
use super::limits::Limits;
use super::reader::{Reader, class_of};
use crate::detection::Detection;

/// Scores a little above 1 come from quantisation.
const SCORE_SLACK: f32 = 0.01;

/// The four outputs.
#[derive(Clone, Copy, Debug)]
pub struct Outputs<'a> {
    /// Rows of ymin, xmin, ymax, xmax as fractions of the picture.
    pub boxes: Reader<'a>,
    /// Class numbers.
    pub classes: Reader<'a>,
    /// 0 to 1.
    pub scores: Reader<'a>,
    /// How many rows are valid; all, if the model does not say.
    pub count: Option<Reader<'a>>,
    /// Rows that there are.
    pub rows: usize,
}

/// Fills `found` with the best `max` detections, highest score first.
pub fn read(
    outputs: &Outputs<'_>,
    offset: i32,
    limits: &Limits,
    max: usize,
    found: &mut Vec<Detection>,
) {
    let count = match outputs.count.and_then(|count| count.get(0)) {
        // A cast saturates, and makes 0 of what is no number.
        Some(count) => (count.round() as usize).min(outputs.rows),
        None => outputs.rows,
    };
    found.extend((0..count).filter_map(|row| {
        let score = outputs.scores.get(row)?;
        let class = class_of(outputs.classes.get(row)?, offset)?;
        if !(0.0..=1.0 + SCORE_SLACK).contains(&score) || score < limits.min_score(class) {
            return None;
        }
        let bounding_box = outputs.boxes.quad(row)?;
        if !bounding_box.iter().all(|corner| corner.is_finite()) {
            return None;
        }
        Some(Detection {
            class,
            score: score.min(1.0),
            bounding_box,
            id: None,
        })
    }));
    found.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
    cut(found);
    found.truncate(max);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::TensorRef;

    fn read_all(
        boxes: &[f32],
        classes: &[f32],
        scores: &[f32],
        count: f32,
        offset: i32,
    ) -> Vec<Detection> {
        let reader = |values| Reader::new(TensorRef::F32(values), None);
        let mut found = Vec::new();
        let count = [count];
        let outputs = Outputs {
            boxes: reader(boxes),
            classes: reader(classes),
            scores: reader(scores),
            count: Some(Reader::new(TensorRef::F32(&count), None)),
            rows: classes.len(),
        };
        read(&outputs, offset, &Limits::new(0.5), 10, &mut found);
        found
    }

    const BOXES: [f32; 8] = [0.1, 0.1, 0.4, 0.4, -0.5, 0.5, 0.9, 1.5];

    #[test]
    fn rows_become_detections_by_falling_score() {
        let found = read_all(&BOXES, &[0.0, 16.0], &[0.6, 0.9], 2.0, 1);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].class, found[0].score), (17, 0.9));
        assert_eq!(found[0].bounding_box, [0.0, 0.5, 0.9, 1.0]);
        assert_eq!(found[1].class, 1);
    }

    #[test]
    fn only_as_many_rows_as_the_model_says() {
        let scores = [0.6, 0.9];
        let count = |count| read_all(&BOXES, &[0.0; 2], &scores, count, 0).len();
        assert_eq!(count(1.0), 1);
        assert_eq!(count(0.0), 0);
        assert_eq!(count(-3.0), 0);
        assert_eq!(count(f32::NAN), 0);
        assert_eq!(count(1e30), 2);
    }

    #[test]
    fn rows_that_make_no_sense_are_skipped() {
        let none = |boxes: &[f32], class, score| {
            assert_eq!(read_all(boxes, &[class], &[score], 1.0, 0), []);
        };
        none(&BOXES, f32::NAN, 0.9);
        none(&BOXES, -1.0, 0.9);
        none(&BOXES, 1e9, 0.9);
        none(&BOXES, 0.0, f32::NAN);
        none(&BOXES, 0.0, 7.0);
        none(&BOXES, 0.0, 0.4);
        none(&[f32::NAN; 4], 0.0, 0.9);
        none(&[0.5, 0.5, 0.1, 0.1], 0.0, 0.9);
        none(&[0.5, 0.5], 0.0, 0.9);
    }
}
