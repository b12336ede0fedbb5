//! The archive's settings as the user types them.

use std::path::PathBuf;

use clap::Args;
use cv_archive::{Config, RecordMode};

/// `--archive-dir` and what belongs to it.
#[derive(Clone, Debug, Args)]
pub struct ArchiveArgs {
    /// Folder for events and recordings; without it nothing is recorded
    #[arg(long, value_name = "DIR")]
    pub archive_dir: Option<PathBuf>,

    /// What is recorded of cameras without rules of their own: off, events (from some seconds before
    /// each event until some seconds after it) or continuous
    #[arg(long, value_name = "MODE", default_value_t = RecordMode::Events)]
    pub record: RecordMode,

    /// Most frames a second that are recorded of a camera, 0.1 to 120
    #[arg(long, value_name = "FPS", default_value_t = 10.0, value_parser = fps)]
    pub record_fps: f32,

    /// Days that recordings and events are kept, unless a person keeps them for good
    #[arg(long, value_name = "N", default_value_t = 14.0, value_parser = days)]
    pub keep_days: f32,

    /// Most bytes of recordings of one camera, as in 500M, 20G or 2T; the oldest are removed
    #[arg(long, value_name = "SIZE", default_value = "10G", value_parser = size)]
    pub keep_bytes: Size,

    /// Bytes of the disk that recordings leave free; the oldest are removed, or recording stops
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size)]
    pub min_free: Size,
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

fn size(text: &str) -> Result<Size, String> {
    let wrong = || format!("{text:?} is not a size; expected bytes, or a number with k, M, G or T");
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit() && c != '.') {
        Some(end) => text.split_at(end),
        None => (text, ""),
    };
    let factor = match unit.trim().trim_end_matches(['B', 'b']) {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" | "m" => 1e6,
        "G" | "g" => 1e9,
        "T" | "t" => 1e12,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * factor;
    if !(0.0..1e18).contains(&bytes) {
        return Err(wrong());
    }
    // Checked to be in range.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(Size(bytes as u64))
}

fn within(text: &str, least: f32, most: f32) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected a number from {least} to {most}")),
    }
}

fn fps(text: &str) -> Result<f32, String> {
    within(text, 0.1, 120.0)
}

fn days(text: &str) -> Result<f32, String> {
    within(text, 0.01, 36_500.0)
}

impl ArchiveArgs {
    /// Settings of the archive, if there is to be one.
    #[must_use]
    pub fn config(&self) -> Option<Config> {
        Some(Config {
            record: self.record,
            record_fps: Some(self.record_fps),
            keep_days: self.keep_days,
            keep_bytes: Some(self.keep_bytes.0),
            min_free: self.min_free.0,
            ..Config::new(self.archive_dir.clone()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1500", 1500),
            ("500M", 500_000_000),
            ("1.5G", 1_500_000_000),
            ("2TB", 2_000_000_000_000),
            ("64 kB", 64_000),
        ] {
            assert_eq!(size(text), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "G", "-1", "1X", "1e3", "9999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
