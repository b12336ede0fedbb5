//! Encodes RGB as JPEG and re-encodes a JPEG at a smaller size. This is the only file that names
//! jpeg-encoder. A camera's own JPEG never passes through it on its way to the viewer, unless the
//! link is too slow for it.

use bytes::Bytes;
use cv_protocol::Object;
use jpeg_encoder::{ColorType, Encoder, ImageBuffer, JpegColorType, SamplingFactor};

pub use jpeg_encoder::EncodingError;

use crate::annotate::annotate;
use crate::decode::{DecodeError, Rgb, RgbDecoder};
use crate::frame::Resolution;

/// How much smaller a frame is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reduction {
    /// How many times width and height are halved.
    pub halvings: u32,
    /// Quality of the JPEG, 1 to 100.
    pub quality: u8,
}

/// Reason why a frame could not be re-encoded at a smaller size.
#[derive(Debug, thiserror::Error)]
pub enum ShrinkError {
    /// The input is not a JPEG that can be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The encoder rejected the pixels.
    #[error("cannot encode the picture: {0}")]
    Encode(#[from] jpeg_encoder::EncodingError),
}

/// Re-encodes JPEGs at a smaller size, in buffers that it reuses.
#[derive(Debug, Default)]
pub struct Shrinker {
    decoder: RgbDecoder,
    scaled: Vec<u8>,
}

impl Shrinker {
    /// Re-encodes a JPEG at a smaller size, and returns it with its size in pixels.
    ///
    /// # Errors
    ///
    /// Returns a [`ShrinkError`]. The `Shrinker` can still be used for the next JPEG.
    pub fn shrink(
        &mut self,
        jpeg: &[u8],
        reduction: Reduction,
    ) -> Result<(Bytes, Resolution), ShrinkError> {
        let rgb = self.decoder.decode(jpeg)?;
        let divide = |side: usize| (side >> reduction.halvings).max(1);
        let (width, height) = (divide(rgb.width), divide(rgb.height));
        let pixels = if reduction.halvings == 0 {
            rgb.pixels
        } else {
            scale_down(rgb, width, height, &mut self.scaled);
            &self.scaled
        };
        Ok((
            encode(pixels, width, height, reduction.quality)?,
            resolution(width, height),
        ))
    }

    /// Draws the boxes of `objects` into a JPEG, scales it down to fit within `most`, and returns
    /// it with its size in pixels.
    ///
    /// # Errors
    ///
    /// Returns a [`ShrinkError`]. The `Shrinker` can still be used for the next JPEG.
    pub fn annotate(
        &mut self,
        jpeg: &[u8],
        objects: &[Object],
        most: Resolution,
        quality: u8,
    ) -> Result<(Bytes, Resolution), ShrinkError> {
        let rgb = self.decoder.decode(jpeg)?;
        let (width, height) = fit(rgb.width, rgb.height, most);
        scale_down(rgb, width, height, &mut self.scaled);
        annotate(&mut self.scaled, width, objects);
        Ok((
            encode(&self.scaled, width, height, quality)?,
            resolution(width, height),
        ))
    }
}

fn resolution(width: usize, height: usize) -> Resolution {
    Resolution {
        width: u32::try_from(width).unwrap_or(u32::MAX),
        height: u32::try_from(height).unwrap_or(u32::MAX),
    }
}

/// Returns the largest size that fits within `most`, keeps the aspect ratio and does not enlarge
/// the image.
fn fit(width: usize, height: usize, most: Resolution) -> (usize, usize) {
    let scale = (f64::from(most.width) / width as f64)
        .min(f64::from(most.height) / height as f64)
        .min(1.0);
    let side = |length: usize| ((length as f64 * scale).round() as usize).max(1);
    (side(width), side(height))
}

/// Pixels of an image: rows from top to bottom without padding.
#[derive(Clone, Copy, Debug)]
pub enum Pixels<'a> {
    /// Three bytes per pixel: red, green, blue.
    Rgb(&'a [u8]),
    /// One byte per pixel: brightness.
    Grey(&'a [u8]),
}

/// Encodes pixels as a baseline JPEG with full colour resolution. Meant for images that are encoded
/// once and shown often.
///
/// # Errors
///
/// Returns the encoder's error if the image has no pixels.
pub fn encode_still(
    pixels: Pixels<'_>,
    width: u16,
    height: u16,
    quality: u8,
) -> Result<Bytes, EncodingError> {
    let (pixels, color) = match pixels {
        Pixels::Rgb(pixels) => (pixels, ColorType::Rgb),
        Pixels::Grey(pixels) => (pixels, ColorType::Luma),
    };
    let mut jpeg = Vec::new();
    Encoder::new(&mut jpeg, quality).encode(pixels, width, height, color)?;
    Ok(jpeg.into())
}

/// Encodes RGB pixels as a baseline JPEG with a restart marker after every `restart_interval`
/// blocks of 16x16 pixels, so that a caller can assemble JPEGs from its parts.
///
/// # Errors
///
/// Returns the encoder's error if the image has no pixels.
pub fn encode_with_restarts(
    rgb: &[u8],
    width: u16,
    height: u16,
    quality: u8,
    restart_interval: u16,
) -> Result<Bytes, EncodingError> {
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_restart_interval(restart_interval);
    encoder.encode(rgb, width, height, ColorType::Rgb)?;
    Ok(jpeg.into())
}

/// Encodes a YCbCr image into `jpeg`. Its colour has half the horizontal resolution (4:2:2), as raw
/// cameras deliver it.
///
/// The encoder calls `fill` for each row from the top; `fill` appends `width` values to each of Y,
/// Cb and Cr.
///
/// # Errors
///
/// Returns the encoder's error if the image has no pixels.
pub fn encode_ycbcr(
    jpeg: &mut Vec<u8>,
    width: u16,
    height: u16,
    quality: u8,
    fill: impl Fn(u16, [&mut Vec<u8>; 3]),
) -> Result<(), EncodingError> {
    let mut encoder = Encoder::new(jpeg, quality);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_2);
    encoder.encode_image(YcbcrRows {
        width,
        height,
        fill,
    })
}

struct YcbcrRows<F> {
    width: u16,
    height: u16,
    fill: F,
}

impl<F: Fn(u16, [&mut Vec<u8>; 3])> ImageBuffer for YcbcrRows<F> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.width
    }

    fn height(&self) -> u16 {
        self.height
    }

    fn fill_buffers(&self, row: u16, [luma, blue, red, _]: &mut [Vec<u8>; 4]) {
        (self.fill)(row, [luma, blue, red]);
    }
}

