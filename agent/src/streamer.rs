//! The page served by the agent itself: a relay within the agent's process, and no uplink.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cv_access::{Access, AccessError};
use cv_protocol::FrameMeta;
use cv_relay::hub::{PublishRefused, Publisher};
use cv_relay::{Config, Open, Relay, Token};
use tokio::net::TcpListener;

use cv_uplink::{Drop, Feed, Gate, Link, Stop};

/// Address and access rules of the page that the agent serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamerConfig {
    /// Address and port that the streamer listens on.
    pub address: SocketAddr,
    /// Secret that viewers may present instead of signing in.
    pub token: Option<String>,
    /// Whether everyone who reaches the port may watch, if there is no token.
    pub open: bool,
    /// Folder that the user has chosen for people and sessions.
    pub state_dir: Option<PathBuf>,
}

/// Time for which the streamer's audit log is kept.
const KEEP_AUDIT: Duration = Duration::from_secs(365 * 24 * 3600);

impl StreamerConfig {
    fn open_to(&self) -> Open {
        match self.address.ip() {
            _ if self.open => Open::Everyone,
            ip if ip.is_loopback() => Open::Loopback,
            _ => Open::Nobody,
        }
    }

    /// People and sessions, where somebody could have to sign in. Each port has a folder of its own.
    fn access(&self) -> Result<Option<Arc<Access>>, StreamerError> {
        let chosen = self
            .state_dir
            .clone()
            .or_else(cv_service::service_state_dir);
        let closed = self.open_to() == Open::Nobody;
        let own = || cv_service::state_dir("cv-agent").filter(|_| closed);
        let Some(folder) = chosen.clone().or_else(own) else {
            return match closed && self.token.is_none() {
                true => Err(StreamerError::Closed),
                false => Ok(None),
            };
        };
        let folder = folder.join(format!("streamer-{}", self.address.port()));
        match Access::open(&folder, KEEP_AUDIT) {
            Ok(access) => Ok(Some(access)),
            Err(err) if chosen.is_none() && self.token.is_some() => {
                log::warn!("Streamer: nobody can sign in: {err}");
                Ok(None)
            }
            Err(err) => Err(err.into()),
        }
    }
}

/// Reason why the agent cannot serve the page.
#[derive(Debug, thiserror::Error)]
pub enum StreamerError {
    /// The port is in use, or the agent may not use it.
    #[error("cannot listen on {address}: {source}; choose another port with --streamer-port")]
    Listen {
        /// Address that the streamer tried to listen on.
        address: SocketAddr,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The relay refused the name of the camera.
    #[error(transparent)]
    Publish(#[from] PublishRefused),
    /// The folder of people and sessions cannot be used.
    #[error("{0}; --state-dir names another folder, --open lets everyone watch")]
    Access(#[from] AccessError),
    /// Nobody could watch.
    #[error(
        "nobody could watch: give a folder for people (--state-dir), a token (--streamer-token), or let everyone in (--open)"
    )]
    Closed,
}

/// A relay within this process that already listens.
pub struct Streamer {
    listener: TcpListener,
    relay: Relay,
    publisher: Publisher,
}

impl Streamer {
    /// Starts to listen and registers the camera, but does not serve anybody yet. It must be called
    /// within the tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns a [`StreamerError`], usually because the port is in use.
    pub async fn open(config: &StreamerConfig, camera: &str) -> Result<Self, StreamerError> {
        let address = config.address;
        let listen = |source| StreamerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let relay = cv_relay::app(Config {
            one_camera: true,
            viewer_token: config.token.as_deref().map(Token::new),
            open: config.open_to(),
            access: config.access()?,
            ..Config::default()
        });
        let publisher = relay.hub().publish(camera, |_reason| ())?;
        let local = listener.local_addr().map_err(listen)?;
        cv_relay::announce_page(local);
        cv_relay::announce_doors(relay.doors(), local);
        Ok(Self {
            listener,
            relay,
            publisher,
        })
    }

    /// Serves the frames and detections of `feed` until `stop` is requested.
    pub async fn run(self, feed: &Feed, link: &Link, mut stop: Stop) {
        let Self {
            listener,
            relay,
            publisher,
        } = self;
        link.update(|status| {
            status.connected = true;
            status.clock_offset_us = Some(0);
        });
        let mut stop_serving = stop.clone();
        let serving = cv_relay::serve(listener, relay, async move {
            stop_serving.requested().await;
        });
        let publishing = async {
            tokio::select! {
                () = publish(&publisher, feed, link) => {}
                () = stop.requested() => {}
            }
            // The camera goes offline before the viewers are disconnected.
            drop(publisher);
        };
        let (served, ()) = tokio::join!(serving, publishing);
        if let Err(err) = served {
            log::error!("Streamer: cannot accept connections any more: {err}");
        }
    }
}

/// Publishes each new frame, detection and measurement, for ever.
async fn publish(publisher: &Publisher, feed: &Feed, link: &Link) {
    let mut gate = Gate::default();
    let mut demand = publisher.demand();
    loop {
        gate.demand(*demand.borrow_and_update());
        if let Some(stats) = feed.take_stats() {
            publisher.stats(stats);
        }
        if let Some(detections) = feed.take_detections() {
            publisher.detections(detections);
        }
        if let Some(frame) = feed.take_frame() {
            let sent = gate
                .admit(&frame, link.stream_fps(), Instant::now())
                .and_then(|()| {
                    let meta = FrameMeta {
                        seq: frame.seq,
                        captured_us: frame.captured_at,
                        sent_us: None,
                        width: frame.resolution.width,
                        height: frame.resolution.height,
                        bytes: None,
                        paced: Some(feed.paced()),
                        annotated: false,
                    };
                    publisher
                        .frame(meta, frame.jpeg)
                        .map_err(|_| Drop::Unsendable)
                });
            match sent {
                Ok(()) => link.frame_sent(),
                Err(reason) => feed.count(reason),
            }
        }
        // A change of the demand affects only the next frame, so it need not wake this task.
        feed.changed().await;
    }
}
