//! The messages that cv-agent, cv-relay and their viewers exchange (protocol version 1).
//!
//! `docs/protocol.md` describes the same messages for clients written in other languages. Everything
//! travels as Socket.IO v5 events over WebSocket: agents on [`NAMESPACE_AGENTS`], viewers on
//! [`NAMESPACE_VIEWERS`]. Readers ignore keys they do not know, so keys may be added within a
//! version.

mod agent;
mod clock;
mod memory;
mod steady;
pub mod tutorial;
mod viewer;

pub use agent::{Accepted, Ack, AgentAuth, Demand, Detections, FrameMeta, Object, Stats, Waiting};
pub use clock::{ClockExchange, ClockSet, Moment, Timestamp};
pub use memory::{
    EventChange, EventInfo, EventMessage, FIRST_PLAYED_SEQ, Live, PLAY_RATE, Pause, Play,
    PlayState, Position, Recording, Seek,
};
pub use viewer::{
    CameraInfo, CameraState, Denied, Shown, Text, Unwatch, ViewerDetections, ViewerFrameMeta,
    ViewerStats, Watch,
};

/// The version that [`AgentAuth::protocol`] carries.
pub const VERSION: u32 = 1;

/// The port that a relay listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 5001;

/// Where agents connect.
pub const NAMESPACE_AGENTS: &str = "/cv";

/// Where viewers connect.
pub const NAMESPACE_VIEWERS: &str = "/web";

/// Fewest and most frames that a sender keeps unacknowledged; see "Flow control" in
/// `docs/protocol.md`.
pub const WINDOW: std::ops::RangeInclusive<usize> = 2..=8;

/// A sender with frames in flight that sees no acknowledgement for this long drops the connection.
pub const STALL: std::time::Duration = std::time::Duration::from_secs(10);

/// Largest JPEG that travels as a frame; the relay refuses a larger one.
pub const MAX_FRAME_BYTES: usize = 8 << 20;

/// Longest camera name, in bytes of UTF-8.
pub const MAX_CAMERA_NAME_BYTES: usize = 64;

/// Names of the events.
pub mod event {
    /// Agent to relay and relay to viewer: `[meta, jpeg]`, one JSON object and one attachment.
    pub const FRAME: &str = "frame";
    /// Agent to relay ([`crate::Detections`]) and relay to viewer ([`crate::ViewerDetections`]).
    pub const DETECTIONS: &str = "detections";
    /// Agent to relay ([`crate::Stats`]) and relay to viewer ([`crate::ViewerStats`]).
    pub const STATS: &str = "stats";
    /// Relay to agent ([`crate::Ack`]): the relay holds the frame.
    pub const ACK: &str = "ack";
    /// Relay to agent ([`crate::Demand`]): what viewers want.
    pub const DEMAND: &str = "demand";
    /// Viewer to relay ([`crate::Watch`]).
    pub const WATCH: &str = "watch";
    /// Viewer to relay ([`crate::Unwatch`]).
    pub const UNWATCH: &str = "unwatch";
    /// Viewer to relay ([`crate::Shown`]): a frame has been painted.
    pub const SHOWN: &str = "shown";
    /// Relay to viewer: a list of [`crate::CameraInfo`], on connect and on change.
    pub const CAMERAS: &str = "cameras";
    /// Relay to viewer ([`crate::Text`]): the lines of a tutorial's client.
    pub const TEXT: &str = "text";
    /// Either side to the relay and back ([`crate::ClockExchange`]).
    pub const CLOCK: &str = "clock";
    /// Relay to agent ([`crate::Waiting`]): a person has to accept it first. Relay to an
    /// administrator's page: the list of agents that wait, on connect and on change.
    pub const WAITING: &str = "waiting";
    /// Relay to agent ([`crate::Accepted`]), before it disconnects it: here is the agent's key.
    pub const ACCEPTED: &str = "accepted";
    /// Relay to viewer ([`crate::Denied`]): this camera is not among those it may see.
    pub const DENIED: &str = "denied";
    /// Relay to viewer ([`crate::EventMessage`]): something happened to an event.
    pub const EVENT: &str = "event";
    /// Viewer to relay ([`crate::Play`]).
    pub const PLAY: &str = "play";
    /// Viewer to relay ([`crate::Pause`]).
    pub const PAUSE: &str = "pause";
    /// Viewer to relay ([`crate::Seek`]).
    pub const SEEK: &str = "seek";
    /// Viewer to relay ([`crate::Live`]).
    pub const LIVE: &str = "live";
    /// Relay to viewer ([`crate::Position`]).
    pub const POSITION: &str = "position";
    /// Relay to anyone, before it disconnects them: a sentence that says which rule was broken.
    pub const REFUSED: &str = "refused";
}

/// Checks a camera's name: 1 to [`MAX_CAMERA_NAME_BYTES`] bytes, no control characters, no `/`.
///
/// Names appear in URLs (`/stream/NAME.mjpg`), in metrics and on the page.
///
/// # Errors
///
/// A sentence that says what is wrong with the name.
pub fn check_camera_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_CAMERA_NAME_BYTES {
        return Err(format!(
            "camera name has {} bytes, expected 1 to {MAX_CAMERA_NAME_BYTES}",
            name.len()
        ));
    }
    match name.chars().find(|c| c.is_control() || *c == '/') {
        Some(c) => Err(format!("camera name {name:?} contains {c:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camera_names_are_bounded_and_fit_a_url() {
        assert!(check_camera_name("front-door").is_ok());
        assert!(check_camera_name("Küche 2").is_ok());
        assert!(check_camera_name("").is_err());
        assert!(check_camera_name(&"x".repeat(65)).is_err());
        assert!(check_camera_name("a/b").unwrap_err().contains("'/'"));
        assert!(check_camera_name("a\nb").is_err());
    }
}
