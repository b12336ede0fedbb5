//! Reads `.tflite` files: nothing else sees a model before it was checked here.

mod archive;
pub mod builtin;
mod element;
mod error;
mod file;
mod flatbuffer;
mod flexbuffer;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod graph;
mod metadata;
mod operators;
mod post_process;
mod rules;
mod validate;

pub use element::ElementType;
pub use error::ModelError;
pub use graph::{Model, Quantization, Tensor};
pub use metadata::{Metadata, packed_labels};
pub use post_process::{POST_PROCESS, post_process};
