//! Runs the whole agent as a process, against relays on port 0.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed test is to stop where it fails"
)]

mod agent;
mod bad_input;
mod camera;
mod fake_relay;
mod link;
mod relay;
mod service;
mod slow_link;
mod streaming;
mod tls;
