//! The archive as others use it: with its threads, on the real disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

mod common;
mod disk;
mod export;
mod kill;
mod queries;
mod retention;
