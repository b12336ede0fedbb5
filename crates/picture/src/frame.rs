//! The frame that all stages of the agent share, and its size.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use cv_protocol::Timestamp;

/// Width and height of an image in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resolution {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Resolution {
    /// Number of pixels: width times height.
    #[must_use]
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Resolution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('x')
            .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)))
            .filter(|&(width, height): &(u32, u32)| {
                (16..=16_384).contains(&width) && (16..=16_384).contains(&height)
            })
            .map(|(width, height)| Self { width, height })
            .ok_or_else(|| {
                format!("{text:?} is not a size; expected WIDTHxHEIGHT in pixels, 16 to 16384 each")
            })
    }
}

/// One captured JPEG with its number and time, exactly as the camera made it.
///
/// Cloning is cheap because clones share the JPEG's bytes. The bytes may be a buffer of the camera
/// driver, which the driver gets back when the last clone is dropped. No stage may therefore keep a
/// frame for longer than about one frame interval.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Sequence number, counted from 0. A gap means that frames were lost before this one.
    pub seq: u64,
    /// Time at which the camera captured the frame.
    pub captured_at: Timestamp,
    /// Size of the JPEG in pixels.
    pub resolution: Resolution,
    /// The complete JPEG, from its SOI to its EOI marker.
    pub jpeg: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolution_is_printed_as_it_is_parsed() {
        let resolution: Resolution = "640x480".parse().unwrap();
        assert_eq!(resolution.to_string(), "640x480");
        assert_eq!(resolution.pixels(), 307_200);
    }

    #[test]
    fn the_error_for_a_bad_resolution_quotes_it() {
        for text in ["640", "640x", "0x480", "640x480x3", "-1x5", "99999x10"] {
            assert!(text.parse::<Resolution>().unwrap_err().contains(text));
        }
    }
}
