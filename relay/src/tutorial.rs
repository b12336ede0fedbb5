//! The payloads of the tutorial's programs: a picture as a data URL, and text lines.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use cv_protocol::MAX_FRAME_BYTES;
use cv_protocol::tutorial::{DATA_URL_PREFIX, LINE_BREAK, MAX_TEXT_BYTES, escape};

use crate::jpeg;

/// Why a `cv2server` payload is refused.
#[derive(Debug, thiserror::Error)]
pub enum BadPayload {
    /// The picture does not start with [`DATA_URL_PREFIX`].
    #[error("cv2server: image is not a data URL (expected {DATA_URL_PREFIX}...)")]
    NotDataUrl,
    /// The picture is not base64.
    #[error("cv2server: image is not base64: {0}")]
    NotBase64(base64::DecodeError),
    /// The picture is not a JPEG.
    #[error("cv2server: image is {0}")]
    NotJpeg(#[from] jpeg::NotJpeg),
    /// The picture is too large.
    #[error("cv2server: image has {bytes} bytes; {MAX_FRAME_BYTES} are allowed")]
    ImageTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The text is too long.
    #[error("cv2server: text has {bytes} bytes; {MAX_TEXT_BYTES} are allowed")]
    TextTooLong {
        /// Its length.
        bytes: usize,
    },
}

/// A picture that came as a data URL.
#[derive(Debug)]
pub struct Picture {
    /// The JPEG.
    pub jpeg: Bytes,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// Checks a `cv2server` payload and decodes its picture.
///
/// # Errors
///
/// [`BadPayload`] says what is wrong with it.
pub fn decode(image: &str, text: &str) -> Result<Picture, BadPayload> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(BadPayload::TextTooLong { bytes: text.len() });
    }
    let encoded = image
        .strip_prefix(DATA_URL_PREFIX)
        .ok_or(BadPayload::NotDataUrl)?;
    let bytes = encoded.len() / 4 * 3;
    if bytes > MAX_FRAME_BYTES + 2 {
        return Err(BadPayload::ImageTooLarge { bytes });
    }
    let jpeg = BASE64_STANDARD
        .decode(encoded.trim_ascii_end())
        .map_err(BadPayload::NotBase64)?;
    let (width, height) = jpeg::size(&jpeg)?;
    Ok(Picture {
        jpeg: jpeg.into(),
        width,
        height,
    })
}

/// Lines of a tutorial's client, made harmless for pages that show them as HTML: all but its line
/// breaks is text.
#[must_use]
pub fn harmless(text: &str) -> String {
    let lines: Vec<_> = text.split(LINE_BREAK).map(escape).collect();
    lines.join(LINE_BREAK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_protocol::tutorial::Payload;

    const JPEG: [u8; 13] = [
        0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0x01, 0xe0, 0x02, 0x80, 3, 1,
    ];

    #[test]
    fn a_payload_survives_the_way_there_and_back() {
        let made = Payload::new(&JPEG, "a".into());
        let picture = decode(&made.image, &made.text).unwrap();
        assert_eq!(picture.jpeg, JPEG.as_slice());
        assert_eq!((picture.width, picture.height), (640, 480));
    }

    #[test]
    fn hostile_payloads_are_refused_with_the_reason() {
        let message = |image: &str, text: &str| decode(image, text).unwrap_err().to_string();
        assert!(message("http://x", "").contains("data URL"));
        assert!(message("data:image/jpeg;base64,***", "").contains("base64"));
        assert!(message("data:image/jpeg;base64,AAAA", "").contains("not a JPEG"));
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        assert!(message("", &long).contains("16385 bytes"));
        let large = format!("{DATA_URL_PREFIX}{}", "A".repeat(12 << 20));
        assert!(message(&large, "").contains("8388608 are allowed"));
    }

    #[test]
    fn only_line_breaks_keep_their_meaning() {
        assert_eq!(
            harmless("a<br /><script>x</script>&"),
            "a<br />&lt;script&gt;x&lt;/script&gt;&amp;"
        );
    }
}
