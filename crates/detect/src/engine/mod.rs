//! The runtimes that execute a model, behind one small trait.
//!
//! Each engine is one module, which alone names its crate. A model reaches them only after
//! [`crate::model::Model::parse`] accepted it.
#![allow(unsafe_code)]

mod interface;
pub mod litert;
mod open;
mod tensor;
#[cfg(feature = "tflite")]
mod tflite;

pub use interface::{Engine, EngineError, default_threads};
pub use open::{HAS_TFLITE, open};
pub use tensor::{TensorMut, TensorRef};
