//! Encodes the frames of cameras that deliver uncompressed pixels as JPEG.

use bytes::Bytes;

use super::mode::Layout;
use cv_picture::{EncodingError, Resolution, encode_ycbcr};

/// JPEG quality of the encoded frames: what most webcams use themselves.
const QUALITY: u8 = 80;

/// Memory layout of a camera's raw frames.
#[derive(Clone, Debug)]
pub struct RawFormat {
    layout: Layout,
    resolution: Resolution,
    stride: usize,
    /// Table from the camera's range of Y to that of JPEG; `chroma` does the same for U and V.
    luma: [u8; 256],
    chroma: [u8; 256],
}

impl RawFormat {
    /// Creates the description of a raw format. `stride` is the number of bytes from one row to the
    /// next; 0 if the driver does not report it.
    ///
    /// Most cameras deliver Y from 16 to 235 and U and V from 16 to 240 (BT.601); JPEG uses the
    /// full range of a byte.
    pub fn new(layout: Layout, resolution: Resolution, stride: u32, full_range: bool) -> Self {
        let table = |low: f32, span: f32, zero: f32| {
            std::array::from_fn(|value| {
                if full_range {
                    return value as u8;
                }
                ((value as f32 - low) * 255.0 / span + zero)
                    .round()
                    .clamp(0.0, 255.0) as u8
            })
        };
        Self {
            layout,
            resolution,
            stride: (stride as usize).max(resolution.width as usize * 2),
            luma: table(16.0, 219.0, 0.0),
            chroma: table(128.0, 224.0, 128.0),
        }
    }

    /// Number of bytes of a complete frame. The last row may lack its padding.
    pub fn len(&self) -> usize {
        let rows = (self.resolution.height as usize).saturating_sub(1);
        self.stride * rows + self.resolution.width as usize * 2
    }

    /// Encodes a frame, which must be complete.
    pub fn encode(&self, raw: &[u8]) -> Result<Bytes, EncodingError> {
        // A raw frame is at least four times as large as its JPEG.
        let mut jpeg = Vec::with_capacity(self.len() / 4);
        let side = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX);
        let (width, height) = (side(self.resolution.width), side(self.resolution.height));
        encode_ycbcr(&mut jpeg, width, height, QUALITY, |y, planes| {
            let row = raw.get(usize::from(y) * self.stride..).unwrap_or_default();
            self.fill_row(row, width.into(), planes);
        })?;
        Ok(jpeg.into())
    }

    /// Appends one row of `width` pixels to the planes of Y, U and V.
    fn fill_row(&self, row: &[u8], width: usize, [luma, u, v]: [&mut Vec<u8>; 3]) {
        let len = luma.len() + width;
        // Two pixels share U and V. If the width is odd, the last pair lies half outside the image.
        for (pair, &[a, b, c, d]) in row.as_chunks().0.iter().take(width.div_ceil(2)).enumerate() {
            let [y0, u0, y1, v0] = match self.layout {
                Layout::Uyvy => [b, a, d, c],
                Layout::Yuyv | Layout::Jpeg => [a, b, c, d],
            };
            for y in [y0, y1].into_iter().take(width - pair * 2) {
                luma.push(self.luma[usize::from(y)]);
                u.push(self.chroma[usize::from(u0)]);
                v.push(self.chroma[usize::from(v0)]);
            }
        }
        // Missing pixels of a truncated row are filled with grey, because the encoder needs every
        // pixel.
        luma.resize(len, 0);
        u.resize(len, 128);
        v.resize(len, 128);
    }
}

#[cfg(test)]
mod tests {
    use zune_jpeg::JpegDecoder;

    use super::*;

    const SIZE: Resolution = Resolution {
        width: 32,
        height: 16,
    };

    fn first_pixel(jpeg: &[u8]) -> [u8; 3] {
        let mut decoder = JpegDecoder::new(std::io::Cursor::new(jpeg));
        let pixels = decoder.decode().unwrap();
        assert_eq!(decoder.dimensions(), Some((32, 16)));
        pixels[..3].try_into().unwrap()
    }

    fn near(found: [u8; 3], expected: [u8; 3]) {
        let is_near = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 6);
        assert!(is_near, "{found:?} is not {expected:?}");
    }

    #[test]
    fn colours_are_preserved_in_every_layout() {
        // Red in BT.601: Y 81, U 90, V 240.
        for (layout, four) in [
            (Layout::Yuyv, [81, 90, 81, 240]),
            (Layout::Uyvy, [90, 81, 240, 81]),
        ] {
            let format = RawFormat::new(layout, SIZE, 0, false);
            near(
                first_pixel(&format.encode(&four.repeat(16 * 16)).unwrap()),
                [255, 0, 0],
            );
        }
        let format = RawFormat::new(Layout::Yuyv, SIZE, 64, true);
        let grey = [81, 128, 81, 128].repeat(16 * 16);
        near(first_pixel(&format.encode(&grey).unwrap()), [81; 3]);
    }

    #[test]
    fn padding_between_rows_is_skipped() {
        let format = RawFormat::new(Layout::Yuyv, SIZE, 80, false);
        let mut row = [235, 128, 235, 128].repeat(16);
        row.resize(80, 16);
        let raw = row.repeat(16);
        assert_eq!(format.len(), raw.len() - 16);
        let jpeg = format.encode(&raw[..format.len()]).unwrap();
        let pixels = JpegDecoder::new(std::io::Cursor::new(&jpeg[..]))
            .decode()
            .unwrap();
        assert!(pixels.iter().all(|&value| value > 250));
    }

    #[test]
    fn odd_widths_and_short_rows_are_encoded() {
        let odd = Resolution {
            width: 33,
            height: 17,
        };
        let format = RawFormat::new(Layout::Yuyv, odd, 0, false);
        for len in [0, 3, 66, 67, 500, format.len()] {
            assert!(format.encode(&vec![100; len]).is_ok());
        }
    }
}
