//! Mistakes that users make, and the message that each mistake causes.

use std::io::Write as _;

use crate::agent::{Agent, command};

/// Runs an agent that is expected to end at once, and returns its exit status and standard error.
fn ends(args: &[&str]) -> (i32, String) {
    let output = command(args).output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[track_caller]
fn refused(args: &[&str], parts: &[&str]) {
    let (code, said) = ends(args);
    assert_eq!(code, 78, "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
}

#[test]
fn an_unknown_flag_is_refused() {
    refused(&["--sorce", "test"], &["--sorce", "--source"]);
}

#[test]
fn values_out_of_range_are_refused() {
    refused(&["--stream-fps", "0"], &["--stream-fps", "0.05 to 240"]);
    refused(&["--server-port", "70000"], &["70000", "1 to 65535"]);
    refused(&["--max-size", "big"], &["big", "WIDTHxHEIGHT"]);
    refused(
        &["--server", "ftp://x"],
        &["ftp://x", "http(s)://host:port"],
    );
    refused(&["--name", "a/b"], &["--name", "'/'"]);
    refused(&["--control", "brightness"], &["NAME=VALUE"]);
    refused(&["--source", "rtsp://x"], &["exec:ffmpeg"]);
}

#[test]
fn an_unknown_key_or_a_bad_value_in_the_file_is_refused() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"strem-fps = 10\n").unwrap();
    let path = file.path().to_str().unwrap();
    refused(&["--config", path], &[path, "strem-fps", "stream-fps"]);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"stream-fps = \"fast\"\n").unwrap();
    let path = file.path().to_str().unwrap();
    refused(
        &["--config", path],
        &[path, "stream-fps", "fast", "0.05 to 240"],
    );
    refused(&["--config", "/nonexistent"], &["/nonexistent"]);
}

#[test]
fn an_unknown_or_a_bad_environment_variable_is_refused() {
    for (name, value, part) in [
        ("CV_AGENT_STREM_FPS", "10", "CV_AGENT_STREAM_FPS"),
        ("CV_AGENT_STREAM_FPS", "fast", "0.05 to 240"),
    ] {
        let output = command(&["--source", "test"])
            .env(name, value)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(name) && said.contains(part), "{said}");
    }
}

#[test]
fn the_agent_names_a_missing_camera_and_waits_for_it() {
    let mut agent = Agent::start(&["--source", "/dev/video99", "--no-detect"]);
    let line = agent.says("Camera:");
    assert!(line.contains("/dev/video99"), "{line}");
    agent.signal("INT");
    assert!(agent.wait().0.success());
}

#[test]
fn a_file_that_is_no_model_and_labels_that_do_not_fit_are_refused() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../");
    let models = format!("{root}models");
    let readme = format!("{root}README.md");
    let license = format!("{root}LICENSE");
    let with = |args: &[&str], parts: &[&str]| {
        let mut all = vec![
            "--source",
            "test",
            "--engine",
            "tflite",
            "--models-dir",
            &models,
        ];
        all.extend(args);
        refused(&all, parts);
    };
    with(
        &["--model", &readme],
        &["README.md", "not a TensorFlow Lite model"],
    );
    with(
        &["--model", "/nonexistent.tflite"],
        &["/nonexistent.tflite"],
    );
    with(&["--labels", &license], &["labels", "91 classes"]);
    with(&["--labels", "/nonexistent.txt"], &["/nonexistent.txt"]);
}

#[test]
fn a_source_that_can_never_work_is_refused() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    refused(
        &["--source", readme, "--no-detect"],
        &["README.md", "not a clip or image"],
    );
    refused(
        &["--source", "/nonexistent.avi", "--no-detect"],
        &["/nonexistent.avi"],
    );
    refused(
        &["--source", "/dev/null", "--no-detect"],
        &["/dev/null", "not a video device"],
    );
}
