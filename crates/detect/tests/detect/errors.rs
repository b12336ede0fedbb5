//! Every mistake has its own message, which names the thing and what was expected.

use std::error::Error;
use std::path::{Path, PathBuf};

use cv_detect::{Detector, DetectorConfig, EngineChoice};

/// The whole chain of what loading complains about.
fn complaint(config: &DetectorConfig) -> String {
    let mut text = String::new();
    let err = match Detector::load(config) {
        Ok(_) => panic!("it loads"),
        Err(err) => err,
    };
    let mut source: Option<&dyn Error> = Some(&err);
    while let Some(err) = source {
        text += &format!("{err}: ");
        source = err.source();
    }
    text
}

fn tflite(model: impl Into<PathBuf>) -> DetectorConfig {
    crate::setup::config(model.into(), EngineChoice::TfLite).unwrap()
}

fn test_model(name: &str) -> PathBuf {
    crate::setup::fixture("models").join(name)
}

fn check(config: &DetectorConfig, parts: &[&str]) {
    let text = complaint(config);
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn files_that_are_not_there() {
    check(
        &tflite("/no/such.tflite"),
        &["/no/such.tflite", "No such file"],
    );
    let mut config = tflite(crate::own_model());
    config.labels = Some("/no/labels.txt".into());
    check(&config, &["/no/labels.txt", "No such file"]);
    let mut config = tflite(crate::own_model());
    config.model = None;
    config.models_dir = Some("/no/models".into());
    check(&config, &["no model", "/no/models", "--model"]);
}

#[test]
fn files_that_are_no_models() {
    let picture = crate::setup::fixture("pictures/cat.jpg");
    check(
        &tflite(&picture),
        &["cat.jpg", "not a TensorFlow Lite model"],
    );
    let whole = std::fs::read(test_model("post_process_uint8.tflite")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("short.tflite");
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    check(&tflite(&file), &["short.tflite", "damaged model"]);
    std::fs::write(&file, []).unwrap();
    check(&tflite(&file), &["not a TensorFlow Lite model"]);
}

#[test]
fn a_model_for_coral_is_told_how_it_runs() {
    // The same file with the name of the custom operator that Coral's compiler writes.
    let [old, new] = ["TFLite_Detection_PostProcess", "edgetpu-custom-op"].map(|name| {
        let length = u32::try_from(name.len()).unwrap().to_le_bytes();
        [&length[..], name.as_bytes()].concat()
    });
    let mut bytes = std::fs::read(test_model("post_process_uint8.tflite")).unwrap();
    for at in 0..bytes.len() - old.len() {
        if bytes[at..].starts_with(&old) {
            bytes[at..at + old.len()].fill(0);
            bytes[at..at + new.len()].copy_from_slice(&new);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("edgetpu.tflite");
    std::fs::write(&file, bytes).unwrap();
    check(&tflite(&file), &["Edge TPU", "--detector exec:COMMAND"]);
}

#[test]
fn an_operator_without_a_rule_needs_a_trial() {
    let config = tflite(test_model("without_a_rule.tflite"));
    check(
        &config,
        &["no rule for GATHER_ND", "in a process of its own"],
    );
}

#[test]
fn labels_that_do_not_belong_to_the_model() {
    let mut config = tflite(crate::own_model());
    config.labels = Some(test_model("numbered.txt"));
    check(&config, &["3 labels", "91 classes", "class offset"]);
    config.labels = Some(crate::own_model());
    check(&config, &["labels", "UTF-8", "one label a line"]);
}

#[test]
fn classes_that_the_model_does_not_know() {
    let mut config = tflite(crate::own_model());
    config.labels_wanted = vec!["Unicorn".into()];
    check(&config, &["Unicorn", "bicycle", "wine glass"]);
    config.labels_wanted.clear();
    config.label_scores = vec!["Dragon=0.5".parse().unwrap()];
    check(&config, &["Dragon", "bicycle"]);
}

#[test]
fn engines_that_are_not_there() {
    let mut config = tflite(crate::own_model());
    config.engine = EngineChoice::LiteRt;
    config.litert_lib = Some("/no/libLiteRt.so".into());
    check(&config, &["/no/libLiteRt.so", "--engine tflite"]);
    // A library, but another one.
    config.litert_lib = [
        "/lib/x86_64-linux-gnu/libm.so.6",
        "/lib/aarch64-linux-gnu/libm.so.6",
    ]
    .into_iter()
    .map(PathBuf::from)
    .find(|path| path.exists());
    if config.litert_lib.is_some() {
        check(&config, &["libm.so.6", "LiteRtCreateEnvironment"]);
    }
}

#[test]
fn auto_goes_on_without_litert() {
    let mut config = tflite(crate::own_model());
    config.engine = EngineChoice::Auto;
    config.litert_lib = Some(Path::new("/no/libLiteRt.so").into());
    let detector = Detector::load(&config).unwrap();
    assert_eq!(detector.info().engine, "tflite");
    config.model = None;
    config.models_dir = Some(crate::setup::root().join("models"));
    let detector = Detector::load(&config).unwrap();
    assert_eq!(detector.info().engine, "tflite");
    assert_eq!(detector.info().labels, 80);
}
