//! What can be wrong with a JPEG that is to be decoded.

/// Largest picture that is decoded at its own size: 120 MB of RGB.
pub const MAX_PIXELS: usize = 40_000_000;

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
