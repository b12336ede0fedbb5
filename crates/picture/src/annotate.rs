//! Draws boxes and labels into an image, for receivers that cannot draw them themselves.

use cv_protocol::Object;

use crate::letters;

/// Colours of boxes, chosen by label. They are easy to tell apart and stand out from most
/// backgrounds.
const COLOURS: [[u8; 3]; 8] = [
    [230, 60, 60],
    [50, 160, 240],
    [60, 190, 80],
    [240, 160, 30],
    [170, 90, 230],
    [20, 190, 190],
    [240, 100, 180],
    [170, 180, 30],
];

/// Line width of a box, in pixels.
const LINE: usize = 2;

/// Width and height of a letter, in pixels.
const LETTER: usize = 8;

/// Draws the boxes and labels of `objects` into an RGB image whose rows follow one another without
/// padding.
///
/// A box may lie partly outside the image; the part outside is not drawn.
pub fn annotate(rgb: &mut [u8], width: usize, objects: &[Object]) {
    if width == 0 {
        return;
    }
    let mut canvas = Canvas {
        height: rgb.len() / (3 * width),
        width,
        rgb,
    };
    for object in objects {
        canvas.object(object);
    }
}

struct Canvas<'a> {
    rgb: &'a mut [u8],
    width: usize,
    height: usize,
}

impl Canvas<'_> {
    fn object(&mut self, object: &Object) {
        let colour = colour_of(&object.label);
        let [ymin, xmin, ymax, xmax] = object.bounding_box;
        let (left, right) = (pixel(xmin, self.width), pixel(xmax, self.width));
        let (top, bottom) = (pixel(ymin, self.height), pixel(ymax, self.height));
        self.fill(left, top, right, top + LINE, colour);
        self.fill(left, bottom.saturating_sub(LINE), right, bottom, colour);
        self.fill(left, top, left + LINE, bottom, colour);
        self.fill(right.saturating_sub(LINE), top, right, bottom, colour);

        let text = format!("{}: {:.2}%", object.label, object.score * 100.0);
        let height = LETTER + 2 * LINE;
        // The label goes above the box where there is room, otherwise inside it.
        let text_top = if top >= height { top - height } else { top };
        let text_right = left + text.chars().count() * LETTER + 2 * LINE;
        self.fill(left, text_top, text_right, text_top + height, colour);
        for (i, letter) in text.chars().enumerate() {
            self.letter(left + LINE + i * LETTER, text_top + LINE, letter);
        }
    }

    fn fill(&mut self, left: usize, top: usize, right: usize, bottom: usize, colour: [u8; 3]) {
        let (right, bottom) = (right.min(self.width), bottom.min(self.height));
        let rows = self.rgb.chunks_exact_mut(self.width * 3);
        for row in rows.take(bottom).skip(top) {
            let pixels = row.as_chunks_mut::<3>().0;
            if let Some(pixels) = pixels.get_mut(left..right) {
                pixels.fill(colour);
            }
        }
    }

    fn letter(&mut self, left: usize, top: usize, letter: char) {
        for (y, bits) in letters::letter(letter).into_iter().enumerate() {
            for x in (0..LETTER).filter(|x| bits >> x & 1 == 1) {
                self.fill(left + x, top + y, left + x + 1, top + y + 1, [255; 3]);
            }
        }
    }
}

/// Converts a fraction of the image's width or height, `length`, into a pixel index.
///
/// A box's corner may be any number, even NaN or infinite; the index is always 0 to `length`.
fn pixel(fraction: f32, length: usize) -> usize {
    // `as` saturates, and turns NaN into 0.
    (fraction.clamp(0.0, 1.0) * length as f32).round() as usize
}

/// Colour of a label's boxes: the same in every frame and on every machine (FNV-1a hash).
fn colour_of(label: &str) -> [u8; 3] {
    let hash = label.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    COLOURS
        .get(hash as usize % COLOURS.len())
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(bounding_box: [f32; 4]) -> Object {
        Object {
            label: "Cat".into(),
            score: 0.875,
            bounding_box,
            id: None,
        }
    }

    fn at(rgb: &[u8], width: usize, x: usize, y: usize) -> [u8; 3] {
        rgb[(y * width + x) * 3..][..3].try_into().unwrap()
    }

    #[test]
    fn a_box_is_drawn_at_its_place_and_not_filled() {
        let (width, height) = (200, 100);
        let mut rgb = vec![0; width * height * 3];
        annotate(&mut rgb, width, &[object([0.25, 0.1, 0.75, 0.9])]);
        let colour = colour_of("Cat");
        for (x, y) in [(20, 25), (21, 50), (179, 50), (100, 74), (179, 74)] {
            assert_eq!(at(&rgb, width, x, y), colour, "{x},{y}");
        }
        for (x, y) in [(100, 50), (10, 50), (190, 50), (100, 80)] {
            assert_eq!(at(&rgb, width, x, y), [0; 3], "{x},{y}");
        }
        // The label is above the box: a bar in the box's colour with white letters.
        assert_eq!(at(&rgb, width, 20, 14), colour);
        let letters = (13..25).flat_map(|y| (20..120).map(move |x| (x, y)));
        assert!(
            letters
                .filter(|&(x, y)| at(&rgb, width, x, y) == [255; 3])
                .count()
                > 50
        );
    }

    #[test]
    fn boxes_with_any_coordinates_never_draw_outside_the_image() {
        for bad in [
            [-1.0, -1.0, 2.0, 2.0],
            [0.9, 0.9, 0.1, 0.1],
            [f32::NAN; 4],
            [f32::INFINITY, f32::NEG_INFINITY, 0.0, 0.0],
            [0.99, 0.99, 1.0, 1.0],
        ] {
            for (width, height) in [(1, 1), (7, 3), (64, 48)] {
                let mut rgb = vec![0; width * height * 3];
                annotate(&mut rgb, width, &[object(bad)]);
            }
        }
        annotate(&mut [], 0, &[object([0.0; 4])]);
    }
}
