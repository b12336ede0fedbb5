//! The detector as a whole, on real models and pictures.
//!
//! LiteRT's library is taken from `CV_AGENT_LITERT_LIB`; without it, what needs it is left out with
//! a message (`scripts/test` always sets it).
#![allow(clippy::unwrap_used)]

mod errors;
mod exec;
mod layouts;
mod reference;
mod setup;
mod tracking;

/// The model that is shipped.
fn own_model() -> std::path::PathBuf {
    setup::root().join("models/ssdlite_mobilenet_v2_coco_int8.tflite")
}
