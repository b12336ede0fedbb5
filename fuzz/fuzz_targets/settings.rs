#![no_main]

use cv_relay::cli::{Args, PROGRAM};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| cv_service::fuzzing::settings::<Args>(&PROGRAM, data));
