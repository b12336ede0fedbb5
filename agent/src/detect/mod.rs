//! Finds objects in JPEG pictures with an SSD model.

use std::path::PathBuf;
use std::time::Duration;

use cv_protocol::Object;

/// Which runtime executes the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// The faster one that works.
    #[default]
    Auto,
    /// LiteRT, opened at run time.
    LiteRt,
    /// TensorFlow Lite 1.15, linked into the binary.
    TfLite,
}

/// What a detector is to load, and what it is to report.
#[derive(Clone, Debug)]
pub struct DetectorConfig {
    /// The `.tflite` file; `None` for the default model.
    pub model: Option<PathBuf>,
    /// One label a line; `None` for those that belong to the model.
    pub labels: Option<PathBuf>,
    /// Which runtime.
    pub engine: EngineChoice,
    /// Threads of the runtime; `None` for one per core, at most four.
    pub threads: Option<usize>,
    /// Objects below this score are not reported, 0 to 1.
    pub min_score: f32,
}

/// What was loaded, for the start-up log and the text card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorInfo {
    /// File name of the model without its ending.
    pub model: String,
    /// `LiteRT` or `tflite`.
    pub engine: &'static str,
    /// What the engine computes on, for example `XNNPACK (2 threads)`.
    pub accelerator: String,
    /// Number of classes.
    pub labels: usize,
}

/// Time that each stage of one detection took.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes {
    /// JPEG to RGB.
    pub decode: Duration,
    /// RGB to the input tensor.
    pub resize: Duration,
    /// Inference.
    pub infer: Duration,
    /// Output tensors to objects.
    pub post_process: Duration,
}

/// A loaded model with all the buffers it needs.
pub struct Detector {
    info: DetectorInfo,
}

/// Why a detector could not be loaded, or a picture not be searched.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// Not built yet.
    #[error("cannot load {}", .0.display())]
    Load(PathBuf),
}

impl Detector {
    /// Loads model and labels and allocates every buffer.
    ///
    /// # Errors
    ///
    /// [`DetectError`] that names the file and what was expected of it.
    pub fn load(config: &DetectorConfig) -> Result<Self, DetectError> {
        Err(DetectError::Load(config.model.clone().unwrap_or_default()))
    }

    /// What was loaded.
    #[must_use]
    pub fn info(&self) -> &DetectorInfo {
        &self.info
    }

    /// Searches one JPEG picture; `objects` is cleared and filled, highest score first.
    ///
    /// # Errors
    ///
    /// [`DetectError`]; the detector can be used on.
    pub fn detect(
        &mut self,
        jpeg: &[u8],
        objects: &mut Vec<Object>,
    ) -> Result<StageTimes, DetectError> {
        let _ = jpeg;
        objects.clear();
        Ok(StageTimes::default())
    }
}
