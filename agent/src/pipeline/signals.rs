//! Receives the signals that a service reacts to: SIGINT, SIGTERM and SIGHUP.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives the signals that a service reacts to.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// Waits for a signal to stop. A signal to reload is ignored, because the service already
    /// stops.
    pub async fn stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}

/// Action that a signal asks for.
#[derive(PartialEq, Eq)]
pub enum Asked {
    Stop,
    Reload,
}
