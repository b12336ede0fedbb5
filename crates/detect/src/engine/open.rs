//! Loads a model into the engine that is asked for.

use std::path::Path;

use super::interface::{Engine, EngineError};
use super::litert::LiteRt;
#[cfg(feature = "tflite")]
use super::tflite::TfLite;
use crate::config::EngineChoice;
use crate::model::Model;

/// Whether TensorFlow Lite is part of this program.
pub const HAS_TFLITE: bool = cfg!(feature = "tflite");

/// Loads a model that was read from `file` into an engine; not [`EngineChoice::Auto`].
///
/// # Errors
///
/// [`EngineError`] if the engine is not there or refuses the model.
pub fn open(
    engine: EngineChoice,
    library: Option<&Path>,
    file: &[u8],
    model: &Model,
    threads: usize,
) -> Result<Box<dyn Engine>, EngineError> {
    match (engine, library) {
        (EngineChoice::LiteRt, Some(library)) => {
            Ok(Box::new(LiteRt::load(library, file, model, threads)?))
        }
        (EngineChoice::LiteRt, None) => {
            Err(EngineError::Library("LiteRT's library is not there".into()))
        }
        #[cfg(feature = "tflite")]
        _ => Ok(Box::new(TfLite::load(file, model, threads)?)),
        #[cfg(not(feature = "tflite"))]
        _ => Err(EngineError::Library(
            "this program was built without TensorFlow Lite".into(),
        )),
    }
}
