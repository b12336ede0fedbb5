//! `cv-agent bench`: measures every stage on this machine.

use std::hint::black_box;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use cv_protocol::Timestamp;
use serde::Serialize;

use cv_capture::{SourceSpec, Wanted};
use cv_detect::{Detection, Detector, DetectorArgs, DetectorInfo, Tracker};
use cv_picture::RgbDecoder;
use cv_picture::encode;

use super::machine::{self, Machine};

/// A photograph of 640x480 pixels with an object in it, for users without a camera.
const PICTURE: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../crates/detect/tests/fixtures/pictures/cat-close.jpg"
));

/// Number of runs of a stage that are not measured, before those that are.
const WARM_UP: usize = 3;

/// Maximum and minimum number of measured runs of a stage.
const RUNS: (usize, usize) = (1000, 10);

/// Number of objects that the tracker is measured with.
const TRACKED: usize = 30;

/// JPEG quality of the encoded frames, 1 to 100.
const QUALITY: u8 = 80;

/// Arguments of `cv-agent bench`.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Capture from this source first, measure the intervals between its frames, and measure the
    /// other stages with one of them
    #[arg(long, visible_alias = "camera", value_name = "SOURCE")]
    pub source: Option<SourceSpec>,
    /// Seconds for which each stage runs, 0.1 to 600
    #[arg(long, value_name = "N", default_value_t = 5.0,
          value_parser = cv_service::value::number(0.1_f32..=600.0))]
    pub seconds: f32,
    /// Settings of the detector.
    #[command(flatten)]
    pub detector: DetectorArgs,
}

/// Measured times of one stage.
#[derive(Clone, Debug, Serialize)]
struct Stage {
    stage: &'static str,
    median_ms: f32,
    p99_ms: f32,
    runs: usize,
}

/// All measurements.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    machine: Machine,
    model: String,
    engine: String,
    accelerator: String,
    picture: String,
    stages: Vec<Stage>,
    /// Resident memory with everything loaded, in MB; `peak_rss_mb` is the maximum so far.
    rss_mb: f32,
    peak_rss_mb: f32,
}

/// Measures every stage and prints median, 99th percentile and memory.
///
/// # Errors
///
/// Returns [`cv_detect::DetectError`] if the detector cannot be loaded, and
/// [`cv_capture::CaptureError`] if the source cannot be opened.
pub fn run(args: BenchArgs) -> anyhow::Result<()> {
    let machine = Machine::this();
    let time = Duration::from_secs_f32(args.seconds);
    let mut stages = Vec::new();
    let picture = match &args.source {
        None => PICTURE.to_vec(),
        Some(spec) => {
            let (picture, stage) = time_capture(spec, time)?;
            stages.push(stage);
            picture
        }
    };
    let mut detector = Detector::load(&args.detector.into())?;
    let (width, height) = time_detector(&mut detector, &picture, time, &mut stages)?;
    stages.push(time_tracker(time));
    stages.push(time_encoder(&picture, time)?);
    let DetectorInfo {
        model,
        engine,
        accelerator,
        ..
    } = detector.info().clone();
    let (rss_mb, peak_rss_mb) = machine::memory();
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        machine,
        model,
        engine,
        accelerator,
        picture: format!("{width}x{height}"),
        stages,
        rss_mb,
        peak_rss_mb,
    };
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        print(&mut out, &report)?;
    }
    Ok(())
}

impl Stage {
    fn new(stage: &'static str, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        // The percentile is the shortest measured time that `percent` percent of the runs do not
        // exceed.
        let percentile = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).max(1);
            let time = times.get(rank - 1).copied().unwrap_or_default();
            time.as_secs_f32() * 1e3
        };
        Self {
            stage,
            median_ms: percentile(50),
            p99_ms: percentile(99),
            runs: times.len(),
        }
    }
}

/// Runs `once` repeatedly for about `time`, and returns its results.
fn repeat<T, E>(time: Duration, mut once: impl FnMut() -> Result<T, E>) -> Result<Vec<T>, E> {
    for _ in 0..WARM_UP {
        once()?;
    }
    let start = Instant::now();
    let mut results = Vec::new();
    let (most, fewest) = RUNS;
    while results.len() < most && (results.len() < fewest || start.elapsed() < time) {
        results.push(once()?);
    }
    Ok(results)
}

/// Measures the intervals between a source's frames. Returns the latest frame and the measurement.
fn time_capture(spec: &SourceSpec, time: Duration) -> anyhow::Result<(Vec<u8>, Stage)> {
    let mut source = cv_capture::open(spec, &Wanted::default())?;
    let mut next = |until: Instant| {
        while Instant::now() < until {
            if let Some(picture) = source.next(Duration::from_secs(1))? {
                return Ok(Some((picture.jpeg, Instant::now())));
            }
        }
        Ok::<_, cv_capture::CaptureError>(None)
    };
    // The time that a camera needs until its first frame is not part of the measurement.
    let (mut jpeg, mut before) = next(Instant::now() + Duration::from_secs(10))?
        .context("the source delivered no frame in 10 s")?;
    let mut times = Vec::new();
    let end = before + time;
    while let Some((picture, at)) = next(end)? {
        times.push(at - before);
        (jpeg, before) = (picture, at);
    }
    Ok((jpeg.to_vec(), Stage::new("capture (interval)", times)))
}

