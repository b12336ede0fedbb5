//! Models, pictures and settings for tests of the detector; also used by the agent's own tests.

use std::path::{Path, PathBuf};

use cv_detect::{DetectorConfig, EngineChoice};

/// LiteRT's library, if the tests were given one.
///
/// # Panics
///
/// If the variable names no file: whoever sets it wants LiteRT tested.
pub fn litert() -> Option<PathBuf> {
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

/// The checkout, whichever crate's tests include this file.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").is_file())
        .unwrap()
}

pub fn fixture(name: &str) -> PathBuf {
    root().join("crates/detect/tests/fixtures").join(name)
}

/// A model in an engine; `None` if that is LiteRT and there is none.
pub fn config(model: PathBuf, engine: EngineChoice) -> Option<DetectorConfig> {
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

/// A JPEG of one colour.
pub fn picture(colour: [u8; 3]) -> Vec<u8> {
    let pixels = colour.repeat(64 * 48);
    let mut jpeg = Vec::new();
    jpeg_encoder::Encoder::new(&mut jpeg, 100)
        .encode(&pixels, 64, 48, jpeg_encoder::ColorType::Rgb)
        .unwrap();
    jpeg
}
