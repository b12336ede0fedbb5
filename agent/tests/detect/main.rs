//! The detector as a whole, on real models and pictures.
//!
//! LiteRT's library is taken from `CV_AGENT_LITERT_LIB`; without it, what needs it is left out with
//! a message (`scripts/test` always sets it).

#![allow(clippy::unwrap_used)]

mod reference;

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
    root().join("agent/tests/fixtures").join(name)
}

/// Our own model in an engine; `None` if it is LiteRT and there is none.
fn config(engine: EngineChoice) -> Option<DetectorConfig> {
    let litert_lib = match engine {
        EngineChoice::LiteRt => Some(litert()?),
        _ => None,
    };
    Some(DetectorConfig {
        model: Some(root().join("models/ssd_mobilenet_v2_oid_fp16.tflite")),
        engine,
        litert_lib,
        ..DetectorConfig::default()
    })
}
