//! What the detector adds to the runtime: inference beside the same library called by hand, and
//! everything around it.
//!
//! Both are run in turn on the same picture, now the one first, now the other, each after a picture
//! was decoded, so that whatever else the machine does hits both alike and the runtime's threads
//! have slept as long. Needs LiteRT's library in `CV_AGENT_LITERT_LIB`. With `--check` it fails
//! where the figures that we promise are not reached; see docs/benchmarks.md.
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
const MOST_AROUND: Duration = Duration::from_millis(6);

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
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let Some(library) = std::env::var_os("CV_AGENT_LITERT_LIB").map(PathBuf::from) else {
        eprintln!("CV_AGENT_LITERT_LIB is not set; scripts/get-litert prints its value");
        std::process::exit(i32::from(check));
    };
    let picture =
        std::fs::read(root.join("crates/detect/tests/fixtures/pictures/cat-close.jpg")).unwrap();
    println!(
        "one picture of 640x480, LiteRT with {THREADS} threads, medians of {ROUNDS} in ms; \
         inference: mean of {PAIRS} medians\n"
    );
    println!(
        "{:<28}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
        "model", "bare", "ours", "ratio", "decode", "resize", "post", "track", "around"
    );
    let mut failed = false;
    for name in ["ssd_mobilenet_v2_oid_fp16", "ssd_mobilenet_v2_oid_int8"] {
        let model = root.join("models").join(name).with_extension("tflite");
        let file: &'static [u8] = std::fs::read(&model).unwrap().leak();
        let config = DetectorConfig {
            model: Some(model),
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
        print!("{name:<28}{:>8.2}{:>8.2}{ratio:>8.3}", ms(bare), ms(ours));
        for time in [decode, resize, post, track, around] {
            print!("{:>8.3}", ms(time));
        }
        println!();
        failed |= ratio > MOST_INVOKE || around > MOST_AROUND;
    }
    if failed {
        println!("\nexpected a ratio of at most {MOST_INVOKE} and at most {MOST_AROUND:?} around");
    }
    std::process::exit(i32::from(check && failed));
}
