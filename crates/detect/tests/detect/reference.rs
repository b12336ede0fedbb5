//! Agreement with the same model in LiteRT's Python package (`scripts/make-reference`).

use cv_detect::{Detection, Detector, EngineChoice, iou};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    min_score: f32,
    pictures: Vec<Picture>,
}

#[derive(Deserialize)]
struct Picture {
    file: String,
    width: usize,
    height: usize,
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    label: String,
    score: f32,
    #[serde(rename = "box")]
    bounding_box: [f32; 4],
}

/// Checks that every object is found in every `step`-th picture, and nothing else, within the
/// limits. They leave room for the 256 steps of an int8 model's scores: neighbouring anchors often
/// tie, and either one's box may win in another runtime.
fn agrees(engine: EngineChoice, step: usize, min_iou: f32, max_score_difference: f32) {
    let Some(mut config) = crate::setup::config(crate::own_model(), engine) else {
        return;
    };
    let reference = std::fs::read(crate::setup::fixture("reference.json")).unwrap();
    let reference: Reference = serde_json::from_slice(&reference).unwrap();
    assert!(reference.pictures.len() >= 10);
    config.min_score = reference.min_score;
    let mut detector = Detector::load(&config).unwrap();
    let mut found = Vec::new();
    let mut objects = 0;
    let (mut worst_iou, mut worst_score) = (1.0_f32, 0.0_f32);
    for picture in reference.pictures.iter().step_by(step) {
        let file = &picture.file;
        let jpeg = std::fs::read(crate::setup::fixture("pictures").join(file)).unwrap();
        let times = detector.detect(&jpeg, &mut found).unwrap();
        assert_eq!((times.width, times.height), (picture.width, picture.height));
        let labels = detector.labels().clone();
        let name = |found: &Detection| labels.name(found.class).into_owned();
        assert_eq!(found.len(), picture.objects.len(), "{file}: {found:?}");
        for expected in &picture.objects {
            let (overlap, best) = found
                .iter()
                .filter(|found| name(found) == expected.label)
                .map(|found| (iou(&found.bounding_box, &expected.bounding_box), found))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .unwrap_or_else(|| panic!("{file}: no {}", expected.label));
            let difference = (best.score - expected.score).abs();
            assert!(
                overlap > min_iou,
                "{file}: {} at IoU {overlap}",
                expected.label
            );
            assert!(
                difference < max_score_difference,
                "{file}: {} scores {}, expected {}",
                expected.label,
                best.score,
                expected.score
            );
            worst_iou = worst_iou.min(overlap);
            worst_score = worst_score.max(difference);
            objects += 1;
        }
    }
    assert!(objects >= 5);
    println!(
        "{engine:?}: {objects} objects, IoU at least {worst_iou:.4}, scores within {worst_score:.4}"
    );
}

#[test]
fn litert_agrees_with_the_reference() {
    agrees(EngineChoice::LiteRt, 1, 0.8, 0.05);
}

// Few pictures: each takes seconds where TensorFlow Lite has no fast code for int8.
#[test]
fn tflite_agrees_with_the_reference() {
    agrees(EngineChoice::TfLite, 4, 0.8, 0.1);
}
