//! Brings frames, detections and measurements to a relay, over a Socket.IO client of our own.
//!
//! ```text
//! capture --put_frame--> Feed --newest--> Session: window, pace, demand --> WebSocket
//! detect  --put_detections--^                  ^-- ack, demand, clock, ping --'
//! ```
//!
//! A picture is handed to the socket as the [`bytes::Bytes`] it was captured in. Nothing queues: a
//! frame that cannot be sent at once waits in the [`Feed`] until a newer one takes its place.

mod addresses;
mod backoff;
mod connection;
mod error;
mod feed;
mod gate;
mod packet;
mod picture;
mod reduce;
mod session;
mod shallow;
mod tutorial;
mod wire;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cv_protocol::AgentAuth;
use tokio::sync::watch;
use tokio::time::sleep;

pub use connection::{Endpoint, EndpointError};
pub use error::UplinkError;
pub use feed::{Drop, Feed};
pub use gate::Gate;
pub use wire::Wire;

use backoff::Backoff;
use reduce::Reducer;
use session::Session;
use shallow::RoundTrip;

/// A connection that lasted so long worked.
const PROVEN: Duration = Duration::from_secs(5);

/// Reasons that are logged in one outage, so that a strange one cannot fill the log.
const MOST_TOLD: usize = 16;

/// Tells a task to end.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// `stop` becomes true, or is dropped, when everything is to end.
    #[must_use]
    pub fn new(stop: watch::Receiver<bool>) -> Self {
        Self(stop)
    }

    /// Waits until the end is requested.
    pub async fn requested(&mut self) {
        // An error means that the sender is gone, which is the end as well.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// What is known about the connection, for stats and status lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkStatus {
    /// Whether the relay has accepted us.
    pub connected: bool,
    /// Why there is no connection, once one has failed.
    pub failure: Option<String>,
    /// Round trip of a frame that travelled alone.
    pub round_trip: Option<Duration>,
    /// How far the relay's clock is ahead of ours, in microseconds.
    pub clock_offset_us: Option<i64>,
    /// Size that pictures are reduced to, as long as the link is too slow for the camera's own.
    pub reduced_to: Option<String>,
}

/// The connection as seen by the rest of the agent.
#[derive(Debug)]
pub struct Link {
    status: Mutex<LinkStatus>,
    sent: AtomicU64,
    /// Bits of an `f32`: a reload may change it.
    stream_fps: AtomicU32,
    /// Round trip of a small message, for the depth of the kernel's buffer.
    shortest: Arc<RoundTrip>,
}

impl Link {
    /// Not connected yet; at most `stream_fps` frames are sent per second.
    #[must_use]
    pub fn new(stream_fps: f32) -> Self {
        Self {
            status: Mutex::default(),
            sent: AtomicU64::new(0),
            stream_fps: AtomicU32::new(stream_fps.to_bits()),
            shortest: Arc::default(),
        }
    }

    /// Changes the ceiling on the frame rate; it holds from the next frame on.
    pub fn set_stream_fps(&self, stream_fps: f32) {
        self.stream_fps
            .store(stream_fps.to_bits(), Ordering::Relaxed);
    }

    /// The present state.
    #[must_use]
    pub fn status(&self) -> LinkStatus {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Frames handed to the socket since the start.
    #[must_use]
    pub fn frames_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Counts a frame that was handed to the socket.
    pub fn frame_sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Most frames sent per second.
    #[must_use]
    pub fn stream_fps(&self) -> f32 {
        f32::from_bits(self.stream_fps.load(Ordering::Relaxed))
    }

    /// Changes the state that [`Self::status`] returns.
    pub fn update(&self, change: impl FnOnce(&mut LinkStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// One connection to a server, made again as often as it breaks.
#[derive(Clone, Copy, Debug)]
pub struct Uplink<'a> {
    /// What the server understands.
    pub wire: Wire,
    /// Where it is.
    pub endpoint: &'a Endpoint,
    /// How we introduce ourselves.
    pub auth: &'a AgentAuth,
    /// What is to be sent.
    pub feed: &'a Feed,
    /// Where the state of the connection is noted.
    pub link: &'a Link,
}

impl Uplink<'_> {
    /// Keeps the connection up until `stop` is requested.
    ///
    /// Never gives up: a relay that is absent, slow, broken or unwilling is tried again for ever,
    /// at intervals that grow to a second, or to half a minute after a refusal.
    pub async fn run(&self, mut stop: Stop) {
        // Fails only if there is a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut backoff = Backoff::new();
        let reducer = Mutex::new(Reducer::new());
        let mut told = Vec::new();
        loop {
            let since = Instant::now();
            let Err(err) = self.connect_and_serve(&reducer, &mut stop).await else {
                return;
            };
            self.report(&err, &mut told);
            // One that accepts and hangs up at once must not be knocked at without pause.
            if since.elapsed() > PROVEN {
                backoff.reset();
            }
            let wait = if err.is_refusal() {
                backoff.wait_after_refusal()
            } else {
                backoff.wait()
            };
            // An attempt that took long is wait enough.
            let wait = match err {
                UplinkError::Timeout { .. } => wait.saturating_sub(since.elapsed()),
                _ => wait,
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.requested() => return,
            }
        }
    }

    async fn connect_and_serve(
        &self,
        reducer: &Mutex<Reducer>,
        stop: &mut Stop,
    ) -> Result<(), UplinkError> {
        let opened = async {
            let mut socket = connection::open(self.endpoint, &self.link.shortest).await?;
            let auth = self.wire.auth(self.auth);
            let (handshake, engine) =
                connection::enter(&mut socket, self.wire.namespaces(), auth.as_ref()).await?;
            Ok::<_, UplinkError>((socket, handshake, engine))
        };
        let (socket, handshake, engine) = tokio::select! {
            opened = opened => opened?,
            () = stop.requested() => return Ok(()),
        };
        let camera = &self.auth.camera;
        log::info!(camera = camera; "Successfully connected to {} as {camera}", self.endpoint);
        self.link.update(|status| {
            status.connected = true;
            status.failure = None;
        });
        Session::new(self.wire, self.feed, self.link, reducer)
            .run(socket, &handshake, engine, stop)
            .await
    }

    /// Logs each reason once in an outage, at a level a person sees; its repetitions are details.
    fn report(&self, err: &UplinkError, told: &mut Vec<String>) {
        let endpoint = self.endpoint;
        let reason = err.to_string();
        let before = self.link.status();
        if before.connected {
            log::warn!("Disconnected from {endpoint}: {reason}; connecting again");
            told.clear();
        } else if !told.contains(&reason) && told.len() < MOST_TOLD {
            log::warn!("Failed to connect to {endpoint}: {reason}; trying until it works");
            told.push(reason.clone());
        } else {
            log::debug!("Failed to connect to {endpoint}: {reason}");
        }
        self.link.update(|status| {
            status.connected = false;
            status.failure = Some(reason);
            status.round_trip = None;
        });
    }
}
