//! Models of every shape that is understood (`scripts/make-test-models`), in both engines.

use cv_detect::{Detection, Detector, DetectorConfig, EngineChoice, iou};

/// Where the models find red, green and blue: left, middle and right.
const PLACES: [[f32; 4]; 3] = [
    [0.3, 0.1, 0.7, 0.3],
    [0.3, 0.4, 0.7, 0.6],
    [0.3, 0.7, 0.7, 0.9],
];

/// The first three of the usual anchors for 32 pixels.
const FIRST_ANCHORS: [[f32; 4]; 3] = [
    [0.2, 0.2, 0.3, 0.3],
    [
        0.25 - 0.070_71,
        0.25 - 0.141_42,
        0.25 + 0.070_71,
        0.25 + 0.141_42,
    ],
    [
        0.25 - 0.141_42,
        0.25 - 0.070_71,
        0.25 + 0.141_42,
        0.25 + 0.070_71,
    ],
];

/// Score of the right class: the sigmoid of 4.
const SCORE: f32 = 0.982;

fn config(model: &str, labels: Option<&str>, engine: EngineChoice) -> Option<DetectorConfig> {
    let models = crate::setup::fixture("models");
    let mut config = crate::setup::config(models.join(model).with_extension("tflite"), engine)?;
    config.labels = labels.map(|labels| models.join(labels));
    // Grey scores 0.5 for everything.
    config.min_score = 0.6;
    Some(config)
}

fn detect(detector: &mut Detector, colour: [u8; 3]) -> Vec<(String, Detection)> {
    let mut found = Vec::new();
    detector
        .detect(crate::setup::picture(colour), &mut found)
        .unwrap();
    let labels = detector.labels();
    found
        .iter()
        .map(|found| (labels.name(found.class).into_owned(), *found))
        .collect()
}

/// Checks that each colour is found, and found alone, under its name at its place.
fn finds_colours(model: &str, labels: Option<&str>, names: [&str; 3], places: [[f32; 4]; 3]) {
    for engine in [EngineChoice::TfLite, EngineChoice::LiteRt] {
        let Some(config) = config(model, labels, engine) else {
            continue;
        };
        let mut detector =
            Detector::load(&config).unwrap_or_else(|err| panic!("{model} in {engine:?}: {err:?}"));
        let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
        for ((colour, name), place) in colours.into_iter().zip(names).zip(places) {
            let found = detect(&mut detector, colour);
            let context = format!("{model} in {engine:?}, {colour:?}: {found:?}");
            let [(label, detection)] = found.as_slice() else {
                panic!("{context}");
            };
            assert_eq!(label, name, "{context}");
            assert!((detection.score - SCORE).abs() < 0.01, "{context}");
            assert!(iou(&detection.bounding_box, &place) > 0.97, "{context}");
        }
        assert!(detect(&mut detector, [128; 3]).is_empty());
    }
}

const COLOURS: [&str; 3] = ["red", "green", "blue"];

#[test]
fn post_processed_uint8_with_the_background_in_its_labels() {
    let labels = Some("background_first.txt");
    finds_colours("post_process_uint8", labels, COLOURS, PLACES);
}

#[test]
fn post_processed_without_shapes() {
    let labels = Some("background_first.txt");
    finds_colours("post_process_unshaped", labels, COLOURS, PLACES);
}

#[test]
fn post_processed_int8_in_reverse_order_with_numbered_labels() {
    finds_colours("post_process_int8", Some("numbered.txt"), COLOURS, PLACES);
}

#[test]
fn post_processed_float_in_mixed_order_with_a_signature() {
    finds_colours("post_process_float", Some("list.json"), COLOURS, PLACES);
}

#[test]
fn outputs_are_told_by_their_names() {
    finds_colours("named_outputs", Some("list.json"), COLOURS, PLACES);
}

#[test]
fn efficientdet_brings_its_labels_and_normalization() {
    finds_colours("efficientdet", None, COLOURS, PLACES);
}

#[test]
fn raw_int8_heads_with_the_usual_anchors() {
    // Three labels for four columns: the first column is the background.
    finds_colours("raw_int8", Some("list.json"), COLOURS, FIRST_ANCHORS);
    finds_colours(
        "raw_int8",
        Some("background_first.txt"),
        COLOURS,
        FIRST_ANCHORS,
    );
}

