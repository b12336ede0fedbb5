//! Damaged models: the engines refuse or run each one, and none crashes the agent.
//!
//! The mutations are the same in every run. A separate process tries them, so that a crash is
//! counted and the remaining ones are still tried.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cv_detect::{Detector, EngineChoice};
use fastrand::Rng;

/// Number of mutations of each model in each engine; `CV_AGENT_TEST_MUTATIONS` sets another number.
const MUTATIONS: u64 = 400;

/// Number of mutations of each model with which the agent itself is started.
const PROGRAM_MUTATIONS: u64 = 8;

/// Time limit for one mutation in seconds; a mutation usually takes milliseconds.
const LIMIT_S: u32 = 60;

/// Environment variable that tells the worker its engine, its model and its first mutation.
const TASK: &str = "CV_AGENT_HOSTILE_TASK";

fn mutations() -> u64 {
    std::env::var("CV_AGENT_TEST_MUTATIONS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(MUTATIONS)
}

fn models() -> Vec<PathBuf> {
    let mut models: Vec<PathBuf> = std::fs::read_dir(crate::setup::fixture("models"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "tflite"))
        .collect();
    models.sort();
    models
}

/// Damages a model in one to four places.
fn mutate(original: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    let mut bytes = original.to_vec();
    for _ in 0..random.usize(1..=4) {
        let at = random.usize(0..bytes.len());
        match random.u8(0..8) {
            0 => bytes[at] ^= 1 << random.u8(0..8),
            1 => bytes[at] = random.u8(..),
            2 => bytes[at] = *random.choice(&[0, 1, 0x7f, 0x80, 0xff]).unwrap(),
            // Numbers in the file are aligned: replace one with a small, negative or huge one.
            3..=5 => {
                let value: i32 = *random
                    .choice(&[0, 1, 2, 3, -1, -2, 7, 127, 255, 1000, i32::MAX, i32::MIN])
                    .unwrap();
                let at = at / 4 * 4;
                for (byte, value) in bytes[at..].iter_mut().zip(value.to_le_bytes()) {
                    *byte = value;
                }
            }
            // Replace one number with another that exists in the file: an offset, an index or a
            // size.
            6 => {
                let from = random.usize(0..bytes.len() / 4) * 4;
                let word: Vec<u8> = bytes[from..from + 4].to_vec();
                let at = at / 4 * 4;
                for (byte, value) in bytes[at..].iter_mut().zip(word) {
                    *byte = value;
                }
            }
            _ => bytes.truncate(at.max(8)),
        }
    }
    bytes
}

/// Tries the mutations of one model, and prints the number of each before it tries it.
#[test]
#[ignore = "started by the test below in a process of its own"]
fn worker() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    let mut parts = task.splitn(3, ' ');
    let engine = match parts.next().unwrap() {
        "litert" => EngineChoice::LiteRt,
        _ => EngineChoice::TfLite,
    };
    let first: u64 = parts.next().unwrap().parse().unwrap();
    let original = std::fs::read(parts.next().unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mutated.tflite");
    let picture = crate::setup::picture([200, 30, 30]);
    let mut found = Vec::new();
    for seed in first..mutations() {
        println!("trying {seed}");
        end_after(LIMIT_S);
        std::fs::write(&file, mutate(&original, seed)).unwrap();
        let config = crate::setup::config(file.clone(), engine).unwrap();
        let loads = Detector::load(&config).map(|mut detector| {
            let _ = detector.detect(&picture, &mut found);
            let _ = detector.detect(&picture, &mut found);
        });
        println!(
            "outcome {}",
            if loads.is_ok() { "loads" } else { "refused" }
        );
    }
    println!("done");
}

/// Ends this process after `seconds`, which counts as a crash, because a model must not hang the
/// process either.
#[allow(unsafe_code)]
fn end_after(seconds: u32) {
    // SAFETY: replaces the only alarm of this process, whose signal no code of this test handles.
    unsafe { libc::alarm(seconds) };
}

/// Counts how many mutations load, are refused and crash.
#[derive(Debug, Default)]
struct Tally {
    loads: usize,
    refused: usize,
    crashes: Vec<String>,
}

fn run(engine: &str, model: &Path, tally: &mut Tally) {
    let mut first = 0;
    loop {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "hostile::worker", "--ignored", "--nocapture"])
            .env(TASK, format!("{engine} {first} {}", model.display()))
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        tally.loads += text.matches("outcome loads").count();
        tally.refused += text.matches("outcome refused").count();
        if text.contains("\ndone") {
            return;
        }
        let last = text
            .lines()
            .filter_map(|line| line.split("trying ").nth(1))
            .next_back()
            .and_then(|seed| seed.parse::<u64>().ok())
            .unwrap();
        let name = model.file_stem().unwrap().to_string_lossy();
        let end = output.status.signal();
        tally
            .crashes
            .push(format!("{engine} {name} {last}: signal {end:?}"));
        first = last + 1;
    }
}

fn survives(engine: &str) {
    let models = models();
    assert!(models.len() >= 12);
    let mut tally = Tally::default();
    for model in &models {
        run(engine, model, &mut tally);
    }
    println!(
        "{engine}: {} mutations load, {} are refused, {} crash {:#?}",
        tally.loads,
        tally.refused,
        tally.crashes.len(),
        tally.crashes
    );
    assert!(tally.loads > 0 && tally.refused > 0);
    assert_eq!(tally.crashes, [""; 0]);
}

/// Tries a few mutations with the agent itself, which loads them in a separate process.
#[test]
fn the_program_survives_damaged_models() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mutated.tflite");
    for model in models() {
        let original = std::fs::read(&model).unwrap();
        for seed in 0..PROGRAM_MUTATIONS {
            std::fs::write(&file, mutate(&original, seed)).unwrap();
            let output = super::program::inspect(&file, &[]);
            let code = output.status.code();
            assert!(
                matches!(code, Some(0 | 78)),
                "{} {seed}: {output:?}",
                model.display()
            );
            let said = if code == Some(0) {
                &output.stdout
            } else {
                &output.stderr
            };
            assert!(String::from_utf8_lossy(said).contains("mutated.tflite"));
        }
    }
}

#[test]
fn tflite_survives_damaged_models() {
    survives("tflite");
}

#[test]
fn litert_survives_damaged_models() {
    if crate::setup::litert().is_some() {
        survives("litert");
    }
}
