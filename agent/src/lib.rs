//! The agent: settings, subcommands, and the pipeline that joins the crates below it.
//!
//! ```text
//! cv-capture --(newest frame)--+--> cv-uplink --JPEG, detections, stats--> relay
//!                              |        or streamer (the relay's library in this process)
//!                              '--> cv-detect ----^
//! ```
//!
//! Threads: `capture` waits for the source, `detect` computes, and the main thread has the network,
//! signals and one tick a second. A runtime's workers and one thread for pictures that must be made
//! smaller come on top, where they are needed.
//!
//! [`cli`] is what the user typed and [`config`] what the program may rely on; [`commands`] holds
//! the subcommands, [`pipeline`] is the default one, `run`.

pub mod cli;
pub mod commands;
pub mod config;
pub mod pipeline;
mod priority;
mod stats;
mod streamer;
