//! What viewers and publishers are told on the command line.

use std::time::Duration;

use clap::{Args, ValueEnum};

/// What the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wire {
    Relay,
    Plain,
    Tutorial,
    Bare,
}

#[derive(Args, Clone)]
pub struct ViewArgs {
    /// Server, http://HOST:PORT.
    #[arg(long)]
    pub url: String,
    #[arg(long, value_enum, default_value = "relay")]
    pub wire: Wire,
    /// Camera to watch; may be given several times.
    #[arg(long = "camera", default_value = "bench")]
    pub cameras: Vec<String>,
    #[arg(long, default_value_t = 1)]
    pub viewers: usize,
    /// Rate that each viewer asks for.
    #[arg(long)]
    pub max_fps: Option<f32>,
    /// Publish each camera at this rate; without it, somebody else does.
    #[arg(long)]
    pub publish_fps: Option<f64>,
    /// Size of a published picture in bytes.
    #[arg(long, default_value_t = 40_000)]
    pub bytes: usize,
    /// How long to measure.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// How long to run before measuring, once every viewer is connected and the first picture is there.
    #[arg(long, default_value_t = 2.0)]
    pub warmup: f64,
    /// Receive buffer of each viewer's socket, in bytes (what the kernel is asked for).
    #[arg(long)]
    pub receive_buffer: Option<usize>,
    /// Bytes per second that each viewer reads at most.
    #[arg(long)]
    pub read_rate: Option<u64>,
    /// Connect viewers, but watch nothing.
    #[arg(long)]
    pub idle: bool,
    /// Connect again when the server drops a viewer, instead of failing.
    #[arg(long)]
    pub reconnect: bool,
    /// Process of the server, to account its processor time and memory.
    #[arg(long)]
    pub pid: Option<u32>,
    /// Print a JSON line with what happened in each period of this many seconds.
    #[arg(long)]
    pub every: Option<f64>,
}

/// Seconds as a duration.
pub fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}
