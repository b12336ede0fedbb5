//! The events of the tutorial's Flask-SocketIO server, which agent and relay still understand.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::Detections;

/// Event from the tutorial's CV client to the server, on `/cv` or `/`, with a [`Payload`].
pub const CV2SERVER: &str = "cv2server";

/// Event from the server to the tutorial's page, on `/web`, with a [`Payload`].
pub const SERVER2WEB: &str = "server2web";

/// Prefix of every JPEG data URL.
pub const DATA_URL_PREFIX: &str = "data:image/jpeg;base64,";

/// Maximum length of a text that the relay passes on, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 16 << 10;

/// Separator between the lines of a text.
pub const LINE_BREAK: &str = "<br />";

/// Maximum number of objects in a text. Nobody can read more beside live video.
const MAX_OBJECTS: usize = 50;

/// Argument of the tutorial's events: a frame and the text beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The frame's JPEG as a data URL; see [`DATA_URL_PREFIX`].
    pub image: String,
    /// Lines of text, joined by [`LINE_BREAK`].
    pub text: String,
}

impl Payload {
    /// Creates a payload from a JPEG and the text beside it.
    #[must_use]
    pub fn new(jpeg: &[u8], text: String) -> Self {
        let mut image = String::with_capacity(DATA_URL_PREFIX.len() + jpeg.len().div_ceil(3) * 4);
        image.push_str(DATA_URL_PREFIX);
        BASE64_STANDARD.encode_string(jpeg, &mut image);
        Self { image, text }
    }
}

/// Writes detections as the lines of the tutorial's text card.
///
/// The tutorial's page inserts the text into the document as HTML, so names are escaped.
#[must_use]
pub fn card(found: &Detections) -> String {
    let mut text = format!(
        "Model: {}{LINE_BREAK}Engine: {}{LINE_BREAK}Accelerator: {}{LINE_BREAK}\
         Inference time: {:.3} s{LINE_BREAK}Objects:",
        escape(&found.model),
        escape(&found.engine),
        escape(&found.accelerator),
        found.infer_ms / 1000.0
    );
    for object in found.objects.iter().take(MAX_OBJECTS) {
        let label = escape(&object.label);
        // Writing to a `String` does not fail.
        let _ = write!(text, "{LINE_BREAK}{label}: {:.2}%", object.score * 100.0);
    }
    text
}

/// Escapes `text` for HTML, so that a browser shows it unchanged.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Object, Timestamp};

    #[test]
    fn the_text_card_has_the_tutorials_lines() {
        let dog = Object {
            label: "<b>Dog</b>".into(),
            score: 0.875,
            bounding_box: [0.0; 4],
            id: None,
        };
        let mut found = Detections {
            seq: 1,
            captured_us: Timestamp(1),
            model: "ssd".into(),
            engine: "LiteRT".into(),
            accelerator: "XNNPACK".into(),
            infer_ms: 12.4,
            objects: vec![dog.clone()],
        };
        assert_eq!(
            card(&found),
            "Model: ssd<br />Engine: LiteRT<br />Accelerator: XNNPACK<br />\
             Inference time: 0.012 s<br />Objects:<br />&lt;b&gt;Dog&lt;/b&gt;: 87.50%"
        );
        found.objects = vec![dog; 1000];
        assert!(card(&found).len() < MAX_TEXT_BYTES);
    }
}
