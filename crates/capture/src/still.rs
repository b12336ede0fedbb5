//! Still pictures as people have them: JPEG, PNG or WebP, turned as their EXIF data says.

use std::io::{self, Cursor};

use cv_picture::RgbDecoder;
use exif::{In, Reader, Tag};
use image_webp::WebPDecoder;

use crate::clip::png;

/// Endings of files that [`Still::read`] understands.
pub const ENDINGS: &[&str] = &["jpg", "jpeg", "png", "webp"];

/// Largest picture, in bytes of RGB.
const MAX_BYTES: usize = 256 << 20;

/// A decoded picture, the right way up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Still {
    /// Rows of red, green and blue without gaps.
    pub pixels: Vec<u8>,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Still {
    /// Decodes a picture and turns it the right way up. Transparency is shown on black.
    ///
    /// # Errors
    ///
    /// What is wrong with it, or that it is of another kind.
    pub fn read(file: &[u8]) -> io::Result<Self> {
        let still = if file.starts_with(&[0xff, 0xd8]) {
            let mut decoder = RgbDecoder::new();
            let picture = decoder.decode(file).map_err(io::Error::other)?;
            Self {
                pixels: picture.pixels.to_vec(),
                width: picture.width,
                height: picture.height,
            }
        } else if png::is(file) {
            Self::of_png(file)?
        } else if file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WEBP") {
            Self::of_webp(file)?
        } else {
            return Err(io::Error::other(
                "it is neither a JPEG, nor a PNG, nor a WebP picture",
            ));
        };
        Ok(still.turned(orientation(file)))
    }

    fn of_png(file: &[u8]) -> io::Result<Self> {
        let png = png::decode(file)?;
        let pixels = match png.channels {
            1 => png.pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
            _ => png.pixels,
        };
        Ok(Self {
            pixels,
            width: png.width as usize,
            height: png.height as usize,
        })
    }

    fn of_webp(file: &[u8]) -> io::Result<Self> {
        let mut decoder = WebPDecoder::new(Cursor::new(file)).map_err(io::Error::other)?;
        let (width, height) = decoder.dimensions();
        let mut pixels = decoder
            .output_buffer_size()
            .filter(|&bytes| bytes <= MAX_BYTES)
            .map(|bytes| vec![0; bytes])
            .ok_or_else(|| io::Error::other(format!("{width}x{height} pixels are too many")))?;
        decoder.read_image(&mut pixels).map_err(io::Error::other)?;
        if decoder.has_alpha() {
            pixels = png::on_black::<4>(&pixels);
        }
        Ok(Self {
            pixels,
            width: width as usize,
            height: height as usize,
        })
    }

    /// Turned and mirrored as an orientation of EXIF, 1 to 8, asks for.
    fn turned(self, orientation: u32) -> Self {
        let (width, height) = (self.width, self.height);
        // Where the pixel at a place of the new picture comes from.
        let from: fn(usize, usize, usize, usize) -> (usize, usize) = match orientation {
            2 => |x, y, w, _| (w - 1 - x, y),
            3 => |x, y, w, h| (w - 1 - x, h - 1 - y),
            4 => |x, y, _, h| (x, h - 1 - y),
            5 => |x, y, _, _| (y, x),
            6 => |x, y, _, h| (y, h - 1 - x),
            7 => |x, y, w, h| (w - 1 - y, h - 1 - x),
            8 => |x, y, w, _| (w - 1 - y, x),
            _ => return self,
        };
        let (new_width, new_height) = if orientation < 5 {
            (width, height)
        } else {
            (height, width)
        };
        let mut pixels = Vec::with_capacity(self.pixels.len());
        for y in 0..new_height {
            for x in 0..new_width {
                let (x, y) = from(x, y, width, height);
                let at = (y * width + x) * 3;
                pixels.extend_from_slice(self.pixels.get(at..at + 3).unwrap_or(&[0; 3]));
            }
        }
        Self {
            pixels,
            width: new_width,
            height: new_height,
        }
    }
}

/// How the camera was held, by the picture's EXIF data; 1 for upright or unknown.
fn orientation(file: &[u8]) -> u32 {
    let exif = Reader::new().read_from_container(&mut Cursor::new(file));
    exif.ok()
        .and_then(|exif| {
            let field = exif.get_field(Tag::Orientation, In::PRIMARY)?;
            field.value.get_uint(0)
        })
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_picture::encode;

    /// Two by three pixels, numbered by row.
    fn numbered() -> Still {
        Still {
            pixels: (1..=6).flat_map(|number| [number; 3]).collect(),
            width: 2,
            height: 3,
        }
    }

    #[test]
    fn all_orientations_are_turned_upright() {
        for (orientation, expected, width) in [
            (1, [1, 2, 3, 4, 5, 6], 2),
            (2, [2, 1, 4, 3, 6, 5], 2),
            (3, [6, 5, 4, 3, 2, 1], 2),
            (4, [5, 6, 3, 4, 1, 2], 2),
            (5, [1, 3, 5, 2, 4, 6], 3),
            (6, [5, 3, 1, 6, 4, 2], 3),
            (7, [6, 4, 2, 5, 3, 1], 3),
            (8, [2, 4, 6, 1, 3, 5], 3),
            (9, [1, 2, 3, 4, 5, 6], 2),
        ] {
            let still = numbered().turned(orientation);
            let first: Vec<u8> = still.pixels.chunks(3).map(|pixel| pixel[0]).collect();
            assert_eq!(
                (&first[..], still.width),
                (&expected[..], width),
                "{orientation}"
            );
        }
    }

    /// A JPEG with a red left half, and EXIF data that say how it was held.
    fn jpeg(orientation: u8) -> Vec<u8> {
        let row = [[200, 0, 0].repeat(32), [0, 0, 200].repeat(32)].concat();
        let plain = encode(&row.repeat(32), 64, 32, 90).unwrap();
        let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
        [&plain[..2], &[0xff, 0xe1], &length, &exif, &plain[2..]].concat()
    }

    #[test]
    fn exif_data_of_a_jpeg_are_followed() {
        let upright = Still::read(&jpeg(1)).unwrap();
        assert_eq!((upright.width, upright.height), (64, 32));
        // Held so that its left side was up.
        let turned = Still::read(&jpeg(6)).unwrap();
        assert_eq!((turned.width, turned.height), (32, 64));
        let (top, bottom) = (turned.pixels[0], turned.pixels[turned.pixels.len() - 3]);
        assert!(top > 150 && bottom < 50, "{top} {bottom}");
    }

    #[test]
    fn other_kinds_are_read_or_refused_with_the_reason() {
        let png = crate::clip::png::tests::png(::png::ColorType::Grayscale, &[77]);
        let still = Still::read(&png).unwrap();
        assert_eq!((still.width, still.height), (16, 8));
        assert_eq!(still.pixels[..3], [77; 3]);
        let mut webp = Vec::new();
        let pixels = [10, 20, 30, 255].repeat(12);
        image_webp::WebPEncoder::new(&mut webp)
            .encode(&pixels, 4, 3, image_webp::ColorType::Rgba8)
            .unwrap();
        let still = Still::read(&webp).unwrap();
        assert_eq!((still.width, still.height), (4, 3));
        assert_eq!(still.pixels[..3], [10, 20, 30]);
        for damaged in [&png[..30], &webp[..20], &jpeg(1)[..100], b"GIF89a"] {
            assert!(Still::read(damaged).is_err());
        }
    }
}
