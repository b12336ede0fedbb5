//! Captures a camera, finds objects in the newest picture and streams both to cv-relay.

pub mod bench_command;
pub mod capture;
pub mod detect;
pub mod detect_command;
pub mod frame;
pub mod model_command;
pub mod slot;
