//! Frames, and the JPEG work that more than one stage needs.
//!
//! ```text
//! JPEG --RgbDecoder--> Rgb --scale, annotate--> RGB bytes --encode--> JPEG
//! ```
//!
//! [`Frame`] is what capture hands to detection and to the uplink: the camera's own JPEG with its
//! number, time and size. Video never passes through the decoder or the encoder: the detector
//! decodes the newest frame, and [`Shrinker`] makes smaller pictures for links that are too slow
//! for the camera's own.

mod annotate;
mod decode;
mod encode;
mod frame;
pub mod huffman;
mod letters;

pub use decode::{DecodeError, Rgb, RgbDecoder};
pub use encode::{
    EncodingError, Pixels, Reduction, ShrinkError, Shrinker, encode, encode_still,
    encode_with_restarts, encode_ycbcr,
};
pub use frame::{Frame, Resolution};
pub use letters::letter;
