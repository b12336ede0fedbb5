//! The command line of viewers and publishers.

use std::time::Duration;

use clap::{Args, ValueEnum};

/// Messages that the server understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wire {
    Relay,
    Plain,
    Tutorial,
    Bare,
}

#[derive(Args, Clone)]
pub struct ViewArgs {
    /// Address of the server, http://HOST:PORT
    #[arg(long)]
    pub url: String,
    #[arg(long, value_enum, default_value = "relay")]
    pub wire: Wire,
    /// Camera to watch; may be given several times
    #[arg(long = "camera", default_value = "bench")]
    pub cameras: Vec<String>,
    #[arg(long, default_value_t = 1)]
    pub viewers: usize,
    /// Maximum frame rate that each viewer asks for
    #[arg(long)]
    pub max_fps: Option<f32>,
    /// Publish each camera at this frame rate; without it, another program publishes
    #[arg(long)]
    pub publish_fps: Option<f64>,
    /// Size of a published frame in bytes
    #[arg(long, default_value_t = 40_000)]
    pub bytes: usize,
    /// Duration of the measurement in seconds
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Seconds to run before measuring, once every viewer is connected and the first frame has
    /// arrived
    #[arg(long, default_value_t = 2.0)]
    pub warmup: f64,
    /// Receive buffer that each viewer requests from the kernel, in bytes
    #[arg(long)]
    pub receive_buffer: Option<usize>,
    /// Maximum number of bytes that each viewer reads per second
    #[arg(long)]
    pub read_rate: Option<u64>,
    /// Connect the viewers, but watch nothing
    #[arg(long)]
    pub idle: bool,
    /// Reconnect a viewer that the server drops, instead of failing
    #[arg(long)]
    pub reconnect: bool,
    /// Process id of the server, to measure its processor time and memory
    #[arg(long)]
    pub pid: Option<u32>,
    /// Print a JSON line with the results of each period of this many seconds
    #[arg(long)]
    pub every: Option<f64>,
}

/// Converts a number of seconds to a duration.
pub fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}
