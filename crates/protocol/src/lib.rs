//! The messages that cv-agent, cv-relay and viewers exchange (protocol version 1).
//!
//! `docs/protocol.md` describes the same messages for clients written in other languages. Agents and
//! the relay serialize and parse every message with the types of this crate, so the two sides cannot
//! disagree about a key.
//!
//! ```text
//!           namespace /cv                                namespace /web
//! agent  --- frame (FrameMeta, JPEG) ------>  relay  --- frame (ViewerFrameMeta, JPEG) --->  viewer
//!        --- detections (Detections) ------>         --- detections (ViewerDetections) --->
//!        --- stats (Stats) ---------------->         --- stats (ViewerStats) ------------->
//!                                                    --- cameras ([CameraInfo]) ---------->
//!                                                    --- text (Text) --------------------->
//!        <-- ack (Ack) ---------------------         <-- shown (Shown) --------------------
//!        <-- demand (Demand) ---------------         <-- watch (Watch), unwatch (Unwatch) -
//!        <-> clock (ClockExchange) -------->         <-> clock (ClockExchange) ----------->
//!        <-- refused ------------------------         --- refused ------------------------>
//! ```
//!
//! Every message is a Socket.IO v5 event over WebSocket. An agent introduces itself with
//! [`AgentAuth`] when it joins [`NAMESPACE_AGENTS`]; viewers join [`NAMESPACE_VIEWERS`]. The module
//! [`tutorial`] holds the two older events that the tutorial's programs exchange, which agent and
//! relay also understand.
//!
//! # Threads
//!
//! The crate contains data and arithmetic only. It starts no thread, opens no socket and keeps no
//! state.
//!
//! # Invariants
//!
//! - A reader ignores keys that it does not know, so keys may be added within a protocol version. An
//!   added key is optional, and a writer omits it when it is absent.
//! - Every [`Timestamp`] is in microseconds since the Unix epoch, by the clock of the machine that
//!   wrote it. Nobody compares the times of two machines without the offset that a
//!   [`ClockExchange`] measured.
//! - Box corners are ymin, xmin, ymax, xmax, as fractions of the frame's height and width.
//! - Unit and clock are part of a key's name or of its documentation: `captured_us`, `infer_ms`.
//! - A secret never appears in `Debug` output.
//! - Limits that both sides must agree on are constants here: [`MAX_FRAME_BYTES`],
//!   [`MAX_CAMERA_NAME_BYTES`], [`WINDOW`], [`STALL`].
//!
//! # Dependencies
//!
//! The crate depends on serde and base64, and on no other crate of the workspace: all others may
//! depend on it.

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

/// Protocol version, which an agent sends as [`AgentAuth::protocol`].
pub const VERSION: u32 = 1;

/// TCP port that a relay listens on by default.
pub const DEFAULT_PORT: u16 = 5001;

/// Socket.IO namespace that agents connect to.
pub const NAMESPACE_AGENTS: &str = "/cv";

/// Socket.IO namespace that viewers connect to.
pub const NAMESPACE_VIEWERS: &str = "/web";

/// Minimum and maximum number of frames that a sender may have in flight, which means sent and not
/// yet acknowledged; see "Flow control" in `docs/protocol.md`.
pub const WINDOW: std::ops::RangeInclusive<usize> = 2..=8;

/// Time without an acknowledgement after which a sender that has frames in flight drops the
/// connection.
pub const STALL: std::time::Duration = std::time::Duration::from_secs(10);

/// Maximum length of a frame's JPEG in bytes; the relay refuses a larger one.
pub const MAX_FRAME_BYTES: usize = 8 << 20;

/// Maximum length of a camera's name, in bytes of UTF-8.
pub const MAX_CAMERA_NAME_BYTES: usize = 64;

/// Names of the Socket.IO events.
pub mod event {
    /// Frame, from agent to relay and from relay to viewer: `[meta, jpeg]`, one JSON object and one
    /// binary attachment.
    pub const FRAME: &str = "frame";
    /// Detections of one frame, from agent to relay ([`crate::Detections`]) and from relay to
    /// viewer ([`crate::ViewerDetections`]).
    pub const DETECTIONS: &str = "detections";
    /// Measurements, from agent to relay ([`crate::Stats`]) and from relay to viewer
    /// ([`crate::ViewerStats`]).
    pub const STATS: &str = "stats";
    /// Acknowledgement of a frame, from relay to agent ([`crate::Ack`]).
    pub const ACK: &str = "ack";
    /// Wishes of the viewers, from relay to agent ([`crate::Demand`]).
    pub const DEMAND: &str = "demand";
    /// Request to send a camera's frames, from viewer to relay ([`crate::Watch`]).
    pub const WATCH: &str = "watch";
    /// Request to stop sending a camera's frames, from viewer to relay ([`crate::Unwatch`]).
    pub const UNWATCH: &str = "unwatch";
    /// Acknowledgement that a frame was painted, from viewer to relay ([`crate::Shown`]).
    pub const SHOWN: &str = "shown";
    /// List of [`crate::CameraInfo`], which the relay sends a viewer when it connects and after
    /// each change.
    pub const CAMERAS: &str = "cameras";
    /// Text that a tutorial's client sent beside its frame, from relay to viewer ([`crate::Text`]).
    pub const TEXT: &str = "text";
    /// Question about the relay's clock from an agent or a viewer, and the relay's answer
    /// ([`crate::ClockExchange`]).
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
    /// Reason for which the relay is about to disconnect the client: a sentence that names the
    /// broken rule.
    pub const REFUSED: &str = "refused";
}

/// Checks the name of a camera: 1 to [`MAX_CAMERA_NAME_BYTES`] bytes, no control characters, no
/// `/`.
///
/// Names appear in URLs (`/stream/NAME.mjpg`), in metrics and on the page.
///
/// # Errors
///
/// Returns a sentence that says what is wrong with the name.
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
