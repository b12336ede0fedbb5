//! Non-maximum suppression: of overlapping boxes of one class, the best stays.

use super::boxes::iou;
use crate::detection::Detection;

/// Boxes of one class that overlap more than this are taken for the same object.
pub const IOU_LIMIT: f32 = 0.5;

/// Keeps the best `max` of `found`, which is sorted by falling score, class by class.
pub fn suppress(found: &mut Vec<Detection>, max: usize) {
    let mut kept = 0;
    for index in 0..found.len() {
        if kept == max {
            break;
        }
        let Some(&candidate) = found.get(index) else {
            break;
        };
        let (best, _) = found.split_at_mut(kept);
        let is_new = best.iter().all(|better| {
            better.class != candidate.class
                || iou(&better.bounding_box, &candidate.bounding_box) <= IOU_LIMIT
        });
        if is_new {
            if let Some(slot) = found.get_mut(kept) {
                *slot = candidate;
            }
            kept += 1;
        }
    }
    found.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detection(class: u32, score: f32, bounding_box: [f32; 4]) -> Detection {
        Detection {
            class,
            score,
            bounding_box,
            id: None,
        }
    }

    #[test]
    fn overlap_is_measured_by_area() {
        let a = [0.0, 0.0, 1.0, 1.0];
        assert_eq!(iou(&a, &a), 1.0);
        assert_eq!(iou(&a, &[0.0, 0.5, 1.0, 1.0]), 0.5);
        assert_eq!(iou(&a, &[2.0, 2.0, 3.0, 3.0]), 0.0);
        assert_eq!(iou(&[0.0; 4], &[0.0; 4]), 0.0);
        assert_eq!(iou(&[1.0, 1.0, 0.0, 0.0], &a), 0.0);
    }

    #[test]
    fn only_boxes_of_the_same_class_suppress_each_other() {
        let near = [0.0, 0.0, 1.0, 0.9];
        let full = [0.0, 0.0, 1.0, 1.0];
        let apart = [0.0, 2.0, 1.0, 3.0];
        let mut found = vec![
            detection(1, 0.9, full),
            detection(1, 0.8, near),
            detection(2, 0.7, near),
            detection(1, 0.6, apart),
        ];
        suppress(&mut found, 10);
        let kept: Vec<f32> = found.iter().map(|found| found.score).collect();
        assert_eq!(kept, [0.9, 0.7, 0.6]);
        suppress(&mut found, 2);
        assert_eq!(found.len(), 2);
    }
}
