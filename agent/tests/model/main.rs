//! Models as the program meets them: what it says about them, and what hostile ones do to it.
#![allow(clippy::unwrap_used)]

mod hostile;
mod program;
#[path = "../../../crates/detect/tests/detect/setup.rs"]
mod setup;
