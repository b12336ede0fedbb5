//! Areas of boxes, whose corners are ymin, xmin, ymax, xmax.

use crate::detection::Detection;

/// Intersection over union of two boxes (ymin, xmin, ymax, xmax); 0 for empty ones.
#[must_use]
pub fn iou(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area =
        |[ymin, xmin, ymax, xmax]: &[f32; 4]| (ymax - ymin).max(0.0) * (xmax - xmin).max(0.0);
    let both = area(&[
        a[0].max(b[0]),
        a[1].max(b[1]),
        a[2].min(b[2]),
        a[3].min(b[3]),
    ]);
    let either = area(a) + area(b) - both;
    if either > 0.0 { both / either } else { 0.0 }
}

/// Cuts boxes to the picture and drops what lies outside.
pub fn cut(found: &mut Vec<Detection>) {
    found.retain_mut(|found| {
        for corner in &mut found.bounding_box {
            *corner = corner.clamp(0.0, 1.0);
        }
        let [ymin, xmin, ymax, xmax] = found.bounding_box;
        ymin < ymax && xmin < xmax
    });
}
