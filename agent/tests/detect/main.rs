//! The detector as a whole, on real models and pictures.
//!
//! LiteRT's library is taken from `CV_AGENT_LITERT_LIB`; without it, what needs it is left out with
//! a message (`scripts/test` always sets it).
#![allow(clippy::unwrap_used)]

mod errors;
mod hostile;
mod layouts;
mod program;
mod reference;
mod tracking;

use std::path::{Path, PathBuf};

use cv_agent::detect::{DetectorConfig, EngineChoice};

/// LiteRT's library, if the tests were given one.
///
/// # Panics
///
/// If the variable names no file: whoever sets it wants LiteRT tested.
fn litert() -> Option<PathBuf> {
    let Some(path) = std::env::var_os("CV_AGENT_LITERT_LIB").map(PathBuf::from) else {
        eprintln!("left out: CV_AGENT_LITERT_LIB is not set (scripts/get-litert prints its value)");
        return None;
    };
    assert!(
        path.is_file(),
        "CV_AGENT_LITERT_LIB names {}, which is not there",
        path.display()
    );
    Some(path)
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name)
}

/// A model in an engine; `None` if that is LiteRT and there is none.
fn config(model: PathBuf, engine: EngineChoice) -> Option<DetectorConfig> {
    let litert_lib = match engine {
        EngineChoice::LiteRt => Some(litert()?),
        _ => None,
    };
    Some(DetectorConfig {
        model: Some(model),
        engine,
        litert_lib,
        ..DetectorConfig::default()
    })
}

/// The model that is shipped.
fn own_model() -> PathBuf {
    root().join("models/ssd_mobilenet_v2_oid_fp16.tflite")
}

/// A JPEG of one colour.
fn picture(colour: [u8; 3]) -> Vec<u8> {
    let pixels = colour.repeat(64 * 48);
    let mut jpeg = Vec::new();
    jpeg_encoder::Encoder::new(&mut jpeg, 100)
        .encode(&pixels, 64, 48, jpeg_encoder::ColorType::Rgb)
        .unwrap();
    jpeg
}
