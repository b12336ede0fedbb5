//! What the detector adds to the runtime: inference beside the same library called by hand, and
//! everything around it.
//!
//! Both are run in turn on the same picture, now the one first, now the other, each after a picture
//! was decoded, so that whatever else the machine does hits both alike and the runtime's threads
//! have slept as long. Needs LiteRT's library in `CV_AGENT_LITERT_LIB`. Arguments name models
//! instead of the shipped one. With `--check` it fails where the figures that we promise are not
//! reached, which includes the first model's whole time beside the last one's; see
//! docs/benchmarks.md.
#![allow(missing_docs, unsafe_code, clippy::unwrap_used)]

mod bare;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cv_detect::{Detector, DetectorConfig, EngineChoice, Tracker};
use cv_picture::{Rgb, RgbDecoder};
use cv_protocol::Timestamp;

use bare::Bare;

/// Rounds of one model, after those to warm up.
const ROUNDS: usize = 600;
const WARM_UP: usize = 30;
const THREADS: usize = 2;

/// How often both are loaded: where a model's weights happen to lie in memory makes some percent.
const PAIRS: usize = 3;

/// Width and height of the models' input.
const SIDE: usize = 300;

/// Our inference may take this much of the bare one.
const MOST_INVOKE: f32 = 1.03;

/// Everything but inference may take this long.
const MOST_AROUND: Duration = Duration::from_micros(1600);

/// The first model may take this much of the last one's time, inference and everything around it.
const MOST_WHOLE: f32 = 1.3;

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The library called by hand, our detector, and the times of their inferences.
struct Pair {
    bare: Bare,
    ours: Detector,
    bare_times: Vec<Duration>,
    our_times: Vec<Duration>,
}

/// The pixels that lie in the middle of each of `side` x `side` parts.
fn sampled(picture: Rgb<'_>, side: usize) -> Vec<u8> {
    let middle = |index: usize, size: usize| (2 * index + 1) * size / (2 * side);
    (0..side * side)
        .flat_map(|index| {
            let (row, column) = (index / side, index % side);
            let pixel = middle(row, picture.height) * picture.width + middle(column, picture.width);
            &picture.pixels[3 * pixel..3 * pixel + 3]
        })
        .copied()
        .collect()
}

fn ms(time: Duration) -> f32 {
    time.as_secs_f32() * 1e3
}

fn main() {
    // What cargo passes to a bench is of no interest.
    let check = std::env::args().any(|arg| arg == "--check");
    let mut models: Vec<PathBuf> = std::env::args_os()
        .map(PathBuf::from)
        .filter(|arg| arg.extension().is_some_and(|ending| ending == "tflite"))
        .collect();
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let Some(library) = std::env::var_os("CV_AGENT_LITERT_LIB").map(PathBuf::from) else {
        eprintln!("CV_AGENT_LITERT_LIB is not set; scripts/get-litert prints its value");
        std::process::exit(i32::from(check));
    };
    let picture =
        std::fs::read(root.join("crates/detect/tests/fixtures/pictures/cat-close.jpg")).unwrap();
    if models.is_empty() {
        models.push(root.join("models/ssdlite_mobilenet_v2_coco_int8.tflite"));
    }
    println!(
        "one picture of 640x480, LiteRT with {THREADS} threads, medians of {ROUNDS} in ms; \
         inference: mean of {PAIRS} medians\n"
    );
    println!(
        "{:<32}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
        "model", "bare", "ours", "ratio", "decode", "resize", "post", "track", "around"
    );
    let mut failed = false;
    let mut wholes: Vec<Duration> = Vec::new();
    for model in models {
        let name = model.file_stem().unwrap().to_string_lossy().into_owned();
        let labels = name.rsplit_once('_').map(|(family, _)| family.to_owned());
        let labels = labels.map(|family| model.with_file_name(format!("{family}.labels.txt")));
        let file: &'static [u8] = std::fs::read(&model).unwrap().leak();
        let config = DetectorConfig {
            model: Some(model),
            labels: labels.filter(|file| file.is_file()),
            engine: EngineChoice::LiteRt,
            litert_lib: Some(library.clone()),
            threads: Some(THREADS),
            min_score: 0.3,
            ..DetectorConfig::default()
        };
        let mut decoder = RgbDecoder::new();
        let pixels = sampled(decoder.decode(&picture).unwrap(), SIDE);
        let mut pairs: Vec<Pair> = (0..PAIRS)
            .map(|_| {
                let mut bare = Bare::load(&library, file, THREADS);
                bare.write(&pixels);
                Pair {
                    bare,
                    ours: Detector::load(&config).unwrap(),
                    bare_times: Vec::new(),
                    our_times: Vec::new(),
                }
            })
            .collect();
        let mut tracker = Tracker::new();
        let mut found = Vec::new();
        // Decode, resize, post-process, track, all but inference.
        let mut times: [Vec<Duration>; 5] = Default::default();
        for round in 0..WARM_UP + ROUNDS {
            let pair = &mut pairs[round % PAIRS];
            let mut alone = || {
                decoder.decode(&picture).unwrap();
                pair.bare.invoke()
            };
            let before = (round / PAIRS).is_multiple_of(2).then(&mut alone);
            let start = Instant::now();
            let stages = pair.ours.detect(&picture, &mut found).unwrap();
            let tracking = Instant::now();
            tracker.update(&mut found, Timestamp(round as u64 * 33_000));
            let end = Instant::now();
            let bare = before.unwrap_or_else(alone);
            assert!(!found.is_empty());
            if round >= WARM_UP {
                pair.bare_times.push(bare);
                pair.our_times.push(stages.infer);
                let all = [
                    stages.decode,
                    stages.resize,
                    stages.post_process,
                    end - tracking,
                    end - start - stages.infer,
                ];
                for (times, time) in times.iter_mut().zip(all) {
                    times.push(time);
                }
            }
        }
        let mean = |of: fn(&mut Pair) -> &mut Vec<Duration>, pairs: &mut [Pair]| {
            let sum: Duration = pairs.iter_mut().map(|pair| median(of(pair))).sum();
            sum / PAIRS as u32
        };
        let bare = mean(|pair| &mut pair.bare_times, &mut pairs);
        let ours = mean(|pair| &mut pair.our_times, &mut pairs);
        let [decode, resize, post, track, around] = times.each_mut().map(|times| median(times));
        let ratio = ours.as_secs_f32() / bare.as_secs_f32();
        print!("{name:<32}{:>8.2}{:>8.2}{ratio:>8.3}", ms(bare), ms(ours));
        for time in [decode, resize, post, track, around] {
            print!("{:>8.3}", ms(time));
        }
        println!();
        failed |= ratio > MOST_INVOKE || around > MOST_AROUND;
        wholes.push(ours + around);
    }
    if let [first, .., last] = wholes[..] {
        let whole = first.as_secs_f32() / last.as_secs_f32();
        println!(
            "\nwhole, first / last model: {:.2} / {:.2} ms = {whole:.2}",
            ms(first),
            ms(last)
        );
        failed |= whole > MOST_WHOLE;
    }
    if failed {
        println!(
            "\nexpected a ratio of at most {MOST_INVOKE}, at most {MOST_AROUND:?} around, and at \
             most {MOST_WHOLE} of the last model's whole"
        );
    }
    std::process::exit(i32::from(check && failed));
}
