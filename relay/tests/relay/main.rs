//! The relay as its peers see it: a server on a free port, and clients that speak raw Socket.IO.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

mod access;
mod agents;
mod archive;
mod bounds;
mod client;
mod flow;
mod http;
mod in_process;
mod pauses;
mod program;
mod restart;
mod rust_socketio_client;
mod tutorial;