/// Measures decode, resize, inference and post-processing, and all of them together. Also returns
/// the size of the image.
fn time_detector(
    detector: &mut Detector,
    picture: &[u8],
    time: Duration,
    stages: &mut Vec<Stage>,
) -> anyhow::Result<(usize, usize)> {
    let mut found = Vec::new();
    let runs = repeat(time, || {
        let start = Instant::now();
        let times = detector.detect(picture, &mut found)?;
        Ok::<_, cv_detect::DetectError>((times, start.elapsed()))
    })
    .context("cannot search the frame")?;
    let size = runs
        .first()
        .map_or((0, 0), |(times, _)| (times.width, times.height));
    let mut add = |name, of: fn(&(cv_detect::StageTimes, Duration)) -> Duration| {
        stages.push(Stage::new(name, runs.iter().map(of).collect()));
    };
    add("decode", |(times, _)| times.decode);
    add("resize", |(times, _)| times.resize);
    add("infer", |(times, _)| times.infer);
    add("post-process", |(times, _)| times.post_process);
    add("decode to post-process", |(_, all)| *all);
    Ok(size)
}

/// Measures the tracker with objects that all move from frame to frame.
fn time_tracker(time: Duration) -> Stage {
    let mut tracker = Tracker::new();
    let mut found = Vec::with_capacity(TRACKED);
    let mut frame = 0_u64;
    let once = || {
        frame += 1;
        // Six by five objects that move back and forth.
        let shift = (frame % 40).abs_diff(20) as f32 * 0.002;
        found.clear();
        found.extend((0..TRACKED).map(|index| {
            let (y, x) = ((index / 6) as f32 * 0.18, (index % 6) as f32 * 0.15 + shift);
            Detection {
                class: 1,
                score: 0.9,
                bounding_box: [y, x, y + 0.2, x + 0.1],
                id: None,
            }
        }));
        let start = Instant::now();
        tracker.update(black_box(&mut found), Timestamp(frame * 33_000));
        Ok::<_, std::convert::Infallible>(start.elapsed())
    };
    let Ok(times) = repeat(time, once);
    Stage::new("track (30 objects)", times)
}

/// Measures encoding, which only raw cameras, slow links and the tutorial's server need.
fn time_encoder(picture: &[u8], time: Duration) -> anyhow::Result<Stage> {
    let mut decoder = RgbDecoder::new();
    let rgb = decoder.decode(picture)?;
    let times = repeat(time, || {
        let start = Instant::now();
        black_box(encode(rgb.pixels, rgb.width, rgb.height, QUALITY)?);
        Ok::<_, anyhow::Error>(start.elapsed())
    })?;
    Ok(Stage::new("encode", times))
}

fn print(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let Report {
        version,
        machine,
        model,
        engine,
        accelerator,
        picture,
        stages,
        rss_mb,
        peak_rss_mb,
    } = report;
    writeln!(out, "cv-agent {version} on {}", machine.name)?;
    for line in machine.lines() {
        writeln!(out, "{line}")?;
    }
    writeln!(
        out,
        "{model} with {engine}, {accelerator}; picture {picture}\n"
    )?;
    writeln!(
        out,
        "{:<24}{:>12}{:>12}{:>8}",
        "stage", "median ms", "99 % ms", "runs"
    )?;
    for stage in stages {
        writeln!(
            out,
            "{:<24}{:>12.3}{:>12.3}{:>8}",
            stage.stage, stage.median_ms, stage.p99_ms, stage.runs
        )?;
    }
    writeln!(out, "\nmemory {rss_mb:.1} MB, at most {peak_rss_mb:.1} MB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_percentile_is_a_measured_time() {
        let ms = |ms| Duration::from_millis(ms);
        let stage = Stage::new("stage", (1..=200).rev().map(ms).collect());
        assert_eq!((stage.median_ms, stage.p99_ms), (100.0, 198.0));
        let stage = Stage::new("stage", vec![ms(7)]);
        assert_eq!((stage.median_ms, stage.p99_ms), (7.0, 7.0));
        let stage = Stage::new("stage", Vec::new());
        assert_eq!((stage.median_ms, stage.runs), (0.0, 0));
    }

    #[test]
    fn a_stage_runs_a_minimum_number_of_times() {
        let mut calls = 0;
        let runs = repeat(Duration::ZERO, || {
            calls += 1;
            Ok::<_, ()>(())
        });
        assert_eq!(runs.unwrap().len(), RUNS.1);
        assert_eq!(calls, RUNS.1 + WARM_UP);
    }
}
