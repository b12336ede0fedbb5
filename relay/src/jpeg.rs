//! The little that a relay has to know about a JPEG: that it is one, and how large its picture is.

/// Why bytes are not taken for a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJpeg {
    /// Something else, or damaged before the picture's size.
    #[error("not a JPEG (it does not start with FF D8 FF)")]
    Start,
    /// The segments end before a frame header.
    #[error("a JPEG without a frame header (SOF)")]
    NoFrameHeader,
}

/// Whether the bytes begin like a JPEG; enough for pictures whose size is told beside them.
#[must_use]
pub fn looks_like_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

/// Width and height in pixels, from the frame header (ITU T.81, B.2.2).
///
/// # Errors
///
/// [`NotJpeg`] if the bytes do not begin like a JPEG or have no frame header.
pub fn size(bytes: &[u8]) -> Result<(u32, u32), NotJpeg> {
    if !looks_like_jpeg(bytes) {
        return Err(NotJpeg::Start);
    }
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        let &[0xff, marker, ref after @ ..] = rest else {
            return Err(NotJpeg::NoFrameHeader);
        };
        match marker {
            // A fill byte: the marker follows.
            0xff => rest = rest.get(1..).unwrap_or_default(),
            // Markers without a segment.
            0x01 | 0xd0..=0xd7 => rest = after,
            // All frame headers, without DHT (c4), JPG (c8) and DAC (cc).
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let &[_, _, _precision, y1, y0, x1, x0, ..] = after else {
                    return Err(NotJpeg::NoFrameHeader);
                };
                let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
                return Ok((side(x1, x0), side(y1, y0)));
            }
            // End of image or start of scan: too late for a frame header.
            0xd9 | 0xda => return Err(NotJpeg::NoFrameHeader),
            _ => {
                let &[high, low, ..] = after else {
                    return Err(NotJpeg::NoFrameHeader);
                };
                let length = usize::from(u16::from_be_bytes([high, low]));
                rest = after.get(length.max(2)..).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOF: [u8; 11] = [0xff, 0xc0, 0, 17, 8, 0x01, 0xe0, 0x02, 0x80, 3, 1];

    #[test]
    fn the_size_is_found_behind_other_segments() {
        let mut bytes = vec![
            0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xc4, 0, 3, 0,
        ];
        bytes.extend(SOF);
        assert_eq!(size(&bytes), Ok((640, 480)));
    }

    #[test]
    fn damaged_pictures_are_errors_and_never_a_panic() {
        let mut whole = vec![0xff, 0xd8];
        whole.extend(SOF);
        assert_eq!(size(&whole), Ok((640, 480)));
        for end in 0..9 {
            assert!(size(&whole[..end]).is_err(), "{end}");
        }
        assert_eq!(size(b"GIF89a"), Err(NotJpeg::Start));
        assert_eq!(size(&[0xff, 0xd8, 0xff, 0xd9]), Err(NotJpeg::NoFrameHeader));
        assert_eq!(
            size(&[0xff, 0xd8, 0xff, 0xe1, 0, 0]),
            Err(NotJpeg::NoFrameHeader)
        );
    }
}
