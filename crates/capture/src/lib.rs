//! Where pictures come from: cameras, clips, streams and the test picture.
//!
//! ```text
//! SourceSpec ("0", "clip.avi", "http://...", "exec:...", "test")
//!     -> Opener::open -> Box<dyn Source> -> next(timeout) -> Picture (JPEG, time, size)
//! ```
//!
//! Every source answers within the time it is given, so the capture thread can always stop, and
//! notices a camera that is gone or silent: [`CaptureError::Lost`] and [`CaptureError::Silent`]
//! come out of [`Source::next`], after which the caller drops the source and opens it again.

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
mod test_picture;
pub mod v4l2;

pub use error::CaptureError;
pub use opener::{Opener, open};
pub use source::{Counts, Picture, Source, Wanted};
pub use spec::{SourceSpec, SpecError};
