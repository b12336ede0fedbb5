//! Decodes JPEG into RGB. This is the only file that names zune-jpeg.

use std::panic::{AssertUnwindSafe, catch_unwind};

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::{huffman, scaled};

/// Largest width and largest height that the decoder accepts, in pixels.
const MAX_SIDE: usize = 16_384;

/// Largest picture that is decoded at its own size: 120 MB of RGB.
const MAX_PIXELS: usize = 40_000_000;

/// A decoded image. It borrows the decoder's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Rgb<'a> {
    /// Rows from top to bottom without padding, three bytes per pixel: red, green, blue.
    pub pixels: &'a [u8],
    /// Width in pixels; at least 1.
    pub width: usize,
    /// Height in pixels; at least 1.
    pub height: usize,
}

/// Reason why a JPEG could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The data does not start with a JPEG's start-of-image marker. Carries its first two bytes.
    #[error("not a JPEG picture: it starts with {0:02x?}, expected [ff, d8]")]
    NotJpeg(Vec<u8>),
    /// It is progressive, so that all of it has to be in memory at once, and too large for that.
    #[error(
        "a progressive picture of {width}x{height} pixels is too large, expected at most \
         {MAX_PIXELS} pixels, or a baseline picture"
    )]
    TooLarge {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// The decoder rejected the data. Carries the decoder's message.
    #[error("broken JPEG: {0}")]
    Broken(String),
    /// The decoder panicked. Only this JPEG is lost; the next one can be decoded.
    #[error("broken JPEG: the decoder gave up on it")]
    Panicked,
}

/// Decodes JPEGs into a buffer that it reuses.
#[derive(Debug, Default)]
pub struct RgbDecoder {
    rgb: Vec<u8>,
    /// Copy of the latest JPEG that had no Huffman tables, with the standard tables inserted.
    repaired: Vec<u8>,
}

impl RgbDecoder {
    /// Creates a decoder. It allocates its buffers when it decodes its first JPEG.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes one JPEG, colour or grey, baseline or progressive.
    ///
    /// A picture of more than 40 million pixels comes out at a half, a quarter or an eighth of its
    /// size: nothing here needs more, and no board has the memory.
    ///
    /// Pictures without Huffman tables, as many webcams send them, get the standard ones.
    ///
    /// # Errors
    ///
    /// Returns a [`DecodeError`]. The decoder can still be used for the next JPEG.
    pub fn decode(&mut self, jpeg: &[u8]) -> Result<Rgb<'_>, DecodeError> {
        if !jpeg.starts_with(&[0xff, 0xd8]) {
            let head = jpeg.iter().copied().take(2).collect();
            return Err(DecodeError::NotJpeg(head));
        }
        let jpeg = match missing_tables(jpeg) {
            None => jpeg,
            Some(at) => {
                let (head, scan) = jpeg.split_at(at);
                self.repaired.clear();
                self.repaired.extend_from_slice(head);
                huffman::put_tables(&mut self.repaired);
                self.repaired.extend_from_slice(scan);
                &self.repaired
            }
        };
        let rgb = &mut self.rgb;
        // The buffer holds plain bytes, so it is valid whatever state a panic leaves it in.
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
        .ok_or_else(|| DecodeError::Broken("the header contains no size".into()))?;
    if width * height > MAX_PIXELS {
        return scaled::decode_into(jpeg, rgb);
    }
    let needed = width * height * 3;
    if decoder.output_buffer_size() != Some(needed) {
        return Err(DecodeError::Broken(
            "its colour format is not supported".into(),
        ));
    }
    if rgb.len() < needed {
        rgb.resize(needed, 0);
    }
    let out = rgb.get_mut(..needed).unwrap_or_default();
    decoder.decode_into(out).map_err(broken)?;
    Ok((width, height))
}

/// Returns the offset at which the standard Huffman tables must be inserted; `None` if the JPEG has
/// tables or is not baseline.
fn missing_tables(jpeg: &[u8]) -> Option<usize> {
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

    /// Removes every DHT segment from a JPEG.
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
    fn missing_huffman_tables_are_replaced_by_the_standard_ones() {
        let jpeg = encode(40, 24);
        let mut decoder = RgbDecoder::new();
        let whole = decoder.decode(&jpeg).unwrap().pixels.to_vec();
        let bare = without_tables(&jpeg);
        assert!(bare.len() < jpeg.len() - 400);
        assert_eq!(decoder.decode(&bare).unwrap().pixels, whole);
    }

    #[test]
    fn the_buffer_is_reused_for_the_next_jpeg() {
        let mut decoder = RgbDecoder::new();
        let large = decoder.decode(&encode(64, 64)).unwrap().pixels.as_ptr();
        let jpeg = encode(16, 8);
        let small = decoder.decode(&jpeg).unwrap();
        assert_eq!((small.width, small.height), (16, 8));
        assert_eq!(small.pixels.len(), 16 * 8 * 3);
        assert_eq!(small.pixels.as_ptr(), large);
    }

    #[test]
    fn a_picture_that_is_too_large_is_decoded_smaller() {
        // Left half dark, right half light.
        let (width, height) = (8000_u16, 6000_u16);
        let grey: Vec<u8> = (0..usize::from(width) * usize::from(height))
            .map(|i| if i % 8000 < 4000 { 40 } else { 200 })
            .collect();
        for progressive in [false, true] {
            let mut jpeg = Vec::new();
            let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 60);
            encoder.set_progressive(progressive);
            encoder
                .encode(&grey, width, height, jpeg_encoder::ColorType::Luma)
                .unwrap();
            let mut decoder = RgbDecoder::new();
            let decoded = decoder.decode(&jpeg);
            if progressive {
                let told = decoded.unwrap_err().to_string();
                assert!(
                    told.contains("8000x6000") && told.contains("baseline"),
                    "{told}"
                );
                continue;
            }
            let small = decoded.unwrap();
            assert_eq!((small.width, small.height), (1000, 750));
            assert_eq!(small.pixels.len(), 1000 * 750 * 3);
            let at = |x: usize| small.pixels[(375 * 1000 + x) * 3..][..3].to_vec();
            assert!(
                at(100).iter().all(|value| value.abs_diff(40) < 6),
                "{:?}",
                at(100)
            );
            assert!(
                at(900).iter().all(|value| value.abs_diff(200) < 6),
                "{:?}",
                at(900)
            );
        }
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
