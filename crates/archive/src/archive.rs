//! The archive as others see it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::disk::{Disk, RealDisk, replace_file};
use crate::error::ArchiveError;
use crate::events::{Change, Event};
use crate::frame::{Found, Frame};
use crate::index::{INDEX_FILE, Index};
use crate::keeper::Keeper;
use crate::library::{Library, checked_json};
use crate::recorder::{Core, Environment, Input, Queue, Tuning, record_of};
use crate::repair::recover_after_crash;
use crate::rules::{RecordMode, Rules};
use crate::segment::record_path;
use crate::status::{CameraCounters, CameraStatus, Gate, Number, Status};
use crate::writer::{IndexThread, Listener, Listeners, Writer, channel};

/// Held by the one process that writes.
const LOCK_FILE: &str = "lock";

/// How often a recorder takes what has come.
const TICK: Duration = Duration::from_millis(100);

/// Longest that [`Archive::settle`] waits for one recorder.
const SETTLE_TIME: Duration = Duration::from_secs(20);

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
    cameras: Mutex<BTreeMap<String, Arc<Recorder>>>,
    rules: Mutex<BTreeMap<String, Arc<Rules>>>,
    data_version: AtomicI64,
    /// Cameras whose rules another process has written.
    changed_rules: Mutex<Vec<String>>,
}

/// Bytes that retention has removed, by reason.
#[derive(Default)]
pub(crate) struct Removed {
    pub age: Number,
    pub bytes: Number,
    pub floor: Number,
}

/// Events and recorded frames of all cameras.
///
/// Dropping it ends the running events, writes what waits, and closes the index.
pub struct Archive {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    recorders: Mutex<Vec<JoinHandle<()>>>,
    _lock: fs::File,
}

/// Takes one camera's frames and detections. No method waits.
pub struct Recorder {
    camera: String,
    queue: Queue,
    counters: Arc<CameraCounters>,
    tuning: Tuning,
    rules: Mutex<Arc<Rules>>,
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

