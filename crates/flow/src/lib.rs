//! What keeps delay bounded between two stages.

mod slot;

pub use slot::{Slot, Taken};
