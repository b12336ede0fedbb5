//! Finds objects in JPEG pictures with an SSD model.
//!
//! ```text
//! JPEG --decode--> RGB --resize--> input tensor --engine--> output tensors --layout--> Detection
//! ```
//!
//! Every buffer is allocated when the model is loaded. A [`Detection`] holds a class index; labels
//! are looked up, and copied, only where an object leaves the process ([`Detection::to_object`]).

mod config;
mod labels;
mod track;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cv_protocol::Object;

pub use config::{DetectorArgs, DetectorConfig, EngineChoice};
pub use labels::Labels;
pub use track::{TrackCounts, Tracker};

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

/// One object found, in terms of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Index into the detector's [`Labels`].
    pub class: u32,
    /// 0 to 1.
    pub score: f32,
    /// ymin, xmin, ymax, xmax as fractions of the picture, within 0 to 1.
    pub bounding_box: [f32; 4],
    /// The same for one object from frame to frame; set by [`Tracker::update`].
    pub id: Option<u64>,
}

impl Detection {
    /// The object as it is sent.
    #[must_use]
    pub fn to_object(&self, labels: &Labels) -> Object {
        Object {
            label: labels.name(self.class).into_owned(),
            score: self.score,
            bounding_box: self.bounding_box,
            id: self.id,
        }
    }
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
    labels: Arc<Labels>,
}

/// Why a detector could not be loaded, or a picture not be searched.
///
/// What [`Detector::load`] returns is a bad setting: trying again does not help. What
/// [`Detector::detect`] returns concerns that picture alone.
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

    /// Names of the classes; a clone may be kept by whoever sends detections.
    #[must_use]
    pub fn labels(&self) -> &Arc<Labels> {
        &self.labels
    }

    /// Searches one JPEG picture; `found` is cleared and filled, highest score first.
    ///
    /// # Errors
    ///
    /// [`DetectError`]; the detector can be used on.
    pub fn detect(
        &mut self,
        jpeg: &[u8],
        found: &mut Vec<Detection>,
    ) -> Result<StageTimes, DetectError> {
        let _ = jpeg;
        found.clear();
        Ok(StageTimes::default())
    }
}