    fn status(&self) -> CameraStatus {
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

impl Archive {
    /// Opens an archive, or creates it, and puts right what a crash has left.
    ///
    /// # Errors
    ///
    /// If the folder cannot be used, another process uses it, or a newer program has written it.
    pub fn open(config: Config) -> Result<Self, ArchiveError> {
        Self::open_with(config, Arc::new(RealDisk), Arc::new(SystemClock::default()))
    }

    /// The same with another disk and clock.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_with(
        config: Config,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ArchiveError> {
        let root = config.dir.clone();
        disk.create_folders(&root)
            .map_err(ArchiveError::file("create", &root))?;
        let lock = lock(&config)?;
        let mut index = Index::open(&root, true)?;
        recover_after_crash(disk.as_ref(), &root, &mut index)?;
        let identity = disk.identity(&root.join(INDEX_FILE)).ok();
        let (writer, jobs) = channel();
        let shared = Arc::new(Shared {
            free_bytes: Number::default(),
            used_bytes: Number::default(),
            removed: Removed::default(),
            gate: Arc::default(),
            listeners: Arc::default(),
            closing: Arc::default(),
            library: Arc::new(Library::new(disk.clone(), &config.dir)),
            cameras: Mutex::default(),
            rules: Mutex::default(),
            data_version: AtomicI64::new(0),
            changed_rules: Mutex::default(),
            config,
            disk,
            clock,
            writer,
        });
        let weak = Arc::downgrade(&shared);
        let index_thread = IndexThread {
            root,
            disk: shared.disk.clone(),
            index,
            identity,
            gate: shared.gate.clone(),
            listeners: shared.listeners.clone(),
            closing: shared.closing.clone(),
            reopened: Box::new(move || {
                if let Some(shared) = weak.upgrade() {
                    shared.library.forget_connections();
                }
            }),
        };
        let keeper = Keeper::new(shared.clone());
        let threads = vec![
            spawn("archive-index", move || index_thread.run(&jobs))?,
            spawn("archive-keep", move || keeper.run())?,
        ];
        Ok(Self {
            shared,
            threads: Mutex::new(threads),
            recorders: Mutex::default(),
            _lock: lock,
        })
    }

    /// The settings it was opened with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// The recorder of a camera; its thread starts with the first call.
    ///
    /// # Errors
    ///
    /// If its rules cannot be read or the thread cannot be started.
    pub fn recorder(&self, camera: &str) -> Result<Arc<Recorder>, ArchiveError> {
        let mut cameras = self.shared.cameras();
        if let Some(recorder) = cameras.get(camera) {
            return Ok(recorder.clone());
        }
        let rules = self.shared.rules_of(camera)?;
        let config = &self.shared.config;
        let tuning = Tuning {
            record: config.record,
            record_fps: config.record_fps,
            ring_bytes: config.memory_per_camera / 2,
        };
        let recorder = Arc::new(Recorder {
            camera: camera.to_owned(),
            queue: Queue::new(config.memory_per_camera / 2),
            counters: Arc::default(),
            tuning: tuning.clone(),
            rules: Mutex::new(rules.clone()),
        });
        let environment = Environment {
            disk: self.shared.disk.clone(),
            root: config.dir.clone(),
            gate: self.shared.gate.clone(),
            counters: recorder.counters.clone(),
        };
        let core = Core::new(camera, environment, tuning, rules);
        let (shared, own) = (self.shared.clone(), recorder.clone());
        let thread = spawn("record", move || record(core, &own, &shared))?;
        self.recorders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(thread);
        cameras.insert(camera.to_owned(), recorder.clone());
        Ok(recorder)
    }

    /// Calls `listener` for whatever happens to events, after it has been stored. It runs on the
    /// index's thread and must not wait.
    pub fn listen(&self, listener: impl Fn(Change, &Event) + Send + Sync + 'static) {
        let listener: Listener = Arc::new(listener);
        self.shared.listeners.add(listener);
    }

    /// Keeps an event and its footage for good, or no longer.
    ///
    /// # Errors
    ///
    /// If there is none with this id, or the index cannot be written.
    pub fn keep(&self, id: &str, kept: bool) -> Result<Event, ArchiveError> {
        let id = id.to_owned();
        let event = self
            .shared
            .writer
            .call(move |index| index.keep(&id, kept))?;
        if event.end_us.is_some() {
            // So that an index built anew from the files keeps it too.
            let path = record_path(&event.camera, event.start_us, &event.id);
            let file = self.shared.config.dir.join(path);
            replace_file(self.shared.disk.as_ref(), &file, &record_of(&event))
                .map_err(ArchiveError::file("write", &file))?;
        }
        self.shared.listeners.tell(Change::Update, &event);
        Ok(event)
    }

    /// Deletes an event, its snapshot, and the footage that was recorded for it alone.
    ///
    /// # Errors
    ///
    /// If there is none with this id, or the index cannot be written.
    pub fn delete(&self, id: &str) -> Result<(), ArchiveError> {
        let id = id.to_owned();
        let doomed = self
            .shared
            .writer
            .call(move |index| index.delete_event(&id))?;
        self.shared.unlink(&doomed)
    }

    /// The rules of a camera: the defaults, if it has none of its own.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn rules(&self, camera: &str) -> Result<Arc<Rules>, ArchiveError> {
        self.shared.rules_of(camera)
    }

    /// Gives a camera other rules. Its running events end.
    ///
    /// # Errors
    ///
    /// If the rules cannot be followed, or the index cannot be written.
    pub fn set_rules(&self, camera: &str, rules: Rules) -> Result<(), ArchiveError> {
        let json = checked_json(camera, &rules)?;
        let name = camera.to_owned();
        self.shared
            .writer
            .call(move |index| index.put_rules(&name, &json))?;
        self.shared.apply_rules(camera, Arc::new(rules));
        Ok(())
    }

    /// Cameras whose rules another process has changed since the last call.
    #[must_use]
    pub fn take_changed_rules(&self) -> Vec<String> {
        let mut changed = self
            .shared
            .changed_rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut changed)
    }

    /// How the recording of a camera is; `None` if it has brought nothing yet.
    #[must_use]
    pub fn camera_status(&self, camera: &str) -> Option<CameraStatus> {
        self.shared.cameras().get(camera).map(|r| r.status())
    }

