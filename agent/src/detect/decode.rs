//! JPEG to RGB; the only file that names zune-jpeg.

use std::panic::{AssertUnwindSafe, catch_unwind};

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Widest and highest picture that is decoded, in pixels.
const MAX_SIDE: usize = 16_384;

/// Largest picture that is decoded: more than any camera of ours, and 120 MB of RGB.
const MAX_PIXELS: usize = 40_000_000;

/// A decoded picture.
#[derive(Clone, Copy, Debug)]
pub struct Rgb<'a> {
    /// Rows from the top without gaps, three bytes a pixel.
    pub pixels: &'a [u8],
    /// Pixels in a row; at least 1.
    pub width: usize,
    /// Rows; at least 1.
    pub height: usize,
}

/// Why a picture could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It does not start like a JPEG.
    #[error("not a JPEG picture: it starts with {0:02x?}, expected [ff, d8]")]
    NotJpeg(Vec<u8>),
    /// It is larger than anything we accept.
    #[error("a picture of {width}x{height} pixels is too large, expected at most {MAX_PIXELS}")]
    TooLarge {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// The decoder refused it.
    #[error("broken JPEG: {0}")]
    Broken(String),
    /// The decoder panicked; only this picture is lost.
    #[error("broken JPEG: the decoder gave up on it")]
    Panicked,
}

/// Decodes pictures into a buffer that it keeps.
#[derive(Debug, Default)]
pub struct RgbDecoder {
    rgb: Vec<u8>,
    /// Copy of a picture that lacks its Huffman tables, with them.
    repaired: Vec<u8>,
}

impl RgbDecoder {
    /// A decoder without buffers; they grow with the first picture.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes one picture, colour or grey, baseline or progressive.
    ///
    /// Pictures without Huffman tables, as many webcams send them, get the standard ones.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]; the decoder can be used on.
    pub fn decode(&mut self, jpeg: &[u8]) -> Result<Rgb<'_>, DecodeError> {
        if !jpeg.starts_with(&[0xff, 0xd8]) {
            let head = jpeg.iter().copied().take(2).collect();
            return Err(DecodeError::NotJpeg(head));
        }
        let jpeg = match huffman::missing_tables(jpeg) {
            None => jpeg,
            Some(at) => {
                self.repaired.clear();
                huffman::insert_tables(jpeg, at, &mut self.repaired);
                &self.repaired
            }
        };
        let rgb = &mut self.rgb;
        // The buffer holds plain bytes, so whatever a panic leaves in it is valid.
        let (width, height) = catch_unwind(AssertUnwindSafe(|| decode_into(jpeg, rgb)))
            .map_err(|_| DecodeError::Panicked)??;
        Ok(Rgb {
            pixels: &self.rgb[..width * height * 3],
            width,
            height,
        })
    }
}

fn decode_into(jpeg: &[u8], rgb: &mut Vec<u8>) -> Result<(usize, usize), DecodeError> {
    let options = DecoderOptions::new_fast()
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    let broken = |err| DecodeError::Broken(format!("{err:?}"));
    decoder.decode_headers().map_err(broken)?;
    let (width, height) = decoder
        .dimensions()
        .filter(|&(width, height)| width > 0 && height > 0)
        .ok_or_else(|| DecodeError::Broken("it has no size".into()))?;
    if width * height > MAX_PIXELS {
        return Err(DecodeError::TooLarge { width, height });
    }
    let needed = width * height * 3;
    if decoder.output_buffer_size() != Some(needed) {
        return Err(DecodeError::Broken("its colours are not understood".into()));
    }
    if rgb.len() < needed {
        rgb.resize(needed, 0);
    }
    let out = rgb.get_mut(..needed).unwrap_or_default();
    decoder.decode_into(out).map_err(broken)?;
    Ok((width, height))
}

/// The Huffman tables that Motion-JPEG leaves out because they are always the same.
mod huffman {
    /// Where to insert the tables, if the picture is baseline and brings none.
    pub fn missing_tables(jpeg: &[u8]) -> Option<usize> {
        let mut at = 2;
        let mut baseline = false;
        loop {
            let &[0xff, marker, high, low] = jpeg.get(at..at + 4)? else {
                return None;
            };
            match marker {
                0xc0 | 0xc1 => baseline = true,
                0xc4 => return None,
                0xda => return baseline.then_some(at),
                _ => {}
            }
            at += 2 + usize::from(u16::from_be_bytes([high, low]));
        }
    }

