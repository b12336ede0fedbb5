//! `cv-agent detect`: searches JPEG files for objects.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use cv_protocol::Object;
use serde::Serialize;

use cv_detect::{Detection, Detector, DetectorArgs};

/// Arguments of `cv-agent detect`.
#[derive(Clone, Debug, clap::Args)]
pub struct DetectArgs {
    /// JPEG files to search
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,
    /// Settings of the detector.
    #[command(flatten)]
    pub detector: DetectorArgs,
}

/// One line of the output of `--json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    file: &'a Path,
    width: usize,
    height: usize,
    model: &'a str,
    engine: &'a str,
    infer_ms: f32,
    objects: Vec<Object>,
}

/// Searches each file and prints the objects that were found.
///
/// # Errors
///
/// Returns [`cv_detect::DetectError`] if the detector cannot be loaded (a wrong setting). Otherwise
/// returns how many files could not be searched, after trying all files and reporting each failure.
pub fn run(args: DetectArgs) -> anyhow::Result<()> {
    let mut detector = Detector::load(&args.detector.into())?;
    let mut found = Vec::new();
    let mut failed = 0;
    let mut out = io::stdout().lock();
    for image in &args.images {
        match search(&mut detector, image, &mut found) {
            Ok(line) if args.json => {
                serde_json::to_writer(&mut out, &line)?;
                writeln!(out)?;
            }
            Ok(line) => print(&mut out, &line)?,
            Err(err) => {
                log::error!("{err:#}");
                failed += 1;
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => anyhow::bail!(
            "cannot search {failed} of {} files; see the messages above",
            args.images.len()
        ),
    }
}

fn search<'a>(
    detector: &'a mut Detector,
    image: &'a Path,
    found: &mut Vec<Detection>,
) -> anyhow::Result<Line<'a>> {
    let jpeg = std::fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    let times = detector
        .detect(&jpeg, found)
        .with_context(|| format!("cannot search {}", image.display()))?;
    let info = detector.info();
    Ok(Line {
        file: image,
        width: times.width,
        height: times.height,
        model: &info.model,
        engine: info.engine,
        infer_ms: times.infer.as_secs_f32() * 1e3,
        objects: found
            .iter()
            .map(|found| found.to_object(detector.labels()))
            .collect(),
    })
}

fn print(out: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    writeln!(
        out,
        "{} ({}x{}, {:.1} ms with {}):",
        line.file.display(),
        line.width,
        line.height,
        line.infer_ms,
        line.engine
    )?;
    for object in &line.objects {
        let [ymin, xmin, ymax, xmax] = object.bounding_box;
        writeln!(
            out,
            "  {:>3.0} % {} at x {xmin:.3} to {xmax:.3}, y {ymin:.3} to {ymax:.3}",
            object.score * 100.0,
            object.label
        )?;
    }
    if line.objects.is_empty() {
        writeln!(out, "  nothing")?;
    }
    Ok(())
}
