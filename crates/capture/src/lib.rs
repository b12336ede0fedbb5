//! Captures frames: from cameras, clips, images, streams, commands and the test image.
//!
//! ```text
//! --source / --camera
//!       |
//!   SourceSpec ("0", "clip.avi", "http://...", "exec:...", "test")
//!       |
//!   Opener::open -----> Box<dyn Source> --next(timeout)--> Picture (JPEG, time, size, frames skipped)
//!       ^                     |
//!       '-- should_retry <-- CaptureError (Lost, Silent, ...)
//! ```
//!
//! The sources, and what each frame passes through before [`Source::next`] returns it:
//!
//! ```text
//! v4l2          driver's buffer --[raw cameras: encode]------.
//! http          body --> multipart --.                       |
//! exec          stdout --> split ----+--> feed (newest) -----+--> jpeg (check, repair) --> Picture
//! clip          file --> avi, split, png --> playlist, pace -'
//! test_picture  encoded rows --> pace ---------------------------------------------------> Picture
//! ```
//!
//! A camera's JPEG is not copied: the `Bytes` of a [`Picture`] are the driver's own buffer, which
//! returns to the driver when the last clone is dropped. [`Opener`] remembers which camera it opened,
//! so that the agent finds a camera that was unplugged and reconnects as another device file.
//!
//! # Threads
//!
//! [`Source::next`] runs on the caller's thread, the agent's `capture` thread. Cameras, clips and the
//! test image need no other thread. HTTP and `exec:` sources block while they read, so each has a
//! thread of its own, which hands the newest frame over through a [`cv_flow::Slot`]; `exec:` has a
//! second one that logs the command's standard error. Dropping the source ends them.
//!
//! # Invariants
//!
//! - [`Source::next`] returns within the time it is given, whatever the device or the network does.
//!   The capture thread can therefore always stop.
//! - A source delivers the newest frame. Older frames are dropped and counted, never queued.
//! - A delivered frame starts with SOI, ends with EOI, has tables and a size, and is at most as long
//!   as the protocol allows. Everything else is repaired or dropped, and counted in [`Counts`].
//! - A camera that is gone or silent ends in [`CaptureError::Lost`] or [`CaptureError::Silent`],
//!   after which the caller drops the source and opens it again.
//! - The driver always keeps two buffers. If too many frames are held, further ones are copied.
//! - Memory is bounded: one frame of a stream, 64 MiB of a clip, 16 MiB of the test image.
//! - A password in an address or a command appears in no message and in no debug output.
//!
//! # Dependencies
//!
//! The crate depends on `cv-flow` (the slot), `cv-picture` (sizes, encoding, Huffman tables) and
//! `cv-protocol` (timestamps, limits). It alone names ureq (HTTP), png, and the kernel's V4L2
//! interface. All `unsafe` code is in `v4l2::sys`, and one call that signals a process group in
//! `exec`.

mod clip;
mod error;
mod exec;
mod feed;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod jpeg;
mod multipart;
mod opener;
mod pace;
mod silence;
mod source;
mod spec;
mod split;
mod still;
mod test_picture;
pub mod v4l2;

pub use error::CaptureError;
pub use opener::{Opener, open};
pub use source::{Counts, Picture, Source, Wanted};
pub use spec::{SourceSpec, SpecError};
pub use still::{ENDINGS as STILL_ENDINGS, Still};