#[test]
fn ids_from_1_are_those_of_objects() {
    let dir = tempfile::tempdir().unwrap();
    let labels = dir.path().join("from_1.txt");
    std::fs::write(&labels, "1 red\n2 green\n3 blue\n").unwrap();
    let labels = labels.to_str();
    finds_colours("post_process_uint8", labels, COLOURS, PLACES);
    finds_colours("raw_int8", labels, COLOURS, FIRST_ANCHORS);
}

#[test]
fn raw_scores_with_anchors_of_their_own() {
    finds_colours("raw_with_anchors", Some("list.json"), COLOURS, PLACES);
}

#[test]
fn raw_uint8_heads_with_dimensions_of_one() {
    finds_colours("raw_uint8", Some("background_first.txt"), COLOURS, PLACES);
}

#[test]
fn operators_of_plain_conversions() {
    finds_colours("operators", Some("background_first.txt"), COLOURS, PLACES);
}

#[test]
fn eighty_names_fit_the_ids_of_coco() {
    let names = ["person", "stop sign", "toothbrush"];
    let labels = crate::setup::root().join("models/ssdlite_mobilenet_v2_coco.labels.txt");
    let own = std::fs::read_to_string(labels).unwrap();
    let dense: Vec<&str> = own.lines().filter(|line| *line != "???").collect();
    assert_eq!(dense.len(), 80);
    let dir = tempfile::tempdir().unwrap();
    let labels = dir.path().join("dense.txt");
    std::fs::write(&labels, dense.join("\n")).unwrap();
    finds_colours("coco_ids", labels.to_str(), names, PLACES);
}

#[test]
fn classes_without_labels_have_numbers() {
    let names = ["class 0", "class 1", "class 2"];
    finds_colours("post_process_uint8", None, names, PLACES);
}

#[test]
fn the_class_offset_can_be_set() {
    let mut config = config(
        "post_process_uint8",
        Some("list.json"),
        EngineChoice::TfLite,
    )
    .unwrap();
    config.class_offset = Some(1);
    let mut detector = Detector::load(&config).unwrap();
    assert_eq!(detect(&mut detector, [255, 0, 0])[0].0, "green");
    config.class_offset = Some(-1);
    let mut detector = Detector::load(&config).unwrap();
    assert!(detect(&mut detector, [255, 0, 0]).is_empty());
    assert_eq!(detect(&mut detector, [0, 255, 0])[0].0, "red");
}

#[test]
fn a_class_offset_leaves_the_background_out() {
    for (labels, offset) in [
        ("background_first.txt", 0),
        // The background is a column of the model, but not a label: it falls off.
        ("list.json", -1),
    ] {
        let mut config = config("raw_int8", Some(labels), EngineChoice::TfLite).unwrap();
        config.class_offset = Some(offset);
        // Everything, the background too if it were a class.
        config.min_score = 0.0;
        config.max_objects = 1000;
        let mut detector = Detector::load(&config).unwrap();
        let found = detect(&mut detector, [255, 0, 0]);
        assert_eq!(found[0].0, "red", "{labels}: {found:?}");
        assert!(
            found.iter().all(|(label, _)| COLOURS.contains(&&**label)),
            "{labels}: {found:?}"
        );
    }
}

#[test]
fn only_wanted_classes_above_their_scores_are_reported() {
    for model in ["post_process_uint8", "raw_uint8"] {
        let labels = Some("background_first.txt");
        let mut config = config(model, labels, EngineChoice::TfLite).unwrap();
        config.min_score = 0.05;
        // Yellow is red and green alike.
        let all = detect(&mut Detector::load(&config).unwrap(), [255, 255, 0]);
        assert_eq!(all.len(), 2, "{all:?}");
        config.labels_wanted = vec!["Green".into(), "blue".into()];
        let some = detect(&mut Detector::load(&config).unwrap(), [255, 255, 0]);
        assert_eq!(some.len(), 1);
        assert_eq!(some[0].0, "green");
        config.label_scores = vec!["green=0.9".parse().unwrap()];
        let none = detect(&mut Detector::load(&config).unwrap(), [255, 255, 0]);
        assert!(none.is_empty(), "{none:?}");
        config.labels_wanted.clear();
        config.label_scores.clear();
        config.max_objects = 1;
        let best = detect(&mut Detector::load(&config).unwrap(), [255, 255, 0]);
        assert_eq!(best.len(), 1);
    }
}
