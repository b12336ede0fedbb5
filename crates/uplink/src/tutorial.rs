//! The tutorial's wire: a picture with boxes drawn in as a data URL, and lines of text.

use bytes::Bytes;
use cv_protocol::Detections;
use cv_protocol::tutorial::{Payload, card};

use cv_picture::Resolution;
use cv_picture::{ShrinkError, Shrinker};

/// The largest picture that the tutorial's client sends.
const MOST: Resolution = Resolution {
    width: 640,
    height: 480,
};

/// Quality of the JPEG, as OpenCV's default in the tutorial's client.
const QUALITY: u8 = 95;

/// One message: the picture with the boxes of `detections` drawn in, and the text card.
pub fn payload(
    shrinker: &mut Shrinker,
    jpeg: &Bytes,
    detections: Option<&Detections>,
) -> Result<Payload, ShrinkError> {
    let objects = detections.map_or(&[][..], |detections| &detections.objects);
    let (jpeg, _) = shrinker.annotate(jpeg, objects, MOST, QUALITY)?;
    Ok(Payload::new(
        &jpeg,
        detections.map(card).unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use cv_picture::RgbDecoder;
    use cv_picture::encode;
    use cv_protocol::tutorial::DATA_URL_PREFIX;
    use cv_protocol::{Object, Timestamp};

    #[test]
    fn the_picture_fits_and_has_boxes_and_text() {
        let jpeg = encode(&vec![90; 1280 * 720 * 3], 1280, 720, 80).unwrap();
        let detections = Detections {
            seq: 1,
            captured_us: Timestamp(0),
            model: "ssd".into(),
            engine: "LiteRT".into(),
            accelerator: "XNNPACK".into(),
            infer_ms: 12.0,
            objects: vec![Object {
                label: "Cat".into(),
                score: 0.875,
                bounding_box: [0.2, 0.2, 0.8, 0.8],
                id: None,
            }],
        };
        let payload = payload(&mut Shrinker::default(), &jpeg, Some(&detections)).unwrap();
        assert_eq!(payload.text, card(&detections));
        let data = payload.image.strip_prefix(DATA_URL_PREFIX).unwrap();
        let jpeg = BASE64_STANDARD.decode(data).unwrap();
        let mut decoder = RgbDecoder::default();
        let rgb = decoder.decode(&jpeg).unwrap();
        assert_eq!((rgb.width, rgb.height), (640, 360));
        let grey = |x: usize, y: usize| rgb.pixels[(y * 640 + x) * 3].abs_diff(90) < 10;
        assert!(grey(5, 5) && grey(320, 180));
        assert!(!grey(129, 180), "no box at its left edge");
    }
}
