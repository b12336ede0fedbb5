//! Keeps a connection to a server up for as long as the agent runs.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use cv_protocol::AgentAuth;
use tokio::time::sleep;

use crate::backoff::Backoff;
use crate::connection::{self, Endpoint};
use crate::error::UplinkError;
use crate::feed::Feed;
use crate::keys::KeyFile;
use crate::link::{Link, Stop};
use crate::reduce::Reducer;
use crate::session::Session;
use crate::wire::Wire;

/// A connection that lasted so long worked.
const PROVEN: Duration = Duration::from_secs(5);

/// Reasons that are logged in one outage, so that a strange one cannot fill the log.
const MOST_TOLD: usize = 16;

/// One connection to a server, made again as often as it breaks.
#[derive(Clone, Copy, Debug)]
pub struct Uplink<'a> {
    /// What the server understands.
    pub wire: Wire,
    /// Where it is.
    pub endpoint: &'a Endpoint,
    /// How we introduce ourselves.
    pub auth: &'a AgentAuth,
    /// The key that the relay has given us, or will.
    pub keys: &'a KeyFile,
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
            let err = match self.connect_and_serve(&reducer, &mut stop).await {
                Ok(()) => return,
                Err(UplinkError::Accepted(accepted)) => {
                    log::info!("The relay at {} has accepted this agent", self.endpoint);
                    self.keys.set(accepted.key).await;
                    // Were it to accept us for ever, it would not be without a pause.
                    sleep(backoff.wait()).await;
                    continue;
                }
                Err(err) => err,
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
            let introduction = AgentAuth {
                key: self.keys.key(),
                adoption: true,
                ..self.auth.clone()
            };
            let auth = self.wire.auth(&introduction);
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
