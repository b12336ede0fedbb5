//! What both daemons, cv-agent and cv-relay, need to be good services: settings in layers, logging,
//! systemd notifications and exit codes.
//!
//! ```text
//! /etc/NAME/config.toml --.
//! PREFIX_* variables -----+--> Program::parse_process --> Args (clap) --> the program's own Config
//! command line -----------'           |
//!                                     '--> SettingsError::report --> stderr, exit status 78
//!
//! log::info!(...)  --> logging::init --> journal (under systemd) or standard error
//! the program      --> supervisor::{ready, status, alive, stopping} --> systemd
//! ```
//!
//! A program declares its settings once, as clap flags. [`Program`] derives the environment variables,
//! the keys of the settings file and the rows of `docs/config.md` from them:
//!
//! ```no_run
//! use clap::Parser;
//!
//! #[derive(Parser)]
//! struct Args {
//!     /// Port to listen on
//!     #[arg(long, default_value_t = 5001)]
//!     port: u16,
//! }
//!
//! const PROGRAM: cv_service::Program = cv_service::Program {
//!     prefix: "CV_RELAY",
//!     default_file: "/etc/cv-relay/config.toml",
//! };
//!
//! fn main() -> std::process::ExitCode {
//!     let args: Args = match PROGRAM.parse_process() {
//!         Ok(args) => args,
//!         Err(err) => return err.report(),
//!     };
//!     let _ = args.port; // --port over CV_RELAY_PORT over `port = ...` over 5001
//!     std::process::ExitCode::SUCCESS
//! }
//! ```
//!
//! # Threads
//!
//! The crate starts no thread. [`Program::parse_process`] and [`logging::init`] run once at the start,
//! before the program starts its own threads. The functions of [`supervisor`] send one datagram each
//! and may be called from any thread.
//!
//! # Invariants
//!
//! - A flag overrides an environment variable, which overrides the settings file, which overrides the
//!   default. One parser checks all of them.
//! - An unknown key, an unknown variable with the program's prefix and a value out of range are errors.
//!   The message names the place, the key, the value and what is allowed. Nothing is ignored silently.
//! - A secret (a setting whose default is hidden in the help) appears in no message and in no help.
//! - Settings that cannot work end the process with [`EXIT_CONFIG`], which the systemd units take as a
//!   reason not to restart.
//! - Without systemd, every function of [`supervisor`] does nothing and the log goes to standard error.
//!
//! # Dependencies
//!
//! The crate depends on no other crate of the workspace. It is the only one that names toml,
//! sd-notify, env_logger and systemd-journal-logger. The agent and the relay use it.
#![forbid(unsafe_code)]

pub mod logging;
mod settings;
mod state;
pub mod supervisor;
pub mod value;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use settings::fuzzing;
pub use settings::{Program, SettingsError};
pub use state::{service_state_dir, state_dir};

/// Exit status for settings that cannot work (`EX_CONFIG`). The systemd units do not restart a
/// service that exits with it.
pub const EXIT_CONFIG: u8 = 78;
