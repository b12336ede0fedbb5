//! A named thread whose end, however it comes, stops the others.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::watch;
use tokio::time::timeout;

use super::shared::Shared;

/// How long a thread may take to end.
const STOP: Duration = Duration::from_secs(5);

/// Stops everything behind a thread when it ends, however it ends.
pub struct Guard {
    shared: Arc<Shared>,
    /// Dropped with the guard, which tells the main thread.
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

/// A thread and the news of its end.
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
        // Nothing is ever sent: the only news is that the sender is gone.
        let _ = self.ended.changed().await;
    }

    /// The thread's result; an error if it panicked or does not end.
    pub async fn join(mut self) -> anyhow::Result<T> {
        if timeout(STOP, self.ended()).await.is_err() {
            bail!("the {} thread does not end", self.name);
        }
        match self.handle.join() {
            Ok(result) => Ok(result),
            Err(_) => bail!("the {} thread panicked", self.name),
        }
    }
}
