//! Captures a camera, finds objects in the newest picture and streams both to cv-relay.

pub mod capture;
pub mod detect;
pub mod frame;
pub mod slot;
