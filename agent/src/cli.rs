//! The command line. Every long flag of `run` is also an environment variable and a key of the
//! settings file.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cv_service::Program;
use cv_service::value::{number, text};
use log::LevelFilter;

use crate::commands::bench::BenchArgs;
use crate::commands::cameras::CamerasArgs;
use crate::commands::detect::DetectArgs;
use crate::commands::model::ModelArgs;
use cv_capture::SourceSpec;
use cv_detect::{DetectorArgs, SearchOn, Sensitivity};
use cv_picture::Resolution;
use cv_uplink::Wire;

/// Describes where the agent's settings come from.
pub const PROGRAM: Program = Program {
    prefix: "CV_AGENT",
    default_file: "/etc/cv-agent/config.toml",
};

/// Streams a camera with object detections to cv-relay
///
/// A flag overrides an environment variable, which overrides the file /etc/cv-agent/config.toml.
/// The keys of the file are the names of the flags, as in `stream-fps = 15`.
#[derive(Debug, Parser)]
#[command(name = "cv-agent", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Settings of `run`, the default command.
    #[command(flatten)]
    pub run: RunArgs,
    /// Subcommand; `None` for `run`.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Subcommands of the agent.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Capture, detect and stream (the default)
    Run(Box<RunArgs>),
    /// List the cameras of this machine with their formats, sizes, rates and controls
    Cameras(CamerasArgs),
    /// Search JPEG files for objects
    Detect(DetectArgs),
    /// Show what a model is, how it would be used, and why it cannot be used
    Model(ModelArgs),
    /// Measure capture, decode, resize, inference, post-processing and encode on this machine
    Bench(BenchArgs),
    /// Print a completion script for a shell
    Completions {
        /// Shell that the script is for
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Settings of `cv-agent run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Settings file; by default /etc/cv-agent/config.toml, if it exists
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Source to capture from: a camera's index, a device, a clip, an image or a folder,
    /// http(s)://..., exec:COMMAND, or test
    #[arg(
        long,
        visible_alias = "camera",
        value_name = "SOURCE",
        default_value = "0"
    )]
    pub source: SourceSpec,

    /// Maximum frame size in pixels: a camera is asked for a size that is not larger (by default
    /// 640x480); if given, larger frames of any source are scaled down
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub max_size: Option<Resolution>,

    /// Camera controls to set, as in brightness=128; `cv-agent cameras` lists them
    #[arg(long = "control", value_name = "NAME=VALUE", value_delimiter = ',', value_parser = control)]
    pub controls: Vec<(String, String)>,

    /// Relay to send to: a host, host:port, or http(s)://host:port
    #[arg(
        long,
        visible_alias = "server-addr",
        value_name = "SERVER",
        default_value = "localhost"
    )]
    pub server: String,

    /// Port of the relay, if --server names none
    #[arg(long, value_name = "PORT", default_value_t = cv_protocol::DEFAULT_PORT,
          value_parser = number(1..=u16::MAX))]
    pub server_port: u16,

    /// Messages that the server understands
    #[arg(long, value_enum, default_value_t = Wire::Relay)]
    pub wire: Wire,

    /// Serve the page from this agent instead of sending to a server
    #[arg(long, num_args = 0..=1, require_equals = true, value_name = "BOOL",
          default_value_t = false, default_missing_value = "true")]
    pub use_streamer: bool,

    /// Address that the streamer listens on; with 127.0.0.1 only this machine can watch
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    pub streamer_host: IpAddr,

    /// Port that the streamer listens on; 0 chooses a free port
    #[arg(long, value_name = "PORT", default_value_t = 5000, value_parser = number(0..=u16::MAX))]
    pub streamer_port: u16,

    /// With --use-streamer: let anyone who reaches the port watch, where no token is set
    #[arg(long, num_args = 0..=1, require_equals = true, value_name = "BOOL",
          default_value_t = false, default_missing_value = "true")]
    pub open: bool,

    /// Folder for the key that the relay gives this agent, and for the streamer's users; by default
    /// the service's state folder, otherwise ~/.local/state/cv-agent
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Secret that viewers of the streamer may present instead of signing in, at most 256 bytes
    #[arg(long, value_name = "SECRET", hide_default_value = true, value_parser = text(1..=256))]
    pub streamer_token: Option<String>,

    /// Name of this camera at the relay, 1 to 64 bytes; by default the machine's name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Secret that the relay requires of agents, at most 256 bytes
    #[arg(long, value_name = "SECRET", hide_default_value = true, value_parser = text(1..=256))]
    pub token: Option<String>,

    /// Maximum number of frames sent per second, 0.05 to 240
    #[arg(long, value_name = "FPS", default_value_t = 20.0, value_parser = number(0.05_f32..=240.0))]
    pub stream_fps: f32,

    /// Settings of the detector.
    #[command(flatten)]
    pub detector: DetectorArgs,

    /// Maximum number of frames searched for objects per second, 0.01 to 240; by default as many as
    /// the detector can search
    #[arg(long, value_name = "FPS", value_parser = number(0.01_f32..=240.0))]
    pub detect_fps: Option<f32>,

    /// When to search for objects: always, or on motion, which costs little while nothing moves
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    pub detect_on: SearchOn,

    /// With --detect-on motion, seconds after which a frame is searched even if nothing moves, 0.1
    /// to 86400
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = number(0.1_f32..=86400.0))]
    pub detect_at_least: f32,

    /// With --detect-on motion, how much has to change: low (large or near things), medium or high
    /// (small or far ones)
    #[arg(long, value_enum, value_name = "WORD", default_value_t)]
    pub detect_sensitivity: Sensitivity,

    /// Send video only, without detections
    #[arg(long, num_args = 0..=1, require_equals = true, value_name = "BOOL",
          default_value_t = false, default_missing_value = "true")]
    pub no_detect: bool,

    /// Do not track objects from frame to frame
    #[arg(long, num_args = 0..=1, require_equals = true, value_name = "BOOL",
          default_value_t = false, default_missing_value = "true")]
    pub no_track: bool,

    /// Stop after this many seconds, 0.1 to 1e9
    #[arg(long, value_name = "N", value_parser = number(0.1_f64..=1e9))]
    pub seconds: Option<f64>,

    /// Log level: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level)]
    pub log_level: LevelFilter,

    /// Cause a fault on purpose, to test what monitors the agent
    #[arg(long, hide = true, value_enum)]
    pub test_hook: Option<TestHook>,
}

/// Faults that a test can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TestHook {
    /// The capture thread hangs after the 30th frame.
    StuckCapture,
    /// The detection thread hangs in the 10th frame.
    StuckDetect,
    /// The capture thread panics after the 30th frame.
    PanicCapture,
    /// The detection thread panics in the 10th frame.
    PanicDetect,
}

fn control(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected NAME=VALUE".into())
}

fn level(text: &str) -> Result<LevelFilter, String> {
    text.parse()
        .map_err(|_| "expected off, error, warn, info, debug or trace".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_config_md_has_a_row_for_every_setting() {
        let documentation = include_str!("../../docs/config.md");
        let table = PROGRAM.table::<Cli>();
        for row in table.lines() {
            assert!(
                documentation.lines().any(|line| line == row),
                "docs/config.md lacks {row}\nThe whole table:\n{table}"
            );
        }
        let documented = documentation.matches("| `CV_AGENT_").count();
        assert_eq!(
            documented,
            table.lines().count(),
            "docs/config.md has rows of settings that no longer exist"
        );
    }

    #[test]
    fn the_command_line_parser_is_valid() {
        PROGRAM.command::<Cli>().debug_assert();
    }
}
