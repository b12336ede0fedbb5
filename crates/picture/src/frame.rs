//! The picture that every stage shares.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use cv_protocol::Timestamp;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resolution {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Resolution {
    /// Number of pixels.
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

/// One picture as the camera made it.
///
/// Cloning is cheap: the bytes are shared, and may be a buffer of the driver that goes back to it
/// when the last clone is dropped. So nobody keeps a frame longer than the next one takes to come.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Counts the captured pictures from 0; gaps are pictures that were lost.
    pub seq: u64,
    /// When the picture was taken.
    pub captured_at: Timestamp,
    /// Size of the picture.
    pub resolution: Resolution,
    /// A whole JPEG picture, from SOI to EOI.
    pub jpeg: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolution_is_read_and_written_alike() {
        let resolution: Resolution = "640x480".parse().unwrap();
        assert_eq!(resolution.to_string(), "640x480");
        assert_eq!(resolution.pixels(), 307_200);
    }

    #[test]
    fn bad_resolutions_are_refused_with_the_text() {
        for text in ["640", "640x", "0x480", "640x480x3", "-1x5", "99999x10"] {
            assert!(text.parse::<Resolution>().unwrap_err().contains(text));
        }
    }
}
