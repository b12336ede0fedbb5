//! Frames, and the image work that more than one stage needs: decode, encode, scale, annotate.
//!
//! A [`Frame`] is one captured JPEG with its number, capture time and size. `cv-capture` makes the
//! JPEG, and the agent hands the frame to the detector and to the uplink:
//!
//! ```text
//!                      .-- Frame --> uplink or streamer: the camera's own JPEG, byte for byte
//! camera --> Frame ----|
//!                      '-- Frame --> RgbDecoder --> Rgb --> detector
//! ```
//!
//! Video does not pass through the decoder or the encoder. Only these paths re-encode an image:
//!
//! ```text
//! slow link, --max-size,    JPEG --RgbDecoder--> Rgb --scale--> [annotate] --encode--> JPEG
//! boxes burnt in                   '---------------- Shrinker -----------------'
//! raw camera (YUYV)         Y, Cb, Cr rows --------------------encode_ycbcr--------> JPEG
//! PNG files                 RGB or grey rows ------------------encode_still--------> JPEG
//! test picture              RGB rows --------------------encode_with_restarts------> JPEG
//! ```
//!
//! # Threads
//!
//! The crate starts no thread. [`RgbDecoder`] and [`Shrinker`] keep buffers, so each thread that
//! decodes has its own: the detection thread, the uplink's worker for slow links, and the capture
//! thread if it has to scale. All functions block for as long as they compute.
//!
//! # Invariants
//!
//! - A [`Frame`] is immutable, and cloning it does not copy the JPEG. The JPEG may be a buffer of the
//!   camera driver, which the driver gets back when the last clone is dropped.
//! - Decoding never fails for a reason that outlives the JPEG: a damaged JPEG, even one that makes
//!   the decoder panic, is a [`DecodeError`], and the next JPEG can be decoded.
//! - Memory is bounded: a JPEG of more than 40 million pixels is refused before it is decoded.
//! - Scaling never enlarges an image and keeps its aspect ratio.
//! - Drawing accepts any coordinates, including NaN, and never writes outside the image.
//!
//! # Dependencies
//!
//! The crate depends on `cv-protocol` for [`Timestamp`](cv_protocol::Timestamp) and
//! [`Object`](cv_protocol::Object). It is the only crate that names zune-jpeg (decoding),
//! jpeg-encoder (encoding) and font8x8 (letters), each in one file. `cv-capture`, `cv-detect`,
//! `cv-uplink` and the agent use it.

mod annotate;
mod decode;
mod encode;
mod frame;
pub mod huffman;
mod letters;
mod scaled;

pub use annotate::annotate;
pub use decode::{DecodeError, Rgb, RgbDecoder};
pub use encode::{
    EncodingError, Pixels, Reduction, ShrinkError, Shrinker, encode, encode_still,
    encode_with_restarts, encode_ycbcr,
};
pub use frame::{Frame, Resolution};
pub use letters::letter;