    /// Why nothing is recorded of any camera; `None` while all is well.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.shared.gate.reason()
    }

    /// How the archive is.
    #[must_use]
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        Status {
            fault: shared.gate.reason(),
            free_bytes: shared.free_bytes.get(),
            used_bytes: shared.used_bytes.get(),
            removed_bytes: BTreeMap::from([
                ("age", shared.removed.age.get()),
                ("bytes", shared.removed.bytes.get()),
                ("floor", shared.removed.floor.get()),
            ]),
            cameras: shared.cameras().values().map(|r| r.status()).collect(),
        }
    }

    /// Returns once everything that recorders have been handed so far is stored, or could not be.
    ///
    /// # Errors
    ///
    /// If the archive does not answer in time.
    pub fn settle(&self) -> Result<(), ArchiveError> {
        let (done, all_done) = std::sync::mpsc::sync_channel(1024);
        let mut waiting = 0;
        for recorder in self.shared.cameras().values() {
            recorder.queue.push(Input::Settle(done.clone()));
            waiting += 1;
        }
        for _ in 0..waiting {
            all_done
                .recv_timeout(SETTLE_TIME)
                .map_err(|_| ArchiveError::Unavailable("a recorder did not answer".into()))?;
        }
        self.shared.writer.call(|_| Ok(()))
    }

    /// Ends the running events, writes what waits, and closes the index. Later calls do nothing.
    pub fn close(&self) {
        for recorder in self.shared.cameras().values() {
            recorder.queue.close();
        }
        join(&self.recorders);
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.writer.stop();
        join(&self.threads);
    }
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

/// An archive is a library that is also written.
impl std::ops::Deref for Archive {
    type Target = Arc<Library>;

    fn deref(&self) -> &Arc<Library> {
        &self.shared.library
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.close();
    }
}

fn join(threads: &Mutex<Vec<JoinHandle<()>>>) {
    let threads = std::mem::take(&mut *threads.lock().unwrap_or_else(PoisonError::into_inner));
    for thread in threads {
        if thread.join().is_err() {
            log::error!("a thread of the archive has panicked");
        }
    }
}

pub(crate) fn lock(config: &Config) -> Result<fs::File, ArchiveError> {
    let path = config.dir.join(LOCK_FILE);
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(ArchiveError::file("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(ArchiveError::InUse {
            path: config.dir.clone(),
        }),
        Err(fs::TryLockError::Error(err)) => Err(ArchiveError::file("lock", &path)(err)),
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, ArchiveError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        // They go nowhere deep; SQLite needs some tens of kilobytes.
        .stack_size(512 << 10)
        .spawn(work)
        .map_err(|err| ArchiveError::Unavailable(format!("cannot start thread {name}: {err}")))
}

/// The thread of one camera.
fn record(mut core: Core, recorder: &Recorder, shared: &Shared) {
    let mut flushed_at = shared.clock.elapsed();
    loop {
        let taken = recorder.queue.take(core.is_idle(), TICK);
        let elapsed = shared.clock.elapsed();
        for input in taken.inputs {
            if let Input::Settle(done) = input {
                shared.writer.put(core.flush(elapsed));
                let _ = done.send(());
                continue;
            }
            core.take(input, elapsed);
        }
        core.tick(shared.clock.now());
        if taken.closed {
            core.stop();
        }
        let due = elapsed.saturating_sub(flushed_at) >= shared.config.flush_every;
        if due || taken.closed {
            flushed_at = elapsed;
            let batch = core.flush(elapsed);
            if !batch.is_empty() {
                shared.writer.put(batch);
            }
        }
        if taken.closed {
            return;
        }
    }
}

impl Shared {
    fn cameras(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Recorder>>> {
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

    fn apply_rules(&self, camera: &str, rules: Arc<Rules>) {
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

/// Unlinks files below the archive's folder, and the folders that become empty.
pub(crate) fn remove_files(
    disk: &dyn Disk,
    root: &std::path::Path,
    files: &[String],
) -> Result<(), ArchiveError> {
    let mut folders = std::collections::BTreeSet::new();
    for file in files {
        let path = root.join(file);
        disk.remove(&path)
            .map_err(ArchiveError::file("remove", &path))?;
        folders.extend(path.parent().map(std::path::Path::to_owned));
    }
    for hour in folders {
        // The names are gone for good before the note that they have to go.
        let _ = disk.sync_folder(&hour);
        // Fails while there is something in it.
        if disk.remove_folder(&hour).is_ok()
            && let Some(day) = hour.parent()
        {
            let _ = disk.remove_folder(day);
        }
    }
    Ok(())
}
