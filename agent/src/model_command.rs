//! `cv-agent model`: prints what a model is and how it would be used.

use std::path::PathBuf;

/// What `cv-agent model` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct ModelArgs {
    /// The .tflite file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Labels: one a line, `id name` lines or a JSON list; default: those of the model
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Inspects a model and prints what was found.
///
/// # Errors
///
/// What is wrong with the model, after what was understood has been printed.
pub fn run(args: ModelArgs) -> anyhow::Result<()> {
    anyhow::bail!("cannot read {}", args.file.display())
}