    /// Appends `jpeg` with the standard tables at `at` to `out`.
    pub fn insert_tables(jpeg: &[u8], at: usize, out: &mut Vec<u8>) {
        let (head, tail) = jpeg.split_at(at);
        out.extend_from_slice(head);
        let len = 2 + TABLES
            .iter()
            .map(|(_, counts, values)| 1 + counts.len() + values.len())
            .sum::<usize>();
        out.extend_from_slice(&[0xff, 0xc4, (len >> 8) as u8, len as u8]);
        for (id, counts, values) in TABLES {
            out.push(id);
            out.extend_from_slice(&counts);
            out.extend_from_slice(values);
        }
        out.extend_from_slice(tail);
    }

    /// ITU-T T.81, Annex K.3: class and destination, number of codes of each length, values.
    const TABLES: [(u8, [u8; 16], &[u8]); 4] = [
        (
            0x00,
            [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
            &DC_VALUES,
        ),
        (
            0x01,
            [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
            &DC_VALUES,
        ),
        (
            0x10,
            [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d],
            &LUMA_AC,
        ),
        (
            0x11,
            [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
            &CHROMA_AC,
        ),
    ];

    const DC_VALUES: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

    #[rustfmt::skip]
    const LUMA_AC: [u8; 162] = [
        0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
        0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
        0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
        0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
        0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
        0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
        0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
        0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
        0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
        0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
        0xf9, 0xfa,
    ];

    #[rustfmt::skip]
    const CHROMA_AC: [u8; 162] = [
        0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
        0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
        0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
        0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
        0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
        0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
        0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
        0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
        0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
        0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
        0xf9, 0xfa,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(width: u16, height: u16) -> Vec<u8> {
        let rgb: Vec<u8> = (0..usize::from(width) * usize::from(height))
            .flat_map(|i| [(i % 251) as u8, (i / 7 % 256) as u8, 90])
            .collect();
        let mut jpeg = Vec::new();
        jpeg_encoder::Encoder::new(&mut jpeg, 90)
            .encode(&rgb, width, height, jpeg_encoder::ColorType::Rgb)
            .unwrap();
        jpeg
    }

    /// Takes every DHT segment out.
    fn without_tables(jpeg: &[u8]) -> Vec<u8> {
        let mut out = jpeg[..2].to_vec();
        let mut at = 2;
        while jpeg[at + 1] != 0xda {
            let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            if jpeg[at + 1] != 0xc4 {
                out.extend_from_slice(&jpeg[at..end]);
            }
            at = end;
        }
        out.extend_from_slice(&jpeg[at..]);
        out
    }

    #[test]
    fn missing_huffman_tables_are_the_standard_ones() {
        let jpeg = encode(40, 24);
        let mut decoder = RgbDecoder::new();
        let whole = decoder.decode(&jpeg).unwrap().pixels.to_vec();
        let bare = without_tables(&jpeg);
        assert!(bare.len() < jpeg.len() - 400);
        assert_eq!(decoder.decode(&bare).unwrap().pixels, whole);
    }

    #[test]
    fn the_buffer_is_used_again() {
        let mut decoder = RgbDecoder::new();
        let large = decoder.decode(&encode(64, 64)).unwrap().pixels.as_ptr();
        let jpeg = encode(16, 8);
        let small = decoder.decode(&jpeg).unwrap();
        assert_eq!((small.width, small.height), (16, 8));
        assert_eq!(small.pixels.len(), 16 * 8 * 3);
        assert_eq!(small.pixels.as_ptr(), large);
    }

    #[test]
    fn bad_pictures_cost_only_themselves() {
        let jpeg = encode(32, 32);
        let mut decoder = RgbDecoder::new();
        assert!(matches!(decoder.decode(b""), Err(DecodeError::NotJpeg(_))));
        assert!(matches!(
            decoder.decode(b"\x89PNG"),
            Err(DecodeError::NotJpeg(_))
        ));
        assert!(decoder.decode(&jpeg[..40]).is_err());
        for at in 2..jpeg.len() {
            for flip in [0xff, 0x01, 0x80] {
                let mut bad = jpeg.clone();
                bad[at] ^= flip;
                let _ = decoder.decode(&bad);
            }
        }
        assert!(decoder.decode(&jpeg).is_ok());
    }
}
