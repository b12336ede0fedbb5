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
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod keys;
mod link;
mod packet;
mod picture;
mod reconnect;
mod reduce;
mod session;
mod shallow;
mod tutorial;
mod wire;

pub use connection::{Endpoint, EndpointError};
pub use error::UplinkError;
pub use feed::{Drop, Feed};
pub use gate::Gate;
pub use keys::KeyFile;
pub use link::{Link, LinkStatus, Stop};
pub use reconnect::Uplink;
pub use wire::Wire;