/// Encodes RGB, three bytes per pixel, as a baseline JPEG with halved colour resolution (4:2:0).
///
/// # Errors
///
/// Returns the encoder's error if the image has no pixels, or more than 65535 in a row or column.
pub fn encode(
    rgb: &[u8],
    width: usize,
    height: usize,
    quality: u8,
) -> Result<Bytes, EncodingError> {
    let side = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
    let mut jpeg = Vec::with_capacity(width * height / 8);
    let mut encoder = Encoder::new(&mut jpeg, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(rgb, side(width), side(height), ColorType::Rgb)?;
    Ok(jpeg.into())
}

/// Scales an image down to `columns` x `rows`, which must not exceed its own size, and writes the
/// RGB bytes to `out`. Each new pixel is the average of the pixels that it covers.
fn scale_down(rgb: Rgb<'_>, columns: usize, rows: usize, out: &mut Vec<u8>) {
    out.clear();
    if (columns, rows) == (rgb.width, rgb.height) {
        out.extend_from_slice(rgb.pixels);
        return;
    }
    let lines: Vec<&[u8]> = rgb.pixels.chunks_exact(rgb.width * 3).collect();
    for row in 0..rows {
        let covered = row * rgb.height / rows..(row + 1) * rgb.height / rows;
        let lines = lines.get(covered).unwrap_or_default();
        for column in 0..columns {
            let from = column * rgb.width / columns * 3;
            let to = (column + 1) * rgb.width / columns * 3;
            let mut sums = [0_u32; 3];
            let mut count = 0;
            for line in lines {
                for pixel in line.get(from..to).unwrap_or_default().as_chunks::<3>().0 {
                    for (sum, &value) in sums.iter_mut().zip(pixel) {
                        *sum += u32::from(value);
                    }
                    count += 1;
                }
            }
            // The average of bytes fits into a byte.
            out.extend(sums.map(|sum| (sum / count.max(1)) as u8));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates an RGB image whose left half is red and whose right half is blue.
    fn two_halves(width: usize, height: usize) -> Vec<u8> {
        (0..width * height)
            .flat_map(|i| {
                if i % width < width / 2 {
                    [200, 0, 0]
                } else {
                    [0, 0, 200]
                }
            })
            .collect()
    }

    #[test]
    fn each_scaled_pixel_is_the_average_of_those_it_covers() {
        let scaled = |width, height, columns, rows| {
            let mut out = Vec::new();
            let rgb = two_halves(width, height);
            let rgb = Rgb {
                pixels: &rgb,
                width,
                height,
            };
            scale_down(rgb, columns, rows, &mut out);
            out
        };
        assert_eq!(scaled(8, 4, 4, 2), two_halves(4, 2));
        assert_eq!(scaled(8, 4, 8, 4), two_halves(8, 4));
        assert_eq!(scaled(8, 4, 1, 1), [100, 0, 100]);
        assert_eq!(scaled(7, 5, 3, 2).len(), 18);
    }

    #[test]
    fn fitted_sizes_keep_the_aspect_ratio_and_never_grow() {
        let most = Resolution {
            width: 640,
            height: 480,
        };
        assert_eq!(fit(1280, 720, most), (640, 360));
        assert_eq!(fit(640, 272, most), (640, 272));
        assert_eq!(fit(100, 2000, most), (24, 480));
        assert_eq!(fit(320, 240, most), (320, 240));
        assert_eq!(fit(16_384, 1, most), (640, 1));
    }

    #[test]
    fn a_shrunken_jpeg_shows_the_same_image() {
        let jpeg = encode(&two_halves(320, 240), 320, 240, 90).unwrap();
        let reduction = Reduction {
            halvings: 2,
            quality: 60,
        };
        let (small, size) = Shrinker::default().shrink(&jpeg, reduction).unwrap();
        assert_eq!(size.to_string(), "80x60");
        assert!(small.len() < jpeg.len());
        let mut decoder = RgbDecoder::default();
        let rgb = decoder.decode(&small).unwrap();
        let at = |x: usize| [0, 1, 2].map(|c| i32::from(rgb.pixels[(30 * 80 + x) * 3 + c]));
        for (pixel, expected) in [(at(5), [200, 0, 0]), (at(75), [0, 0, 200])] {
            for (value, expected) in pixel.iter().zip(expected) {
                assert!((value - expected).abs() < 16, "{pixel:?}");
            }
        }
        assert!(
            Shrinker::default()
                .shrink(b"no picture", reduction)
                .is_err()
        );
    }
}
