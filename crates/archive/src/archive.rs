//! The archive as others see it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::disk::{Disk, RealDisk, replace_file};
use crate::error::ArchiveError;
use crate::events::{Change, Event};
use crate::folder::lock;
use crate::index::{INDEX_FILE, Index};
use crate::keeper::Keeper;
use crate::library::{Library, checked_json};
use crate::recorder::{Core, Environment, Input, Queue, Tuning, record_of};
use crate::repair::recover_after_crash;
use crate::rules::Rules;
use crate::segment::record_path;
use crate::shared::{Recorder, Removed, Shared};
use crate::status::{CameraStatus, Number, Status};
use crate::writer::{IndexThread, Listener, channel};

/// How often a recorder takes what has come.
const TICK: Duration = Duration::from_millis(100);

/// Longest that [`Archive::settle`] waits for one recorder.
const SETTLE_TIME: Duration = Duration::from_secs(20);

/// Events and recorded frames of all cameras.
///
/// Dropping it ends the running events, writes what waits, and closes the index.
pub struct Archive {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    recorders: Mutex<Vec<JoinHandle<()>>>,
    _lock: fs::File,
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
        let lock = lock(&root)?;
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
