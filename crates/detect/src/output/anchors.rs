//! Anchors: the boxes that an SSD model's raw output is relative to.

/// One anchor, as fractions of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Anchor {
    /// Centre.
    pub y: f32,
    /// Centre.
    pub x: f32,
    /// Height.
    pub height: f32,
    /// Width.
    pub width: f32,
}

/// Scale of the first layer's anchors, as a fraction of the picture.
const MIN_SCALE: f32 = 0.2;

/// Scale of the last layer's anchors.
const MAX_SCALE: f32 = 0.95;

/// Layers of the usual SSD head.
const LAYERS: usize = 6;

/// Makes the anchors of the usual SSD head (the "SSD anchor generator" of TensorFlow's object
/// detection models) for an input of `width` by `height` pixels; `None` if it has not `count`.
///
/// Six layers of cells 16, 32, 64, ... pixels apart, scales in equal steps from 0.2 to 0.95. Each
/// cell has the aspect ratios 1, 2, 1/2, 3 and 1/3 at its layer's scale and one more square between
/// its scale and the next; the first layer has only three: a small square, 2 and 1/2.
#[must_use]
pub fn generate(width: usize, height: usize, count: usize) -> Option<Vec<Anchor>> {
    for reduced_first_layer in [true, false] {
        let mut anchors = Vec::with_capacity(count);
        for layer in 0..LAYERS {
            let stride = 16 << layer;
            let (columns, rows) = (width.div_ceil(stride), height.div_ceil(stride));
            let boxes = shapes(layer, reduced_first_layer && layer == 0);
            if anchors.len() + rows * columns * boxes.len() > count {
                break;
            }
            for row in 0..rows {
                for column in 0..columns {
                    anchors.extend(boxes.iter().map(|&(scale, ratio)| Anchor {
                        y: (row as f32 + 0.5) / rows as f32,
                        x: (column as f32 + 0.5) / columns as f32,
                        height: scale / ratio.sqrt(),
                        width: scale * ratio.sqrt(),
                    }));
                }
            }
        }
        if anchors.len() == count && count > 0 {
            return Some(anchors);
        }
    }
    None
}

/// Scale and aspect ratio (width by height) of each anchor in a cell.
fn shapes(layer: usize, reduced: bool) -> Vec<(f32, f32)> {
    let scale = |layer: usize| {
        if layer < LAYERS {
            MIN_SCALE + (MAX_SCALE - MIN_SCALE) * layer as f32 / (LAYERS - 1) as f32
        } else {
            1.0
        }
    };
    let here = scale(layer);
    if reduced {
        return vec![(0.1, 1.0), (here, 2.0), (here, 0.5)];
    }
    vec![
        (here, 1.0),
        (here, 2.0),
        (here, 0.5),
        (here, 3.0),
        (here, 1.0 / 3.0),
        ((here * scale(layer + 1)).sqrt(), 1.0),
    ]
}

/// Reads anchors that a model brings: rows of y, x, height and width of the centre form.
///
/// Returns `None` if the values make no anchors: every centre has to lie in or near the picture
/// and every size has to be positive.
#[must_use]
pub fn from_values(values: &[f32]) -> Option<Vec<Anchor>> {
    let (rows, rest) = values.as_chunks::<4>();
    let anchors: Vec<Anchor> = rows
        .iter()
        .map(|&[y, x, height, width]| Anchor {
            y,
            x,
            height,
            width,
        })
        .collect();
    let plausible = anchors.iter().all(|anchor| {
        (-1.0..=2.0).contains(&anchor.y)
            && (-1.0..=2.0).contains(&anchor.x)
            && anchor.height > 0.0
            && anchor.height <= 4.0
            && anchor.width > 0.0
            && anchor.width <= 4.0
    });
    (rest.is_empty() && plausible).then_some(anchors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_of_300_pixels_has_1917_anchors() {
        let anchors = generate(300, 300, 1917).unwrap();
        let first = anchors[0];
        assert!((first.y - 0.5 / 19.0).abs() < 1e-6);
        assert!((first.height - 0.1).abs() < 1e-6);
        // The last layer has one cell; its last anchor lies between 0.95 and 1.
        let last = anchors[1916];
        assert_eq!((last.y, last.x), (0.5, 0.5));
        assert!((last.width - 0.95_f32.sqrt()).abs() < 1e-6);
        let wide = anchors[1917 - 5];
        assert!((wide.width / wide.height - 2.0).abs() < 1e-5);
    }

    #[test]
    fn other_sizes_and_heads_are_told_by_their_count() {
        assert_eq!(generate(320, 320, 2034).unwrap().len(), 2034);
        assert_eq!(generate(300, 300, 3001), None);
        let full = 6 * (19 * 19 + 100 + 25 + 9 + 4 + 1);
        assert_eq!(generate(300, 300, full).unwrap().len(), full);
        assert_eq!(generate(300, 300, 0), None);
    }

    #[test]
    fn values_that_are_no_anchors_are_not_taken_for_some() {
        assert!(from_values(&[0.5, 0.5, 0.1, 0.1]).is_some());
        assert!(from_values(&[0.5, 0.5, -0.1, 0.1]).is_none());
        assert!(from_values(&[f32::NAN, 0.5, 0.1, 0.1]).is_none());
        assert!(from_values(&[0.5, 0.5, 0.1]).is_none());
    }
}
