//! What an archive may rely on.

use std::path::PathBuf;
use std::time::Duration;

use crate::rules::RecordMode;

/// Settings of an archive. Rules may set mode, rate and retention of each camera otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The archive's folder.
    pub dir: PathBuf,
    /// What is recorded of a camera without rules of its own.
    pub record: RecordMode,
    /// Most frames a second that are stored of a camera; `None`: all.
    pub record_fps: Option<f32>,
    /// Days that footage and events are kept.
    pub keep_days: f32,
    /// Most bytes of one camera; `None`: as many as the disk holds.
    pub keep_bytes: Option<u64>,
    /// Bytes of the disk that stay free.
    pub min_free: u64,
    /// How often what was captured is written and synced. After a power cut so much is missing.
    pub flush_every: Duration,
    /// Most bytes of one camera that wait in memory: half of them for the writer, half as pre-roll.
    pub memory_per_camera: u64,
}

impl Config {
    /// The defaults, in a folder.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            record: RecordMode::Events,
            record_fps: Some(10.0),
            keep_days: 14.0,
            keep_bytes: Some(10_000_000_000),
            min_free: 1_000_000_000,
            flush_every: Duration::from_millis(500),
            memory_per_camera: 16 << 20,
        }
    }
}
