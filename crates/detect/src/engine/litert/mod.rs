//! LiteRT, whose library is opened at run time; the only module that names `edgefirst_tflite_sys`.
//!
//! A library that was opened stays open, with its environment, for the life of the process:
//! closing it while its threads wind down can crash.

mod compile;
mod handles;
mod library;
mod run;
mod status;

pub use run::LiteRt;

/// What people call it.
pub const NAME: &str = "LiteRT";

/// The library's file name.
pub const LIBRARY: &str = "libLiteRt.so";
