//! Captures a camera, finds objects in the newest picture and streams both to cv-relay.
//!
//! ```text
//! capture --(newest frame)--+--> uplink --JPEG, boxes, stats--> relay
//!                           '--> detect ----^
//! ```
//!
//! Threads: `capture` waits for the source, `detect` computes, and the main thread has the network,
//! signals and one tick a second. A runtime's workers and one thread for pictures that must be made
//! smaller come on top, where they are needed.
//!
//! [`pipeline`] runs the threads, [`uplink`] speaks to the relay, [`mod@capture`] and
//! [`mod@detect`] deliver frames and what is in them.

pub mod annotate;
pub mod bench_command;
pub mod cameras;
pub mod capture;
pub mod cli;
pub mod config;
pub mod detect;
pub mod detect_command;
pub mod encode;
pub mod frame;
mod huffman;
pub mod model_command;
pub mod pipeline;
mod priority;
mod stats;
pub mod uplink;
