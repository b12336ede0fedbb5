//! Raw SSD heads: box encodings relative to anchors and a score per anchor and class.

use std::cmp::Ordering;

use super::anchors::Anchor;
use super::boxes::cut;
use super::limits::Limits;
use super::nms;
use super::reader::{Reader, class_of};
use crate::detection::Detection;
use crate::engine::TensorRef;

/// Most candidates that suppression looks at, the best ones; bounds its cost.
pub const MAX_CANDIDATES: usize = 1000;

/// Candidates that are collected before the worst are dropped.
const COLLECTED: usize = 4 * MAX_CANDIDATES;

/// What turns a class prediction into a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The model gives scores already.
    None,
    /// Logits of independent classes.
    Sigmoid,
}

impl Activation {
    fn score(self, value: f32) -> f32 {
        match self {
            Self::None => value,
            Self::Sigmoid => 1.0 / (1.0 + (-value).exp()),
        }
    }

    /// The smallest prediction whose score is at least `score`.
    fn limit(self, score: f32) -> f32 {
        match self {
            Self::None => score,
            // 0 and 1 become minus and plus infinity, above 1 is no number: nothing reaches it.
            Self::Sigmoid if score <= 1.0 => (score / (1.0 - score)).ln(),
            Self::Sigmoid => f32::INFINITY,
        }
    }
}

/// Turns raw heads into detections, with buffers that it keeps.
///
/// Each class stands on its own, so one anchor may be reported for two. Boxes are cut to the picture
/// before they are compared.
#[derive(Debug)]
pub struct RawHeads {
    anchors: Vec<Anchor>,
    activation: Activation,
    /// Columns of the class predictions.
    columns: usize,
    /// Class of column 0 in the labels.
    offset: i32,
    /// For each column, the smallest prediction that counts.
    limits: Vec<f32>,
    candidates: Vec<Candidate>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    anchor: u32,
    column: u32,
    prediction: f32,
}

/// What divides the encodings of y, x, height and width: variances of SSD training.
const CODING: [f32; 4] = [10.0, 10.0, 5.0, 5.0];

impl RawHeads {
    /// For heads of `columns` class predictions at each of `anchors`.
    ///
    /// `background` is the column that stands for "no object", if there is one.
    #[must_use]
    pub fn new(
        anchors: Vec<Anchor>,
        activation: Activation,
        columns: usize,
        background: Option<usize>,
        offset: i32,
        limits: &Limits,
    ) -> Self {
        let limits = (0..columns)
            .map(|column| {
                let class = class_of(column as f32, offset);
                match class {
                    Some(class) if Some(column) != background => {
                        activation.limit(limits.min_score(class))
                    }
                    _ => f32::INFINITY,
                }
            })
            .collect();
        Self {
            candidates: Vec::with_capacity(COLLECTED),
            anchors,
            activation,
            columns,
            offset,
            limits,
        }
    }

    /// Fills `found` with the best `max` detections, highest score first.
    pub fn read(
        &mut self,
        boxes: Reader<'_>,
        classes: Reader<'_>,
        max: usize,
        found: &mut Vec<Detection>,
    ) {
        self.candidates.clear();
        match classes.values {
            TensorRef::F32(values) => self.scan(values, |value| value),
            TensorRef::U8(values) => self.scan(values, |value| classes.real(f32::from(value))),
            TensorRef::I8(values) => self.scan(values, |value| classes.real(f32::from(value))),
            // Nobody quantises class predictions this finely.
            TensorRef::I32(_) | TensorRef::I64(_) => {}
        }
        let candidates = &mut self.candidates;
        keep_best(candidates);
        candidates.sort_unstable_by(Candidate::order);

        found.extend(candidates.iter().filter_map(|candidate| {
            let anchor = self.anchors.get(candidate.anchor as usize)?;
            Some(Detection {
                class: class_of(candidate.column as f32, self.offset)?,
                score: self.activation.score(candidate.prediction),
                bounding_box: decode(anchor, boxes.quad(candidate.anchor as usize)?)?,
                id: None,
            })
        }));
        cut(found);
        nms::suppress(found, max);
    }

    /// Collects the anchors at which a class reaches its limit.
    fn scan<T: Copy>(&mut self, values: &[T], real: impl Fn(T) -> f32) {
        let rows = values.chunks_exact(self.columns).take(self.anchors.len());
        for (anchor, row) in rows.enumerate() {
            for (column, (&value, &limit)) in row.iter().zip(&self.limits).enumerate() {
                let prediction = real(value);
                // False for what is not a number.
                if prediction >= limit {
                    if self.candidates.len() == COLLECTED {
                        keep_best(&mut self.candidates);
                    }
                    self.candidates.push(Candidate {
                        anchor: anchor as u32,
                        column: column as u32,
                        prediction,
                    });
                }
            }
        }
    }
}

