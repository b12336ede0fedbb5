//! The payloads of the tutorial's programs: a picture as a data URL, and text lines.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use cv_protocol::tutorial::{DATA_URL_PREFIX, MAX_TEXT_BYTES, Payload};
use cv_protocol::{Detections, MAX_FRAME_BYTES};

use crate::jpeg;

/// What separates the lines of a text.
const LINE_BREAK: &str = "<br />";

/// Most objects named in a text; more cannot be read beside a picture anyway.
const MAX_OBJECTS: usize = 50;

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

/// A `server2web` payload of a picture and its text.
#[must_use]
pub fn payload(jpeg: &[u8], text: String) -> Payload {
    let mut image = String::with_capacity(DATA_URL_PREFIX.len() + jpeg.len().div_ceil(3) * 4);
    image.push_str(DATA_URL_PREFIX);
    BASE64_STANDARD.encode_string(jpeg, &mut image);
    Payload { image, text }
}

/// The lines of the tutorial's card for what was found.
///
/// Its page puts the text into the document as HTML, so names are stripped of markup here.
#[must_use]
pub fn text(found: &Detections) -> String {
    let mut text = format!(
        "Model: {}{LINE_BREAK}Engine: {}{LINE_BREAK}Accelerator: {}{LINE_BREAK}\
         Inference time: {:.3} s{LINE_BREAK}Objects:",
        plain(&found.model),
        plain(&found.engine),
        plain(&found.accelerator),
        found.infer_ms / 1000.0
    );
    for object in found.objects.iter().take(MAX_OBJECTS) {
        // Writing to a `String` does not fail.
        let _ = write!(
            text,
            "{LINE_BREAK}{}: {:.2}%",
            plain(&object.label),
            object.score * 100.0
        );
    }
    text
}

/// `text` without the characters that HTML gives a meaning.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '<' | '>' | '&' | '"' | '\''))
        .collect()
}

/// Lines of a tutorial's client, made harmless for pages that show them as HTML: all but its line
/// breaks is text.
#[must_use]
pub fn harmless(text: &str) -> String {
    let lines: Vec<_> = text.split(LINE_BREAK).map(escape).collect();
    lines.join(LINE_BREAK)
}

fn escape(line: &str) -> String {
    line.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_protocol::{Object, Timestamp};

    const JPEG: [u8; 13] = [
        0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0x01, 0xe0, 0x02, 0x80, 3, 1,
    ];

    #[test]
    fn a_payload_survives_the_way_there_and_back() {
        let made = payload(&JPEG, "a".into());
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
    fn the_card_has_the_tutorial_s_lines() {
        let found = Detections {
            seq: 1,
            captured_us: Timestamp(1),
            model: "ssd".into(),
            engine: "LiteRT".into(),
            accelerator: "XNNPACK".into(),
            infer_ms: 12.4,
            objects: vec![Object {
                label: "<b>Dog</b>".into(),
                score: 0.875,
                bounding_box: [0.0; 4],
                id: None,
            }],
        };
        assert_eq!(
            text(&found),
            "Model: ssd<br />Engine: LiteRT<br />Accelerator: XNNPACK<br />\
             Inference time: 0.012 s<br />Objects:<br />bDog/b: 87.50%"
        );
    }

    #[test]
    fn only_line_breaks_keep_their_meaning() {
        assert_eq!(
            harmless("a<br /><script>x</script>&"),
            "a<br />&lt;script&gt;x&lt;/script&gt;&amp;"
        );
    }
}
