//! From output tensors to detections: which tensor means what, and what is made of it.
//!
//! Values of a model's outputs are not to be trusted: they may be no numbers, counts may be huge
//! and classes out of range.

mod anchors;
mod boxes;
mod info;
mod layout;
mod limits;
mod nms;
mod postprocessed;
mod raw;
mod reader;

pub use boxes::iou;
pub use info::OutputInfo;
pub use layout::{Facts, Layout, LayoutError};
pub use limits::Limits;
