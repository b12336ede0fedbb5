//! The agent's configuration: settings that are parsed, in range and complete.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cv_protocol::{AgentAuth, check_camera_name};

use crate::cli::{RunArgs, TestHook};
use crate::streamer::StreamerConfig;
use cv_capture::{SourceSpec, Wanted};
use cv_detect::{DetectorConfig, SearchWhen};
use cv_picture::Resolution;
use cv_uplink::{Endpoint, Wire};

/// Configuration of `cv-agent run`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Source to capture from.
    pub source: SourceSpec,
    /// Size, frame rate and controls that the source is asked for.
    pub wanted: Wanted,
    /// Size to which larger frames are scaled down if the source offers no smaller ones; `None` for
    /// no limit.
    pub max_size: Option<Resolution>,
    /// Settings of the detector; `None` to send video only.
    pub detector: Option<DetectorConfig>,
    /// Destination of frames and detections.
    pub destination: Destination,
    /// Folder for the relay's key; `None` if there is none.
    pub state_dir: Option<PathBuf>,
    /// Auth payload with which the agent introduces itself to the relay.
    pub auth: AgentAuth,
    /// Frame rates, which a reload may change.
    pub rates: Rates,
    /// Time after which the agent stops; `None` to run until it is told to stop.
    pub run_time: Option<Duration>,
    /// Fault that a test asks for.
    pub test_hook: Option<TestHook>,
}

/// Destination of frames and detections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A relay, or the tutorial's server.
    Server {
        /// Messages that the server understands.
        wire: Wire,
        /// Address of the server.
        endpoint: Endpoint,
    },
    /// Browsers, which this process serves itself.
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

/// Frame rates, which a reload changes without interrupting the video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Maximum number of frames sent per second.
    pub stream_fps: f32,
    /// Maximum number of frames searched per second; `None` for as many as the detector can search.
    pub detect_fps: Option<f32>,
    /// Which frames are searched.
    pub search: SearchWhen,
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} frames per second sent", self.stream_fps)?;
        match self.detect_fps {
            Some(fps) => write!(f, ", {fps} searched"),
            None => Ok(()),
        }
    }
}

impl TryFrom<RunArgs> for Config {
    /// Sentence for the user that names the flag and what is wrong with its value.
    type Error = String;

    fn try_from(args: RunArgs) -> Result<Self, Self::Error> {
        let name = args.name.unwrap_or_else(host_name);
        check_camera_name(&name).map_err(|reason| format!("--name: {reason}"))?;
        let destination = if args.use_streamer {
            Destination::Streamer(StreamerConfig {
                address: SocketAddr::new(args.streamer_host, args.streamer_port),
                token: args.streamer_token,
                open: args.open,
                state_dir: args.state_dir.clone(),
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
            state_dir: args.state_dir.or_else(|| cv_service::state_dir("cv-agent")),
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
                search: SearchWhen {
                    on: args.detect_on,
                    at_least: Duration::from_secs_f32(args.detect_at_least),
                    sensitivity: args.detect_sensitivity,
                },
            },
            run_time: args.seconds.map(Duration::from_secs_f64),
            test_hook: args.test_hook,
        })
    }
}

/// Returns the machine's name if a camera may have that name, otherwise `camera`.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    match check_camera_name(name) {
        Ok(()) => name.to_owned(),
        Err(_) => "camera".into(),
    }
}
