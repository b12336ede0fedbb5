//! Finds objects in JPEG pictures with an SSD model.
//!
//! ```text
//! JPEG --decode--> RGB --resize--> input tensor --engine--> output tensors --layout--> Detection
//! ```
//!
//! Instead of a model in an engine, a program of its own may search (`exec:COMMAND`); and frames in
//! which nothing moves need no search at all ([`Motion`]).
//!
//! Every buffer is allocated when the model is loaded. A [`Detection`] holds a class index; labels
//! are looked up, and copied, only where an object leaves the process ([`Detection::to_object`]).

mod config;
mod detection;
mod detector;
mod engine;
mod error;
mod exec;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod input;
mod inspect;
mod label_file;
mod label_text;
mod labels;
mod loaded;
mod model;
mod motion;
mod output;
mod select;
mod track;
mod trial;

pub use config::{DetectorArgs, DetectorChoice, DetectorConfig, EngineChoice, LabelScore};
pub use detection::Detection;
pub use detector::{Asked, Detector};
pub use engine::EngineError;
pub use error::DetectError;
pub use inspect::{Inspection, inspect};
pub use label_text::LabelsError;
pub use labels::Labels;
pub use loaded::{DetectorInfo, StageTimes};
pub use model::ModelError;
pub use motion::{Motion, SearchOn, SearchWhen, Sensitivity};
pub use output::{LayoutError, iou};
pub use track::{TrackCounts, Tracker};
pub use trial::serve as serve_trial;
