//! What LiteRT's functions return.

use edgefirst_tflite_sys::litert as sys;

/// Turns a status into an error that names the function.
pub fn check(status: sys::Status, function: &str) -> Result<(), String> {
    if status == sys::kLiteRtStatusOk {
        Ok(())
    } else {
        Err(format!("{function} gives status {status}"))
    }
}
