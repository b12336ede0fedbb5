//! On the demo clip, searching on motion misses nothing that searching always finds.

use cv_detect::{Detector, EngineChoice, Motion, SearchWhen, Tracker};
use cv_picture::RgbDecoder;
use cv_protocol::Timestamp;

/// Time between the clip's frames, in microseconds.
const FRAME_US: u64 = 66_667;

/// The pictures of a file of JPEGs back to back.
fn pictures(file: &[u8]) -> Vec<&[u8]> {
    const BETWEEN: [u8; 4] = [0xff, 0xd9, 0xff, 0xd8];
    let mut pictures = Vec::new();
    let mut start = 0;
    for at in 0..file.len() {
        if file[at..].starts_with(&BETWEEN) {
            pictures.push(&file[start..at + 2]);
            start = at + 2;
        }
    }
    pictures.push(&file[start..]);
    pictures
}

#[test]
fn motion_misses_no_object_of_the_demo_clip() {
    let Some(config) = crate::setup::config(crate::own_model(), EngineChoice::LiteRt) else {
        return;
    };
    let clip = std::fs::read(crate::setup::root().join("models/clip/demo.mjpeg")).unwrap();
    let pictures = pictures(&clip);
    assert!(pictures.len() > 50, "{}", pictures.len());
    let when = SearchWhen::default();
    let mut detector = Detector::load(&config).unwrap();
    let mut decoder = RgbDecoder::new();
    let (mut always, mut on_motion) = (Tracker::new(), Tracker::new());
    let mut motion = Motion::new();
    let (mut searched, mut first_seen) = (Vec::new(), Vec::new());
    let (mut known, mut last_search) = (0, None);
    let mut found = Vec::new();
    for (number, jpeg) in pictures.iter().enumerate() {
        let time = number as u64 * FRAME_US;
        let picture = decoder.decode(jpeg).unwrap();
        detector.detect_rgb(picture, &mut found).unwrap();
        let mut same = found.clone();
        always.update(&mut found, Timestamp(time));
        if always.counts().found > known {
            known = always.counts().found;
            first_seen.push(number);
        }
        // What the agent does with --detect-on motion.
        let present = on_motion.counts().found > on_motion.counts().lost;
        let moved = motion.moved(picture, when.sensitivity);
        let overdue =
            last_search.is_none_or(|last| u128::from(time - last) >= when.at_least.as_micros());
        let wanted = moved || present || overdue;
        if wanted {
            motion.searched();
            last_search = Some(time);
            on_motion.update(&mut same, Timestamp(time));
        }
        searched.push(wanted);
    }
    let count = searched.iter().filter(|searched| **searched).count();
    println!("searched {count} of {}, {known} objects", searched.len());
    assert!(known >= 3, "{known} objects");
    for first in first_seen {
        let soon = searched.iter().skip(first).take(2);
        assert!(soon.into_iter().any(|searched| *searched), "frame {first}");
    }
}
