//! What bounds delay between a sender of frames and its receiver.
//!
//! Live video wants the newest frame, so nothing here queues, and nothing waits for a slower
//! neighbour. The same law holds wherever frames are sent: from an agent to its relay, and from a
//! relay to each viewer and camera.
//!
//! ```text
//!            newest frame
//!  thread --> Slot --> thread             within a process: an unread frame is replaced
//!
//!            newest frame
//!  camera --> [Pace] --> [Window] --> socket --> link --> receiver
//!             not more    not more                           |
//!             frames a    frames in   <-- acknowledgement ---'
//!             second      flight          (Delivery)
//! ```
//!
//! - [`Window`] decides how many frames may be in flight, so that delay is bounded by one window
//!   however large the buffers on the way are. It also says when a link has stalled, and how fast
//!   the link carried what it delivered.
//! - [`Pace`] keeps a ceiling on the frame rate, evenly.
//! - [`Clock`] estimates how far the other side's clock is ahead, so that both can speak about a
//!   frame's age.
//! - [`Slot`] hands the newest value from one thread to another.
//!
//! Apart from [`Slot`], everything is plain arithmetic on the times that the caller passes in: no
//! clock, no thread and no socket. So a test can simulate minutes of a link in milliseconds.

mod clock;
mod pace;
mod slot;
mod window;

pub use clock::Clock;
pub use pace::Pace;
pub use slot::{Slot, Taken};
pub use window::{Delivery, Window};
