//! The page served by the agent itself: a relay within the agent's process, and no uplink.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::time::Instant;

use cv_protocol::FrameMeta;
use cv_relay::hub::{PublishRefused, Publisher};
use cv_relay::{Config, Relay, Token};
use tokio::net::TcpListener;

use cv_uplink::{Drop, Feed, Gate, Link, Stop};

/// Address and access rules of the page that the agent serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamerConfig {
    /// Address and port that the streamer listens on.
    pub address: SocketAddr,
    /// Secret that viewers must present; if absent, everyone who reaches the port may watch.
    pub token: Option<String>,
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
    /// The kernel gave no random bytes for the secret that excludes other agents.
    #[error("cannot read /dev/urandom: {0}")]
    Random(#[source] io::Error),
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
            // This relay serves one camera only. Other agents cannot know the random secret.
            agent_token: Some(Token::new(secret().map_err(StreamerError::Random)?)),
            viewer_token: config.token.as_deref().map(Token::new),
            open: cv_relay::Open::Everyone,
            ..Config::default()
        });
        let publisher = relay.hub().publish(camera, |_reason| ())?;
        let local = listener.local_addr().map_err(listen)?;
        let who = match (config.token.is_some(), local.ip().is_loopback()) {
            (true, _) => "viewers with the token",
            (false, true) => "anyone on this machine",
            (false, false) => "anyone who reaches this machine",
        };
        cv_relay::announce_page(local);
        log::info!("Streamer: serves {who}; refuses other agents");
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

fn secret() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
