//! Finds objects in JPEG pictures with an SSD model.
//!
//! ```text
//! JPEG --decode--> RGB --resize--> input tensor --engine--> output tensors --layout--> Detection
//! ```
//!
//! Every buffer is allocated when the model is loaded. A [`Detection`] holds a class index; labels
//! are looked up, and copied, only where an object leaves the process ([`Detection::to_object`]).

mod config;
mod detection;
mod detector;
mod engine;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod input;
mod inspect;
mod label_file;
mod label_text;
mod labels;
mod model;
mod output;
mod select;
mod track;
mod trial;

pub use config::{DetectorArgs, DetectorConfig, EngineChoice, LabelScore};
pub use detection::Detection;
pub use detector::{Detector, DetectorInfo, StageTimes};
pub use engine::EngineError;
pub use error::DetectError;
pub use inspect::{Inspection, inspect};
pub use label_text::LabelsError;
pub use labels::Labels;
pub use model::ModelError;
pub use output::{LayoutError, iou};
pub use track::{TrackCounts, Tracker};
pub use trial::serve as serve_trial;
