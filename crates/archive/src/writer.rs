//! The index's thread: the only one that writes to it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::disk::Disk;
use crate::error::ArchiveError;
use crate::events::{Change, Event};
use crate::index::{INDEX_FILE, Index, Row};
use crate::recorder::Batch;
use crate::segment::with_extension;
use crate::status::Gate;

/// Batches that wait; recorders wait with more, and their queues are bounded.
const MAX_WAITING: usize = 64;

/// Commits come at least this far apart: several cameras share one.
const COMMIT_SPACING: Duration = Duration::from_millis(50);

/// After an index that could not be written, the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// Longest that a request waits for the index.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Name of the index's faults at the gate.
const INDEX: &str = "the index";

type Call = Box<dyn FnOnce(&mut Index) + Send>;

enum Job {
    Batch(Batch),
    Call(Call),
    Stop,
}

/// Hears of events, after they have been stored. It must not wait.
pub type Listener = Arc<dyn Fn(Change, &Event) + Send + Sync>;

/// Those who hear of events.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<Vec<Listener>>);

impl Listeners {
    pub fn add(&self, listener: Listener) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(listener);
    }

    pub fn tell(&self, change: Change, event: &Event) {
        let listeners = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for listener in listeners {
            listener(change, event);
        }
    }
}

/// The way to the index's thread.
#[derive(Clone)]
pub(crate) struct Writer {
    jobs: SyncSender<Job>,
}

impl Writer {
    /// Hands over a batch; waits while the index cannot keep up.
    pub fn put(&self, batch: Batch) {
        // Fails once the archive is closed.
        let _ = self.jobs.send(Job::Batch(batch));
    }

    /// Runs `work` on the index's thread and returns what it returns.
    pub fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Index) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let (answer, answered) = sync_channel(1);
        let call: Call = Box::new(move |index| {
            // Nobody waits any more: then it does not matter.
            let _ = answer.send(work(index));
        });
        self.jobs.try_send(Job::Call(call)).map_err(|err| {
            ArchiveError::Unavailable(match err {
                TrySendError::Full(_) => "its index cannot keep up".into(),
                TrySendError::Disconnected(_) => "it is closed".into(),
            })
        })?;
        answered
            .recv_timeout(ANSWER_TIME)
            .map_err(|_| ArchiveError::Unavailable("its index did not answer in time".into()))?
    }

    pub fn stop(&self) {
        let _ = self.jobs.send(Job::Stop);
    }
}

/// The thread's state.
pub(crate) struct IndexThread {
    pub root: PathBuf,
    pub disk: Arc<dyn Disk>,
    pub index: Index,
    pub identity: Option<(u64, u64)>,
    pub gate: Arc<Gate>,
    pub listeners: Arc<Listeners>,
    /// Set before the archive is closed.
    pub closing: Arc<AtomicBool>,
    /// Called when the index has been opened anew.
    pub reopened: Box<dyn Fn() + Send>,
}

/// A channel to the thread.
pub(crate) fn channel() -> (Writer, Jobs) {
    let (jobs, receiver) = sync_channel(MAX_WAITING);
    (Writer { jobs }, Jobs(receiver))
}

/// The other end of [`Writer`].
pub(crate) struct Jobs(Receiver<Job>);

impl IndexThread {
    /// Runs until it is told to stop.
    pub fn run(mut self, jobs: &Jobs) {
        let mut stopping = false;
        while !stopping {
            let Ok(first) = jobs.0.recv() else { return };
            let mut waiting = vec![first];
            if matches!(waiting.first(), Some(Job::Batch(_))) {
                std::thread::sleep(COMMIT_SPACING);
            }
            waiting.extend(jobs.0.try_iter());
            let mut batch = Batch::default();
            for job in waiting {
                match job {
                    Job::Batch(more) => {
                        batch.rows.extend(more.rows);
                        batch.notices.extend(more.notices);
                    }
                    Job::Call(call) => {
                        // What was handed over before is there when the call runs.
                        self.commit(std::mem::take(&mut batch));
                        call(&mut self.index);
                    }
                    Job::Stop => stopping = true,
                }
            }
            self.commit(batch);
        }
    }

    /// Stores a batch and tells of its events; tries again while the disk is at fault.
    fn commit(&mut self, mut batch: Batch) {
        if batch.is_empty() {
            return;
        }
        loop {
            let outcome = self
                .check_identity()
                .and_then(|()| self.index.put(&batch.rows));
            match outcome {
                Ok(()) => break,
                Err(err) if passes(&err) => {
                    self.gate.set(INDEX, Some(err.explained()));
                    // A stop does not wait for a disk that may never return.
                    if self.closing.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::sleep(RETRY);
                    self.reopen(&mut batch);
                }
                Err(err) => {
                    log::error!(
                        "the index refuses a change, which is lost: {}",
                        err.explained()
                    );
                    return;
                }
            }
        }
        self.gate.set(INDEX, None);
        for (change, event) in batch.notices {
            self.listeners.tell(change, &event);
        }
    }

    fn check_identity(&self) -> Result<(), ArchiveError> {
        if self.identity_now() == self.identity {
            return Ok(());
        }
        Err(ArchiveError::Gone {
            path: self.root.clone(),
        })
    }

    fn identity_now(&self) -> Option<(u64, u64)> {
        self.disk.identity(&self.root.join(INDEX_FILE)).ok()
    }

    /// Opens the index anew, if it is there. What the batch says of segments is dropped if their
    /// files are not there.
    fn reopen(&mut self, batch: &mut Batch) {
        let Ok(index) = Index::open(&self.root, false) else {
            return;
        };
        self.index = index;
        let identity = self.identity_now();
        if identity == self.identity {
            return;
        }
        self.identity = identity;
        batch.rows.retain(|row| match row {
            Row::Segment(segment) => {
                let file = with_extension(&self.root, &segment.path, "mjpeg");
                self.disk
                    .length(&file)
                    .is_ok_and(|length| length >= segment.bytes)
            }
            Row::Event { .. } => true,
        });
        (self.reopened)();
    }
}

/// Whether the same change may succeed later, without anyone changing the program.
fn passes(err: &ArchiveError) -> bool {
    use rusqlite::ErrorCode as Code;
    match err {
        ArchiveError::Index {
            source: rusqlite::Error::SqliteFailure(failure, _),
            ..
        } => matches!(
            failure.code,
            Code::DiskFull
                | Code::SystemIoFailure
                | Code::ReadOnly
                | Code::CannotOpen
                | Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::OutOfMemory
                | Code::PermissionDenied
        ),
        ArchiveError::Gone { .. } => true,
        _ => false,
    }
}
