//! The thread that owns the database, and what the rest of the program sees of it.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use crate::error::AccessError;
use crate::links::LinkKey;
use crate::model::Snapshot;
use crate::store::Store;

/// How often changes by other processes are looked for; they are promised within a second.
const LOOK: Duration = Duration::from_millis(400);

/// How often what has ended is removed from the database.
const PRUNE: Duration = Duration::from_secs(6 * 3600);

/// Held by the relay that has the folder: two would answer for each other's agents.
const LOCK_FILE: &str = "relay.lock";

type Job = Box<dyn FnOnce(&mut Store, &Board) + Send>;

/// What is known now. Reading it never waits for the database.
#[derive(Debug)]
pub(crate) struct Board {
    snapshot: RwLock<Arc<Snapshot>>,
    changes: watch::Sender<u64>,
}

impl Board {
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.read();
        snapshot.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn renew(&self, store: &mut Store) -> Result<(), AccessError> {
        let new = store.snapshot()?;
        let mut known = self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if **known != new {
            *known = Arc::new(new);
            drop(known);
            self.changes.send_modify(|n| *n += 1);
        }
        Ok(())
    }
}

/// The way to the thread. It ends when the last of these is dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    jobs: mpsc::Sender<Job>,
    board: Arc<Board>,
}

impl Keeper {
    /// Opens the database and starts the thread.
    pub fn start(folder: &Path, keep_audit: Duration) -> Result<(Self, LinkKey), AccessError> {
        let mut store = Store::open(folder)?;
        let lock = lock(folder)?;
        store.set_waiting(&[])?;
        store.prune(keep_audit)?;
        let link_key = store.link_key()?;
        let board = Arc::new(Board {
            snapshot: RwLock::new(Arc::new(store.snapshot()?)),
            changes: watch::Sender::new(0),
        });
        let (jobs, inbox) = mpsc::channel();
        let shared = board.clone();
        thread::Builder::new()
            .name("access".into())
            .spawn(move || {
                keep(store, &inbox, &shared, keep_audit);
                drop(lock);
            })
            .map_err(|source| AccessError::Folder {
                path: folder.to_owned(),
                source,
            })?;
        Ok((Self { jobs, board }, link_key))
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.board.snapshot()
    }

    pub fn changes(&self) -> watch::Receiver<u64> {
        self.board.changes.subscribe()
    }

    /// Does something with the database; whoever gets the result finds it in the snapshot.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, AccessError> + Send + 'static,
    ) -> Result<T, AccessError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |store, board| {
            let done = work(store).and_then(|done| board.renew(store).map(|()| done));
            // Nobody waits any more if the request was dropped.
            let _ = answer.send(done);
        });
        self.jobs.send(job).map_err(|_| AccessError::Closed)?;
        answered.await.map_err(|_| AccessError::Closed)?
    }

    /// Does something with the database in the background.
    pub fn post(&self, work: impl FnOnce(&mut Store) -> Result<(), AccessError> + Send + 'static) {
        let job: Job = Box::new(move |store, board| {
            if let Err(err) = work(store).and_then(|()| board.renew(store)) {
                log::warn!("{err}");
            }
        });
        // Fails only while the program ends.
        let _ = self.jobs.send(job);
    }
}

fn lock(folder: &Path) -> Result<File, AccessError> {
    let failed = |source| AccessError::Folder {
        path: folder.to_owned(),
        source,
    };
    let file = File::create(folder.join(LOCK_FILE)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(AccessError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn keep(mut store: Store, inbox: &mpsc::Receiver<Job>, board: &Board, keep_audit: Duration) {
    let mut version = store.version().ok();
    let mut look_at = Instant::now() + LOOK;
    let mut prune_at = Instant::now() + PRUNE;
    let mut failing = false;
    loop {
        let wait = look_at.saturating_duration_since(Instant::now());
        match inbox.recv_timeout(wait) {
            Ok(job) => job(&mut store, board),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        if now < look_at {
            continue;
        }
        look_at = now + LOOK;
        let looked = store.version().and_then(|found| {
            if version.replace(found) != Some(found) {
                board.renew(&mut store)?;
            }
            if now >= prune_at {
                prune_at = now + PRUNE;
                store.prune(keep_audit)?;
                board.renew(&mut store)?;
            }
            Ok(())
        });
        if let Err(err) = &looked
            && !failing
        {
            log::error!("{err}; users and keys stay as they were last known");
            // Looks again next time, whatever the version says then.
            version = None;
        }
        failing = looked.is_err();
    }
}
