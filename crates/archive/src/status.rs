//! How the archive is: counters, faults, and whether recording is allowed at all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// A number that many threads read.
#[derive(Debug, Default)]
pub(crate) struct Number(AtomicU64);

impl Number {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of one camera's recorder.
#[derive(Debug, Default)]
pub(crate) struct CameraCounters {
    pub frames: Number,
    pub bytes: Number,
    pub events: Number,
    pub running: Number,
    pub recording: Number,
    pub ring_bytes: Number,
    /// Frames beyond the stored rate.
    pub above_rate: Number,
    /// Frames that the disk has not taken.
    pub not_stored: Number,
    pub faults: Number,
    fault: Mutex<Option<String>>,
}

impl CameraCounters {
    pub fn set_fault(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    pub fn fault(&self) -> Option<String> {
        self.fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Whether recorders may write. Each reason to stop has its own place, so that one that ends does
/// not open the gate for another.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    shut: AtomicBool,
    reasons: Mutex<BTreeMap<&'static str, String>>,
}

impl Gate {
    pub fn closed(&self) -> bool {
        self.shut.load(Ordering::Relaxed)
    }

    /// Sets or ends one reason; says so in the log when it begins and when it ends.
    pub fn set(&self, what: &'static str, reason: Option<String>) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        match (reason, reasons.contains_key(what)) {
            (Some(reason), known) => {
                if !known {
                    log::error!("recording stopped: {reason}");
                }
                reasons.insert(what, reason);
            }
            (None, true) => {
                reasons.remove(what);
                if reasons.is_empty() {
                    log::info!("recording goes on ({what} is well again)");
                }
            }
            (None, false) => {}
        }
        self.shut.store(!reasons.is_empty(), Ordering::Relaxed);
    }

    pub fn reason(&self) -> Option<String> {
        let reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.values().next().cloned()
    }
}

/// How the archive is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Why nothing is recorded of any camera; absent while all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Bytes that may still be written to the archive's disk.
    pub free_bytes: u64,
    /// Bytes that recordings take, of all cameras.
    pub used_bytes: u64,
    /// Bytes removed since the start, by the reason: `age`, `bytes`, `floor`.
    pub removed_bytes: BTreeMap<&'static str, u64>,
    /// Each camera that has brought something since the start.
    pub cameras: Vec<CameraStatus>,
}

/// How the recording of one camera is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CameraStatus {
    /// Its name.
    pub camera: String,
    /// Whether frames are being stored now.
    pub recording: bool,
    /// Why its recording has stopped; absent while all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Events that have not ended.
    pub running_events: u64,
    /// Events since the start.
    pub events: u64,
    /// Frames stored since the start.
    pub frames: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Bytes of the frames that wait in memory as pre-roll.
    pub ring_bytes: u64,
    /// Frames that were not stored, by the reason: `rate` (beyond the stored rate), `disk` (it did
    /// not take them), `busy` (the writer could not keep up).
    pub dropped: BTreeMap<&'static str, u64>,
}
