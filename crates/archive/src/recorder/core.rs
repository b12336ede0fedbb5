//! The recorder of one camera, without its thread: tests drive it by hand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cv_protocol::Timestamp;

use super::queue::Input;
use super::ring::Ring;
use crate::disk::{Disk, replace_file};
use crate::error::ArchiveError;
use crate::events::{Change, Engine, Event, Outcome, seconds_us};
use crate::frame::{Found, Frame};
use crate::index::Row;
use crate::rules::{RecordMode, Rules};
use crate::segment::{Segment, SegmentWriter, record_path, recover, snapshot_path};
use crate::status::{CameraCounters, Gate};

/// Time is set back, rather than a little uneven, from here on.
const SET_BACK_US: u64 = 1_000_000;

/// Frames arrive unevenly: one that is due within this time is stored.
const PACE_SLACK_US: u64 = 5_000;

/// Footage in memory beyond the pre-roll: an event is known some searches after its start.
const RING_MARGIN_US: u64 = 3_000_000;

/// Least footage in memory, for snapshots.
const RING_LEAST_US: u64 = 6_000_000;

/// After a fault of the disk, the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// Snapshots that wait for a disk that is at fault.
const MAX_WAITING_SNAPSHOTS: usize = 16;

/// Settings of a recorder that rules do not change.
#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    pub record: RecordMode,
    pub record_fps: Option<f32>,
    pub ring_bytes: u64,
}

/// Records of ended events that wait for a disk that is at fault.
const MAX_WAITING_RECORDS: usize = 256;

/// What a recorder needs of the world.
#[derive(Clone)]
pub(crate) struct Environment {
    pub disk: Arc<dyn Disk>,
    pub root: PathBuf,
    pub gate: Arc<Gate>,
    pub counters: Arc<CameraCounters>,
}

/// What the index is to be told in one go, and who is to hear of it afterwards.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub rows: Vec<Row>,
    pub notices: Vec<(Change, Event)>,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.notices.is_empty()
    }
}

/// An event as the index was last told.
struct Told {
    last_seen: Timestamp,
    has_snapshot: bool,
}

/// One camera's rules, ring and open segment.
pub(crate) struct Core {
    camera: String,
    environment: Environment,
    tuning: Tuning,
    rules: Arc<Rules>,
    engine: Engine,
    ring: Ring,
    writer: Option<SegmentWriter>,
    /// Footage is wanted up to here, after the last event.
    record_until: Option<Timestamp>,
    last_at: Option<Timestamp>,
    last_stored: Option<Timestamp>,
    next_due: Option<Timestamp>,
    told: HashMap<String, Told>,
    /// Snapshots that have to be written, by event.
    snapshots: HashMap<String, (PathBuf, Bytes)>,
    /// Events that have ended and whose own records have to be written.
    records: Vec<Event>,
    segments: Vec<Segment>,
    /// Given up, and not cut yet.
    torn: Vec<Segment>,
    outcomes: Vec<(Change, Event)>,
    retry_at: Option<Duration>,
    /// The steady clock at the last call.
    elapsed: Duration,
}

impl Core {
    pub fn new(camera: &str, environment: Environment, tuning: Tuning, rules: Arc<Rules>) -> Self {
        Self {
            camera: camera.to_owned(),
            ring: Ring::new(tuning.ring_bytes),
            environment,
            tuning,
            rules,
            engine: Engine::new(camera),
            writer: None,
            record_until: None,
            last_at: None,
            last_stored: None,
            next_due: None,
            told: HashMap::new(),
            snapshots: HashMap::new(),
            records: Vec::new(),
            segments: Vec::new(),
            torn: Vec::new(),
            outcomes: Vec::new(),
            retry_at: None,
            elapsed: Duration::ZERO,
        }
    }

    /// What is recorded now.
    pub fn mode(&self) -> RecordMode {
        self.rules.record.unwrap_or(self.tuning.record)
    }

    /// Whether there is nothing that time alone could change.
    pub fn is_idle(&self) -> bool {
        self.writer.is_none()
            && self.engine.running().next().is_none()
            && self.outcomes.is_empty()
            && self.segments.is_empty()
            && self.snapshots.is_empty()
            && self.records.is_empty()
            && self.retry_at.is_none()
    }

