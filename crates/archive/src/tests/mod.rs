//! Whole runs of a camera's recorder with a made-up disk and clock, step by step.

mod crash;
mod disk;
mod faults;
mod scene;
mod truth;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cv_protocol::{Detections, Object, Timestamp};

use crate::disk::Disk;
use crate::events::{Change, Event};
use crate::frame::{Found, Frame};
use crate::index::{Index, Row};
use crate::recorder::{Core, Environment, Input, Tuning};
use crate::rules::{RecordMode, Rules};
use crate::status::{CameraCounters, Gate};

/// 2026-11-25 21:00:00 UTC.
pub(super) const START: u64 = 1_795_640_400_000_000;

/// A made-up picture that begins and ends like a JPEG; no two are the same.
pub(super) fn picture(seq: u64, bytes: usize) -> Bytes {
    let mut content = vec![0xFF, 0xD8, 0xFF, 0xE0];
    let mut random = fastrand::Rng::with_seed(seq);
    content.extend(std::iter::repeat_with(|| random.u8(..)).take(bytes));
    content.extend([0xFF, 0xD9]);
    content.into()
}

pub(super) fn frame(seq: u64, at_us: u64, bytes: usize) -> Frame {
    Frame {
        seq,
        captured_us: Timestamp(at_us - 7),
        at_us: Timestamp(at_us),
        width: 640,
        height: 480,
        annotated: false,
        jpeg: picture(seq, bytes),
    }
}

pub(super) fn found(seq: u64, at_us: u64, objects: Vec<Object>) -> Found {
    Found {
        at_us: Timestamp(at_us),
        detections: Detections {
            seq,
            captured_us: Timestamp(at_us - 7),
            model: "SSD".into(),
            engine: "LiteRT".into(),
            accelerator: "XNNPACK (2 threads)".into(),
            infer_ms: 12.5,
            objects,
        },
    }
}

/// A camera's recorder, and an index that is told at each flush, in one thread.
pub(super) struct Bench {
    pub core: Core,
    pub index: Index,
    pub gate: Arc<Gate>,
    pub counters: Arc<CameraCounters>,
    pub rows: Vec<Row>,
    /// What listeners have heard.
    pub heard: Vec<(Change, Event)>,
    pub elapsed: Duration,
}

impl Bench {
    pub fn new(disk: Arc<dyn Disk>, root: &std::path::Path, rules: Rules) -> Self {
        let (gate, counters) = (
            Arc::new(Gate::default()),
            Arc::new(CameraCounters::default()),
        );
        let environment = Environment {
            disk,
            root: root.to_owned(),
            gate: gate.clone(),
            counters: counters.clone(),
        };
        let tuning = Tuning {
            record: RecordMode::Events,
            record_fps: None,
            ring_bytes: 8 << 20,
        };
        Self {
            core: Core::new("front", environment, tuning, Arc::new(rules)),
            index: Index::open(root, true).unwrap(),
            gate,
            counters,
            rows: Vec::new(),
            heard: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    pub fn frame(&mut self, frame: Frame) {
        self.core.take(Input::Frame(frame), self.elapsed);
    }

    pub fn found(&mut self, found: Found) {
        self.core.take(Input::Found(found), self.elapsed);
    }

    pub fn flush(&mut self, now_us: u64) {
        self.core.tick(Timestamp(now_us));
        let batch = self.core.flush(self.elapsed);
        self.index.put(&batch.rows).unwrap();
        self.rows.extend(batch.rows);
        self.heard.extend(batch.notices);
    }

    pub fn stop(&mut self) {
        self.core.stop();
        self.flush(START);
    }

    /// All events of the index, oldest first.
    pub fn events(&self) -> Vec<Event> {
        let page = self
            .index
            .events(&crate::EventFilter::default(), None, 500)
            .unwrap();
        page.events.into_iter().rev().collect()
    }
}
