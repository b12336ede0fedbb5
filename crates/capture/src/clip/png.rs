//! PNG pictures: their pixels, and as JPEG.

use std::io;

use bytes::Bytes;
use cv_picture::{Pixels, encode_still};
use png::{Decoder, Transformations};

/// Whether a file that begins with `head` is a PNG image.
pub fn is(head: &[u8]) -> bool {
    head.starts_with(b"\x89PNG\r\n\x1a\n")
}

/// Decodes a PNG image and encodes it as JPEG. Transparent parts are shown on black.
///
/// # Errors
///
/// Returns an error that says what is wrong with the image.
pub fn to_jpeg(png: &[u8]) -> io::Result<Bytes> {
    let picture = decode(png)?;
    let pixels = match picture.channels {
        1 => Pixels::Grey(&picture.pixels),
        _ => Pixels::Rgb(&picture.pixels),
    };
    let side = |pixels: u32| u16::try_from(pixels).map_err(io::Error::other);
    encode_still(pixels, side(picture.width)?, side(picture.height)?, 90).map_err(io::Error::other)
}

/// Pixels of a picture.
pub struct Png {
    /// Rows without gaps.
    pub pixels: Vec<u8>,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Decodes a PNG picture. Transparency is shown on black.
///
/// # Errors
///
/// What is wrong with the picture.
pub fn decode(png: &[u8]) -> io::Result<Png> {
    let mut decoder = Decoder::new(io::Cursor::new(png));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let len = reader
        .output_buffer_size()
        .ok_or_else(|| io::Error::other("too large"))?;
    let mut pixels = vec![0; len];
    let info = reader.next_frame(&mut pixels)?;
    pixels.truncate(info.buffer_size());
    let (pixels, channels) = match info.color_type {
        png::ColorType::Grayscale => (pixels, 1),
        png::ColorType::Rgb => (pixels, 3),
        png::ColorType::GrayscaleAlpha => (on_black::<2>(&pixels), 1),
        png::ColorType::Rgba => (on_black::<4>(&pixels), 3),
        png::ColorType::Indexed => return Err(io::Error::other("palette was not expanded")),
    };
    Ok(Png {
        pixels,
        channels,
        width: info.width,
        height: info.height,
    })
}

/// Removes the last of `N` channels, alpha, by blending the other channels with black.
pub(crate) fn on_black<const N: usize>(pixels: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pixels.len() / N * (N - 1));
    for pixel in pixels.as_chunks::<N>().0 {
        if let [colors @ .., alpha] = pixel.as_slice() {
            let alpha = u16::from(*alpha);
            out.extend(colors.iter().map(|&c| (u16::from(c) * alpha / 255) as u8));
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Creates a PNG image of one colour.
    pub fn png(color: png::ColorType, pixel: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, 16, 8);
        encoder.set_color(color);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&pixel.repeat(16 * 8)).unwrap();
        drop(writer);
        out
    }

    fn first_pixel(jpeg: &[u8]) -> Vec<u8> {
        let mut decoder = zune_jpeg::JpegDecoder::new(io::Cursor::new(jpeg));
        let pixels = decoder.decode().unwrap();
        assert_eq!(decoder.dimensions(), Some((16, 8)));
        pixels[..pixels.len() / 128].to_vec()
    }

    #[test]
    fn every_kind_of_png_becomes_jpeg() {
        for (color, pixel, expected) in [
            (png::ColorType::Rgb, &[200, 100, 50][..], [200, 100, 50]),
            (png::ColorType::Rgba, &[200, 100, 50, 128], [100, 50, 25]),
            (png::ColorType::Grayscale, &[80], [80; 3]),
            (png::ColorType::GrayscaleAlpha, &[160, 128], [80; 3]),
        ] {
            let jpeg = to_jpeg(&png(color, pixel)).unwrap();
            let found = first_pixel(&jpeg);
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.abs_diff(expected) < 6, "{color:?} {found} {expected}");
            }
        }
    }

    #[test]
    fn a_damaged_png_is_an_error() {
        let whole = png(png::ColorType::Rgb, &[1, 2, 3]);
        assert!(is(&whole));
        assert!(to_jpeg(&whole[..whole.len() / 2]).is_err());
    }
}