    /// Takes what the live path has brought. `elapsed` is the steady clock.
    pub fn take(&mut self, input: Input, elapsed: Duration) {
        self.elapsed = elapsed;
        match input {
            Input::Frame(frame) => self.frame(frame),
            Input::Found(found) => self.found(found),
            Input::NewSession => self.engine.new_session(),
            Input::Rules(rules) => self.set_rules(rules),
            // Its thread deals with it.
            Input::Settle(_) => {}
        }
    }

    fn set_rules(&mut self, rules: Arc<Rules>) {
        if *self.rules == *rules {
            return;
        }
        let was = self.mode();
        // Zones are known by their number: what was seen under other rules says nothing.
        let ended = self.engine.end_all();
        self.note(ended);
        self.rules = rules;
        self.next_due = None;
        if self.mode() != was {
            // A segment is of one mode.
            self.seal();
            self.record_until = None;
        }
        if self.mode() == RecordMode::Off {
            self.ring.clear();
        }
    }

    fn frame(&mut self, mut frame: Frame) {
        if self.mode() == RecordMode::Off {
            return;
        }
        if let Some(last) = self.last_at
            && frame.at_us <= last
        {
            if last.0 - frame.at_us.0 > SET_BACK_US {
                self.clock_set_back();
            } else {
                frame.at_us = Timestamp(last.0 + 1);
            }
        }
        self.last_at = Some(frame.at_us);
        if self.is_due(frame.at_us) {
            let store = self.is_wanted(frame.at_us);
            if !store && self.writer.is_some() {
                self.seal();
            }
            let stored = store && self.store(&frame);
            self.ring.push(frame, stored);
        } else {
            self.environment.counters.above_rate.add(1);
            self.ring.push_spare(frame);
        }
        if let Some(last) = self.last_at {
            let pre_roll = seconds_us(self.rules.pre_roll_s) + RING_MARGIN_US;
            self.ring.trim(last, pre_roll.max(RING_LEAST_US));
        }
        self.environment.counters.ring_bytes.set(self.ring.bytes());
    }

    fn found(&mut self, found: Found) {
        if self.mode() == RecordMode::Off {
            return;
        }
        let outcomes = self.engine.search(&found, &self.rules);
        let starts: Vec<_> = outcomes
            .iter()
            .filter(|outcome| outcome.change == Change::Start)
            .map(|outcome| outcome.event.start_us)
            .collect();
        let store = self.is_wanted(found.at_us) && self.writer.is_some();
        if let Some(writer) = self.writer.as_mut().filter(|_| store) {
            writer.push_found(&found);
        }
        self.ring.push_found(found, store);
        self.note(outcomes);
        if let Some(first) = starts.into_iter().min() {
            self.store_pre_roll(first);
        }
    }

    fn store_pre_roll(&mut self, start: Timestamp) {
        let from = Timestamp(start.0.saturating_sub(seconds_us(self.rules.pre_roll_s)));
        for frame in self.ring.take_frames(from) {
            // Older than what another event has stored already: its place is taken.
            if self.last_stored.is_none_or(|last| frame.at_us > last) {
                self.store(&frame);
            }
        }
        if self.writer.is_some() {
            for found in self.ring.take_found(from) {
                if let Some(writer) = &mut self.writer {
                    writer.push_found(&found);
                }
            }
        }
    }

    /// Whether a frame belongs to those that the stored rate lets through.
    fn is_due(&mut self, at: Timestamp) -> bool {
        let Some(fps) = self.rules.record_fps.or(self.tuning.record_fps) else {
            return true;
        };
        let interval = seconds_us(1.0 / fps.max(0.01));
        match self.next_due {
            Some(due) if at.0 + PACE_SLACK_US < due.0 && due.0 - at.0 <= interval => false,
            // Keeping to the grid makes the rate even; a pause starts a new grid.
            Some(due) if due.0 + interval > at.0 && due.0 <= at.0 + interval => {
                self.next_due = Some(Timestamp(due.0 + interval));
                true
            }
            _ => {
                self.next_due = Some(Timestamp(at.0 + interval));
                true
            }
        }
    }

    fn is_wanted(&self, at: Timestamp) -> bool {
        match self.mode() {
            RecordMode::Off => false,
            RecordMode::Continuous => true,
            RecordMode::Events => {
                self.engine.running().next().is_some()
                    || self.record_until.is_some_and(|until| at <= until)
            }
        }
    }

