//! What all parts of an open archive share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::config::Config;
use crate::disk::Disk;
use crate::error::ArchiveError;
use crate::events::Change;
use crate::folder::remove_files;
use crate::frame::{Found, Frame};
use crate::library::Library;
use crate::recorder::{Input, Queue, Tuning};
use crate::rules::{RecordMode, Rules};
use crate::status::{CameraCounters, CameraStatus, Gate, Number};
use crate::writer::{Listeners, Writer};

/// What all parts of an archive share.
pub(crate) struct Shared {
    pub config: Config,
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    pub gate: Arc<Gate>,
    pub listeners: Arc<Listeners>,
    pub writer: Writer,
    pub removed: Removed,
    pub free_bytes: Number,
    pub used_bytes: Number,
    pub closing: Arc<AtomicBool>,
    pub library: Arc<Library>,
    pub cameras: Mutex<BTreeMap<String, Arc<Recorder>>>,
    pub rules: Mutex<BTreeMap<String, Arc<Rules>>>,
    pub data_version: AtomicI64,
    /// Cameras whose rules another process has written.
    pub changed_rules: Mutex<Vec<String>>,
}

/// Bytes that retention has removed, by reason.
#[derive(Default)]
pub(crate) struct Removed {
    pub age: Number,
    pub bytes: Number,
    pub floor: Number,
}

/// Takes one camera's frames and detections. No method waits.
pub struct Recorder {
    pub(crate) camera: String,
    pub(crate) queue: Queue,
    pub(crate) counters: Arc<CameraCounters>,
    pub(crate) tuning: Tuning,
    pub(crate) rules: Mutex<Arc<Rules>>,
}

impl Recorder {
    /// Takes a frame.
    pub fn frame(&self, frame: Frame) {
        self.queue.push(Input::Frame(frame));
    }

    /// Takes what was found in a frame.
    pub fn found(&self, found: Found) {
        self.queue.push(Input::Found(found));
    }

    /// The agent has started anew: ids of objects mean others from now on.
    pub fn new_session(&self) {
        self.queue.push(Input::NewSession);
    }

    /// The most frames a second that recording can use: `Some(None)` is all, `None` is none.
    #[must_use]
    pub fn wants(&self) -> Option<Option<f32>> {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        match rules.record.unwrap_or(self.tuning.record) {
            RecordMode::Off => None,
            RecordMode::Events | RecordMode::Continuous => {
                Some(rules.record_fps.or(self.tuning.record_fps))
            }
        }
    }

    fn set_rules(&self, rules: Arc<Rules>) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules.clone();
        self.queue.push(Input::Rules(rules));
    }

    pub(crate) fn status(&self) -> CameraStatus {
        let counters = &self.counters;
        CameraStatus {
            camera: self.camera.clone(),
            recording: counters.recording.get() > 0,
            fault: counters.fault(),
            running_events: counters.running.get(),
            events: counters.events.get(),
            frames: counters.frames.get(),
            bytes: counters.bytes.get(),
            ring_bytes: counters.ring_bytes.get(),
            dropped: BTreeMap::from([
                ("rate", counters.above_rate.get()),
                ("disk", counters.not_stored.get()),
                ("busy", self.queue.dropped()),
            ]),
        }
    }
}

impl Shared {
    pub fn cameras(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Recorder>>> {
        self.cameras.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn rules_of(&self, camera: &str) -> Result<Arc<Rules>, ArchiveError> {
        let known = self.lock_rules().get(camera).cloned();
        if let Some(rules) = known {
            return Ok(rules);
        }
        let rules = Arc::new(self.library.stored_rules(camera)?);
        self.lock_rules().insert(camera.to_owned(), rules.clone());
        Ok(rules)
    }

    fn lock_rules(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Rules>>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn apply_rules(&self, camera: &str, rules: Arc<Rules>) {
        self.lock_rules().insert(camera.to_owned(), rules.clone());
        let recorder = self.cameras().get(camera).cloned();
        if let Some(recorder) = recorder {
            recorder.set_rules(rules);
        }
    }

    /// Takes over rules that another process has written, as `cv-relay rules`.
    pub fn refresh_rules(&self) -> Result<(), ArchiveError> {
        let version = self.writer.call(|index| index.data_version())?;
        if self.data_version.swap(version, Ordering::Relaxed) == version {
            return Ok(());
        }
        let known: Vec<String> = self.lock_rules().keys().cloned().collect();
        for camera in known {
            let stored = self.library.stored_rules(&camera)?;
            let changed = self
                .lock_rules()
                .get(&camera)
                .is_some_and(|rules| **rules != stored);
            if changed {
                log::info!("{camera:?}: other rules");
                self.changed_rules
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(camera.clone());
                self.apply_rules(&camera, Arc::new(stored));
            }
        }
        Ok(())
    }

    /// Removes the files of rows that are gone, and tells of the events among them.
    pub fn unlink(&self, doomed: &crate::index::Doomed) -> Result<(), ArchiveError> {
        for event in &doomed.events {
            self.listeners.tell(Change::Delete, event);
        }
        remove_files(self.disk.as_ref(), &self.config.dir, &doomed.files)?;
        let files = doomed.files.clone();
        self.writer.call(move |index| index.forget_garbage(&files))
    }
}
