//! A named thread. When it ends, for whatever reason, it stops the threads that depend on it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::watch;
use tokio::time::timeout;

use super::shared::Shared;

/// Maximum time that a thread may take to end after the stop.
const STOP: Duration = Duration::from_secs(5);

/// Stops the threads that depend on a thread when that thread ends, even by a panic.
pub struct Guard {
    shared: Arc<Shared>,
    /// Dropping the guard drops this sender, which tells the main thread that the thread has ended.
    _ended: watch::Sender<()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.stop.close();
        if let Some(frames) = &self.shared.to_detect {
            frames.close();
        }
    }
}

/// A running thread, its result, and the notification of its end.
pub struct Worker<T> {
    name: &'static str,
    handle: JoinHandle<T>,
    ended: watch::Receiver<()>,
}

impl<T: Send + 'static> Worker<T> {
    pub fn spawn(
        name: &'static str,
        shared: &Arc<Shared>,
        work: impl FnOnce(&Shared) -> T + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (sender, ended) = watch::channel(());
        let guard = Guard {
            shared: shared.clone(),
            _ended: sender,
        };
        let handle = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                let guard = guard;
                work(&guard.shared)
            })
            .with_context(|| format!("cannot start the {name} thread"))?;
        Ok(Self {
            name,
            handle,
            ended,
        })
    }

    /// Waits until the thread has ended.
    pub async fn ended(&mut self) {
        // Nothing is ever sent; the only news is that the sender is gone.
        let _ = self.ended.changed().await;
    }

    /// Returns the thread's result; an error if the thread panicked or does not end in time.
    pub async fn join(mut self) -> anyhow::Result<T> {
        if timeout(STOP, self.ended()).await.is_err() {
            bail!("the {} thread did not end in time", self.name);
        }
        match self.handle.join() {
            Ok(result) => Ok(result),
            Err(_) => bail!("the {} thread panicked", self.name),
        }
    }
}
