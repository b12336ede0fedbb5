//! What a relay may rely on once it runs.

use std::sync::Arc;

use cv_access::Access;
use cv_archive::Archive;

/// A shared secret; never shown.
pub use cv_access::SharedSecret as Token;

/// To whom doors without a token are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Open {
    /// To everyone who reaches the port: a person has said so.
    Everyone,
    /// To programs on this machine, until there is an administrator.
    #[default]
    Loopback,
    /// To nobody.
    Nobody,
}

/// Bounds on what peers may cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Agents connected at once.
    pub agents: usize,
    /// Viewers connected at once, MJPEG streams included.
    pub viewers: usize,
    /// Cameras that one viewer may watch.
    pub cameras_per_viewer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            agents: 64,
            viewers: 1000,
            cameras_per_viewer: 16,
        }
    }
}

/// Settings of a relay.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What every agent may present instead of a key of its own.
    pub agent_token: Option<Token>,
    /// What every viewer may present instead of signing in.
    pub viewer_token: Option<Token>,
    /// Who comes in without anything where no token is set.
    pub open: Open,
    /// Whether the relay shows the camera of its own process alone, and refuses agents.
    pub one_camera: bool,
    /// Users, keys and API tokens; absent: there are none.
    pub access: Option<Arc<Access>>,
    /// Where events and recordings are kept; absent: nothing is recorded.
    pub archive: Option<Arc<Archive>>,
    /// Bounds.
    pub limits: Limits,
}
