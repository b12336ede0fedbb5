//! What happens to one camera's frames, on a thread of the camera's own.
//!
//! ```text
//!  live path --> Queue (bounded; the oldest gives way) --> Core: rules, ring, segment --> Batch
//!   never waits                    every 100 ms                 every half second, synced    |
//!                                                                         index thread <-----+
//! ```

mod core;
mod queue;
mod ring;

pub(crate) use core::{Batch, Core, Environment, Tuning, record_of};
pub(crate) use queue::{Input, Queue};
