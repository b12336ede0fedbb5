//! JPEG to RGB at a fraction of the picture's size, for pictures that are too large to be decoded
//! whole; the only file that names jpeg-decoder.
//!
//! The fraction is taken inside the transform, so that the whole picture never exists in memory.

use jpeg_decoder::{CodingProcess, Decoder, PixelFormat};

use crate::DecodeError;

/// The fraction is the smallest that leaves at least this: detection and small screens need no more.
const WIDTH: u16 = 960;
const HEIGHT: u16 = 720;

/// Decodes `jpeg` into the beginning of `rgb`, three bytes a pixel; returns width and height.
pub fn decode_into(jpeg: &[u8], rgb: &mut Vec<u8>) -> Result<(usize, usize), DecodeError> {
    let broken = |err: jpeg_decoder::Error| DecodeError::Broken(err.to_string());
    let mut decoder = Decoder::new(jpeg);
    decoder.read_info().map_err(broken)?;
    let info = decoder
        .info()
        .ok_or_else(|| DecodeError::Broken("it has no size".into()))?;
    if info.coding_process == CodingProcess::DctProgressive {
        return Err(DecodeError::TooLarge {
            width: info.width.into(),
            height: info.height.into(),
        });
    }
    let (width, height) = decoder.scale(WIDTH, HEIGHT).map_err(broken)?;
    let pixels = decoder.decode().map_err(broken)?;
    let size = (usize::from(width), usize::from(height));
    let needed = size.0 * size.1;
    if rgb.len() < needed * 3 {
        rgb.resize(needed * 3, 0);
    }
    match info.pixel_format {
        PixelFormat::RGB24 if pixels.len() == needed * 3 => {
            for (to, from) in rgb.iter_mut().zip(pixels) {
                *to = from;
            }
        }
        PixelFormat::L8 if pixels.len() == needed => {
            for (to, from) in rgb.chunks_exact_mut(3).zip(pixels) {
                to.fill(from);
            }
        }
        _ => return Err(DecodeError::Broken("its colours are not understood".into())),
    }
    Ok(size)
}
