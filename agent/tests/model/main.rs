//! Models as the agent meets them: how it describes them, and how it survives hostile ones.
#![allow(clippy::unwrap_used)]

mod hostile;
mod program;
#[path = "../../../crates/detect/tests/detect/setup.rs"]
mod setup;