    /// Adds a frame to the open segment, or to a new one; `false` if the disk does not take it.
    fn store(&mut self, frame: &Frame) -> bool {
        let blocked =
            self.environment.gate.closed() || self.retry_at.is_some_and(|at| self.elapsed < at);
        if blocked {
            self.abandon();
            self.environment.counters.not_stored.add(1);
            return false;
        }
        if self
            .writer
            .as_ref()
            .is_some_and(|writer| !writer.takes(frame))
        {
            self.flush_writer(true);
            self.writer = None;
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let created = SegmentWriter::create(
                    &self.environment.disk,
                    &self.environment.root,
                    &self.camera,
                    frame.at_us,
                    self.mode() == RecordMode::Continuous,
                );
                match created {
                    Ok(writer) => self.writer.insert(writer),
                    Err(err) => {
                        self.fail(&err);
                        self.environment.counters.not_stored.add(1);
                        return false;
                    }
                }
            }
        };
        writer.push(frame);
        self.last_stored = Some(frame.at_us);
        true
    }

    fn clock_set_back(&mut self) {
        log::warn!(
            "{:?}: the clock was set back; footage goes on in a new segment",
            self.camera
        );
        let ended = self.engine.clock_set_back();
        self.note(ended);
        self.seal();
        self.ring.clear();
        self.record_until = None;
        self.last_stored = None;
        self.next_due = None;
    }

    /// Notes what happened to events, and picks their snapshots.
    fn note(&mut self, outcomes: Vec<Outcome>) {
        for Outcome {
            change,
            event,
            best,
        } in outcomes
        {
            if let Some(best) = best
                && let Some(frame) = self.ring.frame(best.frame, best.at_us)
            {
                let path = snapshot_path(&event.camera, event.start_us, &event.id);
                if self.snapshots.len() < MAX_WAITING_SNAPSHOTS
                    || self.snapshots.contains_key(&event.id)
                {
                    self.snapshots.insert(
                        event.id.clone(),
                        (self.environment.root.join(path), frame.jpeg.clone()),
                    );
                }
            }
            if change == Change::End {
                let until = event.footage(0, seconds_us(self.rules.post_roll_s)).1;
                self.record_until = self.record_until.max(Some(until));
                if self.records.len() < MAX_WAITING_RECORDS {
                    self.records.push(event.clone());
                }
            }
            self.outcomes.push((change, event));
        }
    }

    /// Ends what has to end although nothing is heard of the camera.
    pub fn tick(&mut self, now: Timestamp) {
        let ended = self.engine.tick(now);
        self.note(ended);
        let quiet = self
            .last_at
            .is_some_and(|last| now.0.saturating_sub(last.0) > crate::segment::MAX_GAP_US);
        if quiet && self.writer.is_some() {
            self.seal();
        }
    }

    /// Ends everything in good order; [`Self::flush`] has to follow.
    pub fn stop(&mut self) {
        let ended = self.engine.end_all();
        self.note(ended);
        self.seal();
    }

    /// The open segment takes no more.
    fn seal(&mut self) {
        self.flush_writer(true);
        self.writer = None;
    }

    /// The disk is gone or may not be written: what it has not taken is lost.
    fn abandon(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.environment
                .counters
                .not_stored
                .add(writer.waiting_frames());
            let given_up = writer.give_up();
            self.torn
                .extend(given_up.iter().filter(|segment| !segment.sealed).cloned());
            self.segments.extend(given_up);
        }
    }

    /// Cuts the torn ends of segments that the disk did not let cut when they were given up.
    fn mend(&mut self) {
        let (disk, root) = (&self.environment.disk, &self.environment.root);
        self.torn.retain(|segment| {
            match recover(
                disk.as_ref(),
                root,
                &self.camera,
                &segment.path,
                segment.frames,
            ) {
                Ok(mended) => {
                    self.segments.extend(mended);
                    false
                }
                Err(_) => true,
            }
        });
    }

    fn flush_writer(&mut self, seal: bool) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        let (frames, bytes) = (writer.waiting_frames(), writer.waiting_bytes());
        match writer.flush(seal) {
            Ok(segment) => {
                self.segments.extend(segment);
                let counters = &self.environment.counters;
                counters.frames.add(frames);
                counters.bytes.add(bytes);
                if self.retry_at.take().is_some() {
                    log::info!("{:?}: recording goes on", self.camera);
                    counters.set_fault(None);
                    self.mend();
                }
            }
            Err(err) => self.fail(&err),
        }
    }

    fn fail(&mut self, err: &ArchiveError) {
        if self.retry_at.is_none() {
            log::error!("{:?}: recording stopped: {}", self.camera, err.explained());
        }
        self.environment.counters.set_fault(Some(err.explained()));
        self.environment.counters.faults.add(1);
        self.abandon();
        self.retry_at = Some(self.elapsed.saturating_add(RETRY));
    }

    /// Writes and syncs what waits; returns what the index has to be told.
    pub fn flush(&mut self, elapsed: Duration) -> Batch {
        self.elapsed = elapsed;
        if self.environment.gate.closed() {
            self.abandon();
        }
        self.flush_writer(false);
        let written = self.write_snapshots();
        let mut batch = Batch {
            rows: self.segments.drain(..).map(Row::Segment).collect(),
            notices: Vec::new(),
        };
        let (pre_roll, post_roll) = (
            seconds_us(self.rules.pre_roll_s),
            seconds_us(self.rules.post_roll_s),
        );
        let mut row = |told: &mut HashMap<String, Told>, event: &mut Event| {
            let snapshot_bytes = written.get(&event.id).copied();
            let known = told.get(&event.id);
            event.has_snapshot = snapshot_bytes.is_some() || known.is_some_and(|k| k.has_snapshot);
            batch.rows.push(Row::Event {
                event: event.clone(),
                snapshot_bytes,
                footage: event.footage(pre_roll, post_roll),
                is_new: known.is_none(),
            });
            let now = Told {
                last_seen: event.last_seen_us,
                has_snapshot: event.has_snapshot,
            };
            if event.end_us.is_some() {
                told.remove(&event.id);
            } else {
                told.insert(event.id.clone(), now);
            }
        };
        for (change, mut event) in self.outcomes.drain(..) {
            row(&mut self.told, &mut event);
            if change == Change::Start {
                self.environment.counters.events.add(1);
            }
            batch.notices.push((change, event));
        }
        let running: Vec<Event> = self.engine.running().cloned().collect();
        for mut event in running {
            let changed = self
                .told
                .get(&event.id)
                .is_none_or(|told| told.last_seen != event.last_seen_us)
                || written.contains_key(&event.id);
            if changed {
                row(&mut self.told, &mut event);
            }
        }
        let recording = self.writer.is_some();
        self.environment
            .counters
            .recording
            .set(u64::from(recording));
        let running = self.engine.running().count() as u64;
        self.environment.counters.running.set(running);
        batch
    }

    /// Writes the snapshots and records of events that wait; returns the bytes of those snapshots
    /// that are there.
    fn write_snapshots(&mut self) -> HashMap<String, u64> {
        let mut written = HashMap::new();
        let blocked =
            self.environment.gate.closed() || self.retry_at.is_some_and(|at| self.elapsed < at);
        if blocked || (self.snapshots.is_empty() && self.records.is_empty()) {
            return written;
        }
        let disk = self.environment.disk.clone();
        let put = |path: &Path, content: &[u8]| {
            disk.create_folders(path.parent().unwrap_or(Path::new("")))
                .and_then(|()| replace_file(disk.as_ref(), path, content))
                .map_err(ArchiveError::file("write", path))
        };
        let mut failure = None;
        self.snapshots.retain(|event, (path, jpeg)| {
            if failure.is_none() {
                failure = put(path, jpeg).err();
            }
            if failure.is_none() {
                written.insert(event.clone(), jpeg.len() as u64);
            }
            failure.is_some()
        });
        let root = &self.environment.root;
        self.records.retain(|event| {
            let path = root.join(record_path(&event.camera, event.start_us, &event.id));
            if failure.is_none() {
                failure = put(&path, &record_of(event)).err();
            }
            failure.is_some()
        });
        match failure {
            Some(err) => self.fail(&err),
            None if self.writer.is_none() && self.retry_at.take().is_some() => {
                self.environment.counters.set_fault(None);
                self.mend();
            }
            None => {}
        }
        written
    }
}

/// An event as its own record holds it.
pub(crate) fn record_of(event: &Event) -> Vec<u8> {
    // Numbers and texts cannot fail to serialize.
    serde_json::to_vec(event).unwrap_or_default()
}
