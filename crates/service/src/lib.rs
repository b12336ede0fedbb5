//! What both daemons share: settings in layers, logging, readiness and exit codes.
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
#![forbid(unsafe_code)]

pub mod logging;
mod settings;
pub mod supervisor;
pub mod value;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use settings::fuzzing;
pub use settings::{Program, SettingsError};

/// Exit status for settings that cannot work (`EX_CONFIG`); the units do not restart on it.
pub const EXIT_CONFIG: u8 = 78;
