//! What `cv-agent model` prints about models and engines, and how the agent treats hostile models.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use cv_detect::{Detector, EngineChoice};

/// Returns a command that runs the agent's binary without any settings.
fn agent() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cv-agent"));
    command.env_clear().env("HOME", "/nonexistent");
    command
}

/// Runs `cv-agent model`, with LiteRT if the tests have its library.
pub fn inspect(file: &Path, arguments: &[&str]) -> Output {
    let library = crate::setup::litert().unwrap_or_else(|| "/no/libLiteRt.so".into());
    let mut command = agent();
    command.arg("model").arg(file).args(arguments);
    command.arg("--litert-lib").arg(library).output().unwrap()
}

/// Returns standard output and standard error of a process that ended without a signal.
fn texts(output: &Output) -> (String, String) {
    assert!(output.status.code().is_some(), "{output:?}");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_usable_model_is_described() {
    let file = crate::setup::fixture("models/efficientdet.tflite");
    let (text, complaint) = texts(&inspect(&file, &[]));
    for part in [
        "efficientdet.tflite (3635 bytes)\n",
        "uint8 [1, 32, 32, 3]",
        "as its metadata says",
        "float32 [1, 5, 4]",
        "TFLite_Detection_PostProcess",
        "labelmap.txt: red, green, blue\n",
        "up to 5 objects; class 0 is \"red\"\n",
        "\ntflite:    loads in ",
        "\nLiteRT:    ",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}{complaint}");
    }
    let (text, _) = texts(&inspect(&file, &["--json"]));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["name"], "EfficientDet-like");
    assert_eq!(json["outputs"].as_array().unwrap().len(), 4);
    assert!(json["engines"]["tflite"].as_str().unwrap().contains("ms"));
}

#[test]
fn an_operator_without_a_rule_is_tried_and_reported() {
    let file = crate::setup::fixture("models/without_a_rule.tflite");
    let (text, complaint) = texts(&inspect(&file, &[]));
    for part in ["No rule:   GATHER_ND: ", "\ntflite:    loads in "] {
        assert!(text.contains(part), "{part:?} is not in {text}{complaint}");
    }
    // The detector of the library is not the agent's program: it is told which one is.
    let mut config = crate::setup::config(file, EngineChoice::TfLite).unwrap();
    config.trial = Some(env!("CARGO_BIN_EXE_cv-agent").into());
    Detector::load(&config).unwrap();
    config.trial = Some("/no/such/program".into());
    let err = Detector::load(&config).err().unwrap().to_string();
    assert!(err.contains("no rule for GATHER_ND"), "{err}");
}

#[test]
fn a_model_that_cannot_be_used_is_described_all_the_same() {
    // Two labels for a model with four class columns.
    let dir = tempfile::tempdir().unwrap();
    let labels = dir.path().join("labels.txt");
    std::fs::write(&labels, "red\ngreen\n").unwrap();
    let file = crate::setup::fixture("models/raw_int8.tflite");
    let output = inspect(&file, &["--labels", labels.to_str().unwrap()]);
    let (text, complaint) = texts(&output);
    assert_eq!(output.status.code(), Some(78));
    assert!(text.contains("int8 [1, 42, 4]"), "{text}");
    assert!(
        complaint.contains("2 labels do not fit a model of 4 classes"),
        "{complaint}"
    );
}

#[test]
fn for_a_model_without_detections_the_expected_outputs_are_named() {
    // Changes the shape of both outputs, and of the operators that produce them, from [1, 42, 4] to
    // [1, 24, 7].
    let [old, new] = [[1, 42, 4], [1, 24, 7]].map(|shape: [i32; 3]| {
        shape
            .into_iter()
            .flat_map(i32::to_le_bytes)
            .collect::<Vec<u8>>()
    });
    let mut bytes = std::fs::read(crate::setup::fixture("models/raw_int8.tflite")).unwrap();
    for at in (0..bytes.len() - old.len()).step_by(4) {
        if bytes[at..].starts_with(&old) {
            bytes[at..at + new.len()].copy_from_slice(&new);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("other.tflite");
    std::fs::write(&file, bytes).unwrap();
    let output = inspect(&file, &[]);
    let (text, complaint) = texts(&output);
    assert_eq!(output.status.code(), Some(78));
    assert!(text.contains("int8 [1, 24, 7]"), "{text}");
    assert!(text.contains("\ntflite:    loads in "), "{text}");
    for part in [
        "its outputs are not understood",
        "int8 [1, 24, 7]",
        "expected boxes [1, N, 4], classes [1, N], scores [1, N]",
    ] {
        assert!(complaint.contains(part), "{part:?} is not in {complaint}");
    }
}

#[test]
fn a_truncated_model_is_refused() {
    let whole = std::fs::read(crate::setup::fixture("models/efficientdet.tflite")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("part.tflite");
    // The file ends with the packed labels. Without them, the model is still complete.
    for length in (0..2000).step_by(97) {
        std::fs::write(&file, &whole[..length]).unwrap();
        let output = inspect(&file, &[]);
        let (_, complaint) = texts(&output);
        assert_eq!(output.status.code(), Some(78), "{length}: {complaint}");
        let reason = ["not a TensorFlow Lite model", "damaged model"];
        assert!(
            complaint.contains("part.tflite") && reason.iter().any(|part| complaint.contains(part)),
            "{length}: {complaint}"
        );
    }
}

#[test]
fn a_model_that_crashes_an_engine_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("dies");
    for (script, reason) in [
        ("kill -SEGV $$", "tflite crashes (signal 11)"),
        ("exit 3", "tflite gives up (exit status: 3)"),
        ("cat >/dev/null; echo nonsense", "tflite gives up"),
    ] {
        // The script runs through `sh`, because a file that was just written may still be busy.
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        let executable = PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, executable).unwrap();
        let model = crate::setup::fixture("models/raw_int8.tflite");
        let mut config = crate::setup::config(model, EngineChoice::TfLite).unwrap();
        config.trial = Some(program.clone());
        let err = Detector::load(&config).err().unwrap().to_string();
        assert!(err.contains(reason), "{err}");
    }
}

/// Starts the agent, and returns its log line about the engine.
fn start(arguments: &[&str]) -> String {
    let output = agent()
        .args(["--source", "test", "--seconds", "0.1", "--use-streamer"])
        .args([
            "--streamer-host",
            "127.0.0.1",
            "--streamer-port",
            "0",
            "--models-dir",
        ])
        .arg(crate::setup::root().join("models"))
        .args(arguments)
        .output()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    let line = log.lines().find_map(|line| line.split("Engine: ").nth(1));
    line.unwrap_or_else(|| panic!("{log}")).to_owned()
}

#[test]
fn the_choice_of_an_engine_is_explained() {
    let missing = ["--litert-lib", "/no/libLiteRt.so"];
    assert_eq!(start(&missing), "tflite (LiteRT's library is not there)");
    let asked = start(&[&missing[..], &["--engine", "tflite"]].concat());
    assert_eq!(asked, "tflite (asked for)");
    if let Some(library) = crate::setup::litert() {
        let library = ["--litert-lib", library.to_str().unwrap()];
        let chosen = start(&library);
        if cfg!(target_arch = "x86_64") {
            assert_eq!(chosen, "LiteRT (the fastest on this kind of processor)");
        } else {
            // The agent has timed both engines.
            assert!(chosen.contains("tflite takes"), "{chosen}");
        }
    }
}
