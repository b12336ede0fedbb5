//! Detectors that are programs of their own, good ones and bad ones.

use std::time::{Duration, Instant};

use cv_detect::{Asked, DetectError, Detection, Detector, DetectorChoice, DetectorConfig};
use cv_picture::Frame;
use cv_protocol::Timestamp;

const HELLO: &str = r#"echo '{"model": "shell", "engine": "dash", "accelerator": "none"}'"#;

/// Reads a picture; `$seq` is its number then.
const READ: &str = r#"
    read -r header || exit
    seq=${header#*\"seq\":}; seq=${seq%%,*}
    bytes=${header##*\"bytes\":}; bytes=${bytes%\}}
    head -c "$bytes" >/dev/null"#;

/// A command that says hello and then runs `body` for each picture.
fn command(body: &str) -> String {
    format!("{HELLO}; while :; do {READ}\n{body}\ndone")
}

fn answer(objects: &str) -> String {
    command(&format!(
        r#"echo "{{\"seq\": $seq, \"objects\": [{objects}]}}""#
    ))
}

fn object(label: &str, score: &str, place: &str) -> String {
    format!(r#"{{\"label\": \"{label}\", \"score\": {score}, \"box\": [{place}]}}"#)
}

fn config(command: &str) -> DetectorConfig {
    DetectorConfig {
        detector: DetectorChoice::Exec(command.into()),
        ..DetectorConfig::default()
    }
}

fn search(detector: &mut Detector) -> Result<Vec<(String, Detection)>, DetectError> {
    let mut found = Vec::new();
    detector.detect(crate::setup::picture([200, 30, 30]), &mut found)?;
    let labels = detector.labels();
    Ok(found
        .iter()
        .map(|found| (labels.name(found.class).into_owned(), *found))
        .collect())
}

fn fails(detector: &mut Detector) -> String {
    search(detector).unwrap_err().to_string()
}

#[test]
fn detections_of_a_program_are_read() {
    let objects = [
        object("cat", "0.6", "0.1, 0.2, 0.5, 0.6"),
        object("person", "0.9", "-0.5, 0.2, 0.5, 7"),
        object("dog", "0.4", "0.1, 0.2, 0.5, 0.6"),
        object("nonsense", "7", "0.1, 0.2, 0.5, 0.6"),
        object("nothing", "0.9", "0.5, 0.2, 0.5, 0.6"),
    ];
    let mut config = config(&answer(&objects.join(", ")));
    let mut detector = Detector::load(&config).unwrap();
    let info = detector.info();
    assert_eq!(
        (&*info.model, &*info.engine, &*info.accelerator),
        ("shell", "dash", "none")
    );
    for _ in 0..3 {
        let found = search(&mut detector).unwrap();
        let names: Vec<&str> = found.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["person", "cat"]);
        assert_eq!(found[0].1.bounding_box, [0.0, 0.2, 0.5, 1.0]);
        assert_eq!(found[1].1.score, 0.6);
    }
    config.label_scores = vec!["Dog=0.3".parse().unwrap()];
    config.labels_wanted = vec!["dog".into(), "cat".into()];
    config.max_objects = 1;
    let found = search(&mut Detector::load(&config).unwrap()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "cat");
    config.labels_wanted = vec!["dog".into()];
    let found = search(&mut Detector::load(&config).unwrap()).unwrap();
    assert_eq!(found[0].0, "dog");
}

#[test]
fn a_program_that_does_not_start_is_a_bad_setting() {
    for (command, reason) in [
        ("no-such-detector --fast", "exit status: 127"),
        ("echo hello; sleep 100", "first line"),
        ("exec >/dev/null; sleep 100", "closed its output"),
    ] {
        let start = Instant::now();
        let err = Detector::load(&config(command)).err().unwrap().to_string();
        assert!(err.contains(command) && err.contains(reason), "{err}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a_program_that_dies_is_started_again_after_a_pause() {
    let object = object("cat", "0.6", "0.1, 0.2, 0.5, 0.6");
    let once = format!(r#"{HELLO}; {READ}; echo "{{\"seq\": $seq, \"objects\": [{object}]}}""#);
    let mut detector = Detector::load(&config(&once)).unwrap();
    assert_eq!(search(&mut detector).unwrap().len(), 1);
    let reason = fails(&mut detector);
    assert!(reason.contains("ended"), "{reason}");
    let reason = fails(&mut detector);
    assert!(reason.contains("started again"), "{reason}");
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(search(&mut detector).unwrap().len(), 1);
}

#[test]
fn what_a_garbled_or_flooding_program_can_take_is_bounded() {
    for (body, reason) in [
        ("echo what", "it answers \"what"),
        (
            r#"echo "{\"seq\": 0, \"objects\": []}"; yes '{"seq":0,"objects":[]}'"#,
            "do not belong",
        ),
        (
            "head -c 1000000 /dev/zero; sleep 100",
            "more than 262144 bytes",
        ),
        ("yes 'some error, and again and again' >&2", "within 10 s"),
    ] {
        let mut detector = Detector::load(&config(&command(body))).unwrap();
        let start = Instant::now();
        let message = fails(&mut detector);
        assert!(message.contains(reason), "{body}: {message}");
        drop(detector);
        assert!(start.elapsed() < Duration::from_secs(30), "{body}");
    }
}

#[test]
fn a_slow_program_does_not_keep_us_from_stopping() {
    let mut detector = Detector::load(&config(&command("sleep 100"))).unwrap();
    let frame = Frame {
        seq: 7,
        captured_at: Timestamp::now(),
        resolution: "64x48".parse().unwrap(),
        jpeg: crate::setup::picture([0; 3]).into(),
    };
    let mut asked = 0;
    let mut go_on = || {
        asked += 1;
        asked < 3
    };
    let start = Instant::now();
    let asked = Asked {
        look: None,
        go_on: &mut go_on,
    };
    let err = detector
        .detect_frame(frame, asked, &mut Vec::new())
        .unwrap_err();
    assert!(err.to_string().contains("we are stopping"), "{err}");
    assert!(start.elapsed() < Duration::from_secs(8));
}