fn keep_best(candidates: &mut Vec<Candidate>) {
    if candidates.len() > MAX_CANDIDATES {
        candidates.select_nth_unstable_by(MAX_CANDIDATES, Candidate::order);
        candidates.truncate(MAX_CANDIDATES);
    }
}

impl Candidate {
    /// Best first; the earlier anchor first among equals.
    fn order(&self, other: &Self) -> Ordering {
        let place = |candidate: &Self| (candidate.anchor, candidate.column);
        other
            .prediction
            .total_cmp(&self.prediction)
            .then_with(|| place(self).cmp(&place(other)))
    }
}

/// The box that an encoding means at an anchor; `None` if it is no box.
fn decode(anchor: &Anchor, encoding: [f32; 4]) -> Option<[f32; 4]> {
    let [y, x, height, width] = encoding;
    let y = y / CODING[0] * anchor.height + anchor.y;
    let x = x / CODING[1] * anchor.width + anchor.x;
    let height = (height / CODING[2]).exp() * anchor.height / 2.0;
    let width = (width / CODING[3]).exp() * anchor.width / 2.0;
    let corners = [y - height, x - width, y + height, x + width];
    corners
        .iter()
        .all(|corner| corner.is_finite())
        .then_some(corners)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(limits: &Limits) -> RawHeads {
        let anchor = |x| Anchor {
            y: 0.5,
            x,
            height: 0.5,
            width: 0.5,
        };
        RawHeads::new(
            vec![anchor(0.25), anchor(0.26), anchor(0.75)],
            Activation::Sigmoid,
            3,
            Some(0),
            0,
            limits,
        )
    }

    fn read(heads: &mut RawHeads, boxes: &[f32], classes: &[f32], max: usize) -> Vec<Detection> {
        let mut found = Vec::new();
        heads.read(
            Reader::new(TensorRef::F32(boxes), None),
            Reader::new(TensorRef::F32(classes), None),
            max,
            &mut found,
        );
        found
    }

    #[test]
    fn zero_encodings_are_the_anchors() {
        let mut heads = heads(&Limits::new(0.5));
        let classes = [9.0, 0.0, -9.0, -9.0, 2.0, -9.0, -9.0, -9.0, 1.0];
        let found = read(&mut heads, &[0.0; 12], &classes, 10);
        // The first overlaps the second and is worse; the background is never reported.
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].class, found[1].class), (1, 2));
        assert!((found[0].score - 0.880_797).abs() < 1e-5);
        assert_eq!(found[1].bounding_box, [0.25, 0.5, 0.75, 1.0]);
        assert_eq!(read(&mut heads, &[0.0; 12], &classes, 1).len(), 1);
    }

    #[test]
    fn values_that_are_no_numbers_are_no_objects() {
        let mut heads = heads(&Limits::new(0.0));
        assert_eq!(read(&mut heads, &[0.0; 12], &[f32::NAN; 9], 10), []);
        assert_eq!(read(&mut heads, &[f32::NAN; 12], &[1.0; 9], 10), []);
        assert_eq!(read(&mut heads, &[f32::INFINITY; 12], &[1.0; 9], 10), []);
        // Shorter than the shapes promise.
        assert_eq!(read(&mut heads, &[0.0; 3], &[1.0; 2], 10), []);
    }

    #[test]
    fn many_candidates_leave_the_best() {
        let anchor = Anchor {
            y: 0.5,
            x: 0.5,
            height: 0.1,
            width: 0.1,
        };
        let count = 3 * COLLECTED;
        let mut heads = RawHeads::new(
            vec![anchor; count],
            Activation::None,
            1,
            None,
            0,
            &Limits::new(0.1),
        );
        // All at one place, scores rising along the anchors.
        let boxes: Vec<f32> = (0..count).flat_map(|_| [0.0, 0.0, 0.0, 0.0]).collect();
        let classes: Vec<f32> = (0..count).map(|i| 0.2 + i as f32 * 1e-5).collect();
        let found = read(&mut heads, &boxes, &classes, 5);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].score, classes[count - 1]);
        assert_eq!(heads.candidates.len(), MAX_CANDIDATES);
        assert_eq!(heads.candidates.capacity(), COLLECTED);
    }

    #[test]
    fn an_infinite_prediction_is_a_score_of_one() {
        let mut heads = heads(&Limits::new(0.5));
        let mut classes = [f32::NEG_INFINITY; 9];
        classes[1] = f32::INFINITY;
        let found = read(&mut heads, &[0.0; 12], &classes, 10);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].score, 1.0);
    }

    #[test]
    fn classes_have_their_own_smallest_score() {
        let mut limits = Limits::new(0.5);
        limits.set(1, 0.95);
        let mut heads = heads(&limits);
        let classes = [0.0, 2.0, 1.0, 0.0, 4.0, 1.0, -9.0, -9.0, -9.0];
        let found = read(&mut heads, &[0.0; 12], &classes, 10);
        let classes: Vec<u32> = found.iter().map(|found| found.class).collect();
        assert_eq!(classes, [1, 2]);
    }
}
