//! What can go wrong when a detector is loaded or used.

use std::io;
use std::path::PathBuf;

use super::engine::EngineError;
use super::label_text::LabelsError;
use super::model::ModelError;
use super::output::LayoutError;
use cv_picture::DecodeError;

/// Why a detector could not be loaded, or a picture not be searched.
///
/// What [`crate::Detector::load`] returns is a bad setting: trying again does not help. What
/// [`crate::Detector::detect`] returns concerns that picture alone.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// No model was named and none of ours is installed.
    #[error("no model found in {}; name one with --model", list(.0))]
    NoModel(Vec<PathBuf>),
    /// A file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// Model or labels.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not a model that can be run.
    #[error("cannot use {}", file.display())]
    Model {
        /// The model.
        file: PathBuf,
        /// Why.
        source: ModelError,
    },
    /// A model that can be run, but does not detect objects in pictures.
    #[error("cannot use {}: {reason}", file.display())]
    Input {
        /// The model.
        file: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A model whose outputs are not understood.
    #[error("cannot use {}", file.display())]
    Layout {
        /// The model.
        file: PathBuf,
        /// What was found and what was expected.
        source: LayoutError,
    },
    /// A file is not a list of labels.
    #[error("cannot use the labels in {}", file.display())]
    Labels {
        /// The file.
        file: PathBuf,
        /// Why.
        source: LabelsError,
    },
    /// A setting names a class that the model does not know.
    #[error("the model knows no {label:?}; it knows {known}")]
    UnknownLabel {
        /// As written.
        label: String,
        /// All that there are.
        known: String,
    },
    /// LiteRT was asked for, but its library is nowhere.
    #[error(
        "LiteRT's library is not there (looked for {}); name it with --litert-lib or use \
         --engine tflite", list(.0)
    )]
    NoLiteRt(Vec<PathBuf>),
    /// TensorFlow Lite was asked for, but is not in this program.
    #[error(
        "this program was built without TensorFlow Lite (the cargo feature `tflite`); use \
         --engine litert, which needs LiteRT's library"
    )]
    NoTfLite,
    /// No engine runs the model.
    #[error("no engine runs {}: {}", file.display(), reasons.join("; "))]
    NoEngine {
        /// The model.
        file: PathBuf,
        /// One for each engine.
        reasons: Vec<String>,
    },
    /// A program that is to detect does not.
    #[error("cannot use the detector `{command}`: {reason}")]
    Program {
        /// As written.
        command: String,
        /// What it did and what was expected.
        reason: String,
    },
    /// A program that detects does not answer for now.
    #[error("the detector does not answer: {0}")]
    Away(String),
    /// The picture cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Inference failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}
