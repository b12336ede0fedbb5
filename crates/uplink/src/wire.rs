//! What differs between the servers that an agent can send to.

use cv_protocol::{AgentAuth, NAMESPACE_AGENTS};
use serde::Serialize;

/// Where a server of the tutorial has its one handler: it names no namespace.
const NAMESPACE_DEFAULT: &str = "/";

/// Which messages the other side understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Wire {
    /// Those of cv-relay
    Relay,
    /// Those of the tutorial's server: boxes drawn into pictures, which travel as text
    // Socket.IO's own acknowledgements take the place of ours.
    Tutorial,
    /// The same, for a server that handles them on the namespace /cv
    TutorialCv,
}

/// Auth payload of a CONNECT packet.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Auth<'a> {
    /// An agent that speaks our protocol.
    Agent(&'a AgentAuth),
    /// A client of the tutorial's kind, which has no name and no version.
    Token {
        /// Shared secret.
        token: &'a str,
    },
}

impl Wire {
    /// The namespaces to join, in this order. Messages travel on [`Self::namespace`] alone, so a
    /// server that handles several of them gets each frame once.
    pub fn namespaces(self) -> &'static [&'static str] {
        match self {
            Self::Relay | Self::TutorialCv => &[NAMESPACE_AGENTS],
            // The server announces its clients on `/cv`.
            Self::Tutorial => &[NAMESPACE_AGENTS, NAMESPACE_DEFAULT],
        }
    }

    /// Where messages are sent.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Relay | Self::TutorialCv => NAMESPACE_AGENTS,
            Self::Tutorial => NAMESPACE_DEFAULT,
        }
    }

    /// How an agent introduces itself. The tutorial's server takes no introduction.
    pub fn auth(self, agent: &AgentAuth) -> Option<Auth<'_>> {
        match self {
            Self::Relay => Some(Auth::Agent(agent)),
            Self::Tutorial | Self::TutorialCv => {
                agent.token.as_deref().map(|token| Auth::Token { token })
            }
        }
    }

    /// What is missing when no frame is acknowledged, and what a person can do about it: servers do
    /// not acknowledge an event that they have no handler for.
    pub fn acknowledgement(self) -> &'static str {
        match self {
            Self::Relay => "acknowledgement from the relay",
            Self::Tutorial => {
                "acknowledgement from the server (if it handles cv2server on the namespace /cv, \
                 use --wire tutorial-cv)"
            }
            Self::TutorialCv => {
                "acknowledgement from the server (if it handles cv2server on the default \
                 namespace, use --wire tutorial)"
            }
        }
    }
}
