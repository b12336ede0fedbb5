//! What one picture costs in heap allocations: nothing, but for what the JPEG decoder takes.
#![allow(unsafe_code, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};

use cv_detect::{Detector, DetectorConfig, EngineChoice, Tracker};
use cv_picture::{Rgb, RgbDecoder};
use cv_protocol::Timestamp;

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    /// Allocations of this thread, and their bytes.
    static COUNT: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

fn count(bytes: usize) {
    // A thread that is ending has no counter any more.
    let _ = COUNT.try_with(|count| {
        let (calls, total) = count.get();
        count.set((calls + 1, total + bytes));
    });
}

// SAFETY: everything is passed on to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of `work` and their bytes.
fn allocations(work: impl FnOnce()) -> (usize, usize) {
    let before = COUNT.get();
    work();
    let after = COUNT.get();
    (after.0 - before.0, after.1 - before.1)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name)
}

fn steady(engine: EngineChoice, litert_lib: Option<PathBuf>) {
    let mut detector = Detector::load(&DetectorConfig {
        model: Some(fixture(
            "../../../../models/ssdlite_mobilenet_v2_coco_int8.tflite",
        )),
        engine,
        litert_lib,
        min_score: 0.2,
        ..DetectorConfig::default()
    })
    .unwrap();
    // One will do where each takes seconds.
    let names = ["cat-close.jpg", "astronaut.jpg", "coffee.jpg"];
    let count = if engine == EngineChoice::TfLite {
        1
    } else {
        names.len()
    };
    let pictures: Vec<Vec<u8>> = names[..count]
        .iter()
        .map(|name| std::fs::read(fixture("pictures").join(name)).unwrap())
        .collect();
    let mut tracker = Tracker::new();
    let mut decoder = RgbDecoder::new();
    let mut found = Vec::new();
    let mut round = |detector: &mut Detector, jpeg: &[u8], at| {
        let decoding = allocations(|| {
            decoder.decode(jpeg).unwrap();
        });
        let all = allocations(|| {
            detector.detect(jpeg, &mut found).unwrap();
            tracker.update(&mut found, Timestamp(at));
        });
        assert!(!found.is_empty());
        (decoding, all)
    };
    for at in 0..2 {
        for jpeg in &pictures {
            round(&mut detector, jpeg, at * 33_000);
        }
    }
    for (index, jpeg) in pictures.iter().enumerate() {
        let (decoding, all) = round(&mut detector, jpeg, 100_000 + index as u64 * 33_000);
        println!(
            "{engine:?}: {} allocations of {} bytes in all, of these {} of {} by the JPEG decoder",
            all.0, all.1, decoding.0, decoding.1
        );
        assert_eq!(all, decoding, "allocations beside the decoder's");
    }
    let pixels = vec![90; 640 * 480 * 3];
    let picture = Rgb {
        pixels: &pixels,
        width: 640,
        height: 480,
    };
    detector.detect_rgb(picture, &mut found).unwrap();
    let decoded = allocations(|| {
        detector.detect_rgb(picture, &mut found).unwrap();
    });
    assert_eq!(decoded, (0, 0), "allocations for a decoded picture");
}

#[test]
fn nothing_is_allocated_for_a_picture_in_tflite() {
    steady(EngineChoice::TfLite, None);
}

#[test]
fn nothing_is_allocated_for_a_picture_in_litert() {
    let Some(library) = std::env::var_os("CV_AGENT_LITERT_LIB") else {
        eprintln!("left out: CV_AGENT_LITERT_LIB is not set (scripts/get-litert prints its value)");
        return;
    };
    steady(EngineChoice::LiteRt, Some(library.into()));
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(vec![0_u8; 1000])), (1, 1000));
}
