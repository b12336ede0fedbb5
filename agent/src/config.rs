//! What the program may rely on: settings that are parsed, in range and complete.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use cv_protocol::{AgentAuth, check_camera_name};

use crate::cli::{RunArgs, TestHook};
use crate::streamer::StreamerConfig;
use cv_capture::{SourceSpec, Wanted};
use cv_detect::DetectorConfig;
use cv_picture::Resolution;
use cv_uplink::{Endpoint, Wire};

/// Settings of `cv-agent run`.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to capture.
    pub source: SourceSpec,
    /// How to capture it.
    pub wanted: Wanted,
    /// Larger pictures than this are scaled down, where a source has no smaller ones.
    pub max_size: Option<Resolution>,
    /// What to detect with; `None` for video only.
    pub detector: Option<DetectorConfig>,
    /// Where to send it.
    pub destination: Destination,
    /// How we introduce ourselves there.
    pub auth: AgentAuth,
    /// What a reload may change.
    pub rates: Rates,
    /// When to stop without being told.
    pub run_time: Option<Duration>,
    /// What to break on purpose.
    pub test_hook: Option<TestHook>,
}

/// Who gets what was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A relay, or the tutorial's server.
    Server {
        /// Which messages it understands.
        wire: Wire,
        /// Where it is.
        endpoint: Endpoint,
    },
    /// Browsers, from this process.
    Streamer(StreamerConfig),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { endpoint, .. } => endpoint.fmt(f),
            Self::Streamer(config) => write!(f, "streamer on {}", config.address),
        }
    }
}

/// Settings that a reload changes while everything runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Most frames sent per second.
    pub stream_fps: f32,
    /// Most frames searched per second; `None` for as many as the detector can.
    pub detect_fps: Option<f32>,
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} frames a second sent", self.stream_fps)?;
        match self.detect_fps {
            Some(fps) => write!(f, ", {fps} searched"),
            None => Ok(()),
        }
    }
}

impl TryFrom<RunArgs> for Config {
    /// A sentence that names the flag.
    type Error = String;

    fn try_from(args: RunArgs) -> Result<Self, Self::Error> {
        let name = args.name.unwrap_or_else(host_name);
        check_camera_name(&name).map_err(|reason| format!("--name: {reason}"))?;
        let destination = if args.use_streamer {
            Destination::Streamer(StreamerConfig {
                address: SocketAddr::new(args.streamer_host, args.streamer_port),
                token: args.streamer_token,
            })
        } else {
            let endpoint = Endpoint::new(&args.server, args.server_port)
                .map_err(|err| format!("--server {:?}: {err}", args.server))?;
            Destination::Server {
                wire: args.wire,
                endpoint,
            }
        };
        Ok(Self {
            source: args.source,
            wanted: Wanted {
                max_size: args.max_size.unwrap_or(Wanted::default().max_size),
                fps: args.stream_fps,
                controls: args.controls,
            },
            max_size: args.max_size,
            detector: (!args.no_detect).then(|| DetectorConfig {
                track: !args.no_track,
                ..args.detector.into()
            }),
            destination,
            auth: AgentAuth {
                protocol: cv_protocol::VERSION,
                camera: name,
                token: args.token,
                key: None,
                adoption: false,
                version: env!("CARGO_PKG_VERSION").into(),
            },
            rates: Rates {
                stream_fps: args.stream_fps,
                detect_fps: args.detect_fps,
            },
            run_time: args.seconds.map(Duration::from_secs_f64),
            test_hook: args.test_hook,
        })
    }
}

/// The machine's name, made fit for a camera's.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    match check_camera_name(name) {
        Ok(()) => name.to_owned(),
        Err(_) => "camera".into(),
    }
}
