//! Why there is no connection to the relay.

use std::io;
use std::time::Duration;

use tokio_tungstenite::tungstenite;

use super::packet::Malformed;

/// Why a connection could not be made, or ended.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    /// The host's name has no address.
    #[error("cannot find the address of {host}: {source}")]
    Resolve {
        /// As in the settings.
        host: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// No TCP connection.
    #[error("{0}")]
    Connect(#[source] io::Error),
    /// The other side does not speak WebSocket, or its certificate is not trusted.
    #[error("no WebSocket there: {}", describe(.0))]
    Upgrade(#[source] Box<tungstenite::Error>),
    /// An established connection broke.
    #[error("connection lost: {}", describe(.0))]
    Lost(#[source] Box<tungstenite::Error>),
    /// The other side closed the connection.
    #[error("connection closed by the relay")]
    Closed,
    /// The other side breaks the protocol.
    #[error("not a Socket.IO server there: {0}")]
    Malformed(#[from] Malformed),
    /// Something took too long.
    #[error("no {what} within {limit:?}")]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
    /// The relay will not have us; trying again soon is useless.
    #[error("the relay refuses this agent: {0}")]
    Refused(String),
    /// The relay ended the connection, and will have us back at once.
    #[error("dropped by the relay: {0}")]
    Dropped(String),
    /// A person at the relay has accepted us; the next connection is to carry the key.
    #[error("the relay has accepted this agent")]
    Accepted(cv_protocol::Accepted),
    /// A message of ours could not be written as JSON.
    #[error("cannot write a message: {0}")]
    Encode(#[from] serde_json::Error),
}

impl UplinkError {
    /// Whether a person has to act before trying again can help.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    pub(super) fn timeout(what: &'static str, limit: Duration) -> Self {
        Self::Timeout { what, limit }
    }

    pub(super) fn lost(err: tungstenite::Error) -> Self {
        use tungstenite::Error as E;
        match err {
            E::ConnectionClosed | E::AlreadyClosed => Self::Closed,
            E::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
                Self::Closed
            }
            err => Self::Lost(Box::new(err)),
        }
    }
}

fn describe(err: &tungstenite::Error) -> String {
    match err {
        tungstenite::Error::Http(response) => format!("HTTP status {}", response.status()),
        err => err.to_string(),
    }
}
