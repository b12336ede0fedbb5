//! `cv-agent detect`: searches JPEG files for objects.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use cv_protocol::Object;
use serde::Serialize;

use cv_capture::{STILL_ENDINGS, Still};
use cv_detect::{Detection, Detector, DetectorArgs};
use cv_picture::{Rgb, encode};

/// Quality of annotated pictures, 1 to 100.
const QUALITY: u8 = 90;

/// Arguments of `cv-agent detect`.
#[derive(Clone, Debug, clap::Args)]
pub struct DetectArgs {
    /// Pictures to search (JPEG, PNG or WebP), or folders of them
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,
    /// Write each picture with its boxes to this folder, as JPEG
    #[arg(long, value_name = "DIR")]
    pub annotate: Option<PathBuf>,
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
    let images = pictures(&args.images)?;
    if let Some(folder) = &args.annotate {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let mut detector = Detector::load(&args.detector.into())?;
    let mut found = Vec::new();
    let mut written = BTreeSet::new();
    let mut failed = 0;
    let mut out = io::stdout().lock();
    for image in &images {
        let searched = search(&mut detector, image, &mut found).and_then(|(line, still)| {
            if let Some(folder) = &args.annotate {
                let name = free_name(image, &mut written);
                annotate(still, &line.objects, &folder.join(name))?;
            }
            Ok(line)
        });
        match searched {
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
            images.len()
        ),
    }
}

/// The pictures, and those in folders, by name.
fn pictures(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    for path in paths {
        if !path.is_dir() {
            pictures.push(path.clone());
            continue;
        }
        let reading = || format!("cannot read the folder {}", path.display());
        let mut inside = Vec::new();
        for entry in fs::read_dir(path).with_context(reading)? {
            let file = entry.with_context(reading)?.path();
            let ending = file.extension().unwrap_or_default().to_ascii_lowercase();
            if STILL_ENDINGS.iter().any(|known| ending == *known) {
                inside.push(file);
            }
        }
        anyhow::ensure!(
            !inside.is_empty(),
            "there is no picture ({}) in {}",
            STILL_ENDINGS.join(", "),
            path.display()
        );
        inside.sort();
        pictures.extend(inside);
    }
    Ok(pictures)
}

fn search<'a>(
    detector: &'a mut Detector,
    image: &'a Path,
    found: &mut Vec<Detection>,
) -> anyhow::Result<(Line<'a>, Still)> {
    let file = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    let searching = || format!("cannot search {}", image.display());
    let still = Still::read(&file).with_context(searching)?;
    let picture = Rgb {
        pixels: &still.pixels,
        width: still.width,
        height: still.height,
    };
    let times = detector
        .detect_rgb(picture, found)
        .with_context(searching)?;
    let info = detector.info();
    let line = Line {
        file: image,
        width: times.width,
        height: times.height,
        model: &info.model,
        engine: &info.engine,
        infer_ms: times.infer.as_secs_f32() * 1e3,
        objects: found
            .iter()
            .map(|found| found.to_object(detector.labels()))
            .collect(),
    };
    Ok((line, still))
}

/// A name for the annotated picture that was not given before.
fn free_name(image: &Path, written: &mut BTreeSet<String>) -> String {
    let stem = image.file_stem().unwrap_or_default().to_string_lossy();
    let mut name = format!("{stem}.jpg");
    let mut number = 1;
    while !written.insert(name.clone()) {
        number += 1;
        name = format!("{stem}-{number}.jpg");
    }
    name
}

/// Writes a picture with its boxes; a file that is there already is left alone.
fn annotate(mut still: Still, objects: &[Object], file: &Path) -> anyhow::Result<()> {
    let writing = || format!("cannot write {}", file.display());
    cv_picture::annotate(&mut still.pixels, still.width, objects);
    let jpeg = encode(&still.pixels, still.width, still.height, QUALITY).with_context(writing)?;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut out| out.write_all(&jpeg))
        .with_context(writing)
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
