//! A detector that is a program of its own: any accelerator through its own runtime.
//!
//! ```text
//! newest JPEG --header line and bytes--> standard input  \
//!                                                         command
//! detections <--one JSON line------- standard output     /
//! ```
//!
//! The program gets a picture when it has answered the one before, so nothing piles up. One that is
//! slow, dead, garbled or floods is ended and started again, with a growing pause; all that it can
//! take from us is bounded.

mod child;
mod message;
mod program;

pub use program::Program;
