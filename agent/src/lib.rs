//! The agent: settings, subcommands, and the pipeline that joins the crates below it.
//!
//! The agent captures a camera, searches the newest frame for objects, and sends the camera's own
//! JPEGs, the detections and its measurements to a relay. This crate contains what only the program
//! needs; the work is done by the crates that it joins:
//!
//! ```text
//!  command line, environment, settings file --(cv-service)--> cli::Cli --> config::Config
//!                                                                              |
//!              .----------------------- pipeline::run <------------------------'
//!              v
//!   thread "capture"         Slot (newest frame)         thread "detect"
//!   cv-capture: Opener  ---------------------------->  cv-detect: Detector, tracker
//!        |                                                   |
//!        | newest frame                                      | newest detections
//!        '----------------->  Feed  <------------------------'
//!                              |
//!   main thread (tokio)        +--> cv-uplink --> relay, or the tutorial's server
//!                              '--> streamer: the relay's library in this process --> browsers
//!
//!   every second:  stats::Meters --> Stats --> relay; status and watchdog --> systemd
//! ```
//!
//! # Modules
//!
//! [`cli`] describes the command line, and [`config`] what the program may rely on after parsing.
//! [`pipeline`] is the default command, `run`; [`commands`] holds the other subcommands. `streamer`
//! serves the page without a relay, `stats` counts, and `priority` lowers that of detection.
//!
//! # Threads
//!
//! `capture` waits for the source, `detect` computes, and the main thread runs the network, the
//! signals and one tick a second. In addition there are the worker threads of the inference runtime,
//! one thread for name lookups and for frames that must be re-encoded, and the reading threads of
//! HTTP and `exec:` sources.
//!
//! # Invariants
//!
//! - Nothing on the path of the video waits for detection or for the network. A newer frame replaces
//!   an older one that nobody has taken, and every replaced frame is counted.
//! - A frame is sent as the camera made it, without a copy and without re-encoding, unless the link is
//!   too slow, `--max-size` is given or the server is the tutorial's.
//! - The agent keeps running if the camera or the relay is gone, and reconnects automatically. A
//!   setting that cannot work ends it with exit status 78.
//! - The stop is ordered: capture ends, then detection, then the uplink. A thread that panics stops
//!   the others, and a thread that hangs makes systemd restart the agent.
//! - A reload changes frame rates and the detector without interrupting the video; if the new settings
//!   are wrong, the agent keeps the previous ones.
//!
//! # Dependencies
//!
//! The agent depends on the crates of the workspace that it joins, and on the relay's library for
//! the streamer. No crate depends on the agent.

pub mod cli;
pub mod commands;
pub mod config;
pub mod pipeline;
mod priority;
mod stats;
mod streamer;
