//! The subcommands beside `run`, one module each.

pub mod bench;
pub mod cameras;
pub mod detect;
mod machine;
pub mod model;
