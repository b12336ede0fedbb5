//! A thread that reads pictures from something that blocks, and hands on the newest.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use cv_protocol::Timestamp;

use super::error::CaptureError;
use super::jpeg::{BadPicture, Checker, Usable};
use super::silence::Silence;
use super::source::{Counts, Picture};
use cv_flow::{Slot, Taken};

/// Pictures that come from a stream of their own accord.
pub struct Feed {
    shared: Arc<Shared>,
    silence: Silence,
    /// Taken while opening, to be delivered first.
    first: Option<Item>,
    /// Pictures up to the last one that was delivered, those that were not usable included.
    delivered: u64,
    bad_heard: u64,
}

/// What a feed has to offer.
pub enum Fed {
    /// The newest picture.
    Picture(Picture),
    /// None yet.
    Nothing,
    /// There will be no more; the reason, unless the stream just ended.
    Ended(Option<CaptureError>),
}

#[derive(Default)]
struct Shared {
    slot: Slot<Item>,
    repaired: AtomicU64,
    bad: Mutex<Bad>,
}

/// Pictures that were not usable.
#[derive(Clone, Copy, Default)]
struct Bad {
    count: u64,
    last: Option<BadPicture>,
}

impl Shared {
    fn bad(&self) -> MutexGuard<'_, Bad> {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Item {
    Picture {
        usable: Usable,
        captured_at: Timestamp,
        /// Pictures read so far, this one included.
        number: u64,
    },
    Failed(CaptureError),
}

impl Feed {
    /// Starts a thread called `name` that opens a stream and reads its pictures until one of both
    /// ends. Silence for `patience` is an error.
    ///
    /// The thread is not waited for at the end: whoever owns the stream ends it.
    pub fn start<S: PictureStream>(
        name: &str,
        what: String,
        patience: Duration,
        open: impl FnOnce() -> Result<S, CaptureError> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let reader = Arc::downgrade(&shared);
        thread::Builder::new().name(name.into()).spawn(move || {
            let _closer = Closer(reader.clone());
            let failed = match open() {
                Ok(stream) => read(stream, &reader).err(),
                Err(error) => Some(error),
            };
            if let (Some(error), Some(shared)) = (failed, reader.upgrade()) {
                shared.slot.put(Item::Failed(error));
            }
        })?;
        Ok(Self {
            shared,
            silence: Silence::new(what, patience),
            first: None,
            delivered: 0,
            bad_heard: 0,
        })
    }

    /// Waits at most `timeout` for the first picture.
    ///
    /// # Errors
    ///
    /// Why there will be none; `None` if the stream just ended.
    pub fn wait_for_first(&mut self, timeout: Duration) -> Result<(), Option<CaptureError>> {
        match self.shared.slot.take(timeout) {
            Taken::Value(Item::Failed(error)) => Err(Some(error)),
            Taken::Closed => Err(None),
            Taken::TimedOut => Ok(()),
            Taken::Value(item) => {
                self.first = Some(item);
                Ok(())
            }
        }
    }

    /// Waits at most `timeout` for the newest picture.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Silent`].
    pub fn next(&mut self, timeout: Duration) -> Result<Fed, CaptureError> {
        let taken = match self.first.take() {
            Some(item) => Taken::Value(item),
            None => self.shared.slot.take(timeout),
        };
        self.hear_bad();
        Ok(match taken {
            Taken::Value(Item::Picture {
                usable,
                captured_at,
                number,
            }) => {
                self.silence.end();
                let skipped = number.saturating_sub(self.delivered + 1);
                self.delivered = number;
                Fed::Picture(Picture {
                    jpeg: usable.jpeg,
                    captured_at,
                    resolution: usable.resolution,
                    skipped,
                })
            }
            Taken::Value(Item::Failed(error)) => Fed::Ended(Some(error)),
            Taken::Closed => Fed::Ended(None),
            Taken::TimedOut => {
                self.silence.check()?;
                Fed::Nothing
            }
        })
    }

    /// What happened to the pictures so far.
    pub fn counts(&self) -> Counts {
        Counts {
            stale: self.shared.slot.dropped(),
            bad: self.shared.bad().count,
            repaired: self.shared.repaired.load(Ordering::Relaxed),
            ..Counts::default()
        }
    }

    /// Tells the silence what was heard meanwhile.
    fn hear_bad(&mut self) {
        let bad = *self.shared.bad();
        if let Some(reason) = bad.last {
            self.silence.bad(bad.count - self.bad_heard, reason);
        }
        self.bad_heard = bad.count;
    }
}

/// Something that pictures can be read from, waiting as long as it takes.
pub trait PictureStream {
    /// The next picture, not yet checked; `None` at the end.
    fn read(&mut self) -> Result<Option<Bytes>, CaptureError>;
}

/// Reads until the stream ends or nobody wants its pictures any more.
fn read(mut stream: impl PictureStream, shared: &Weak<Shared>) -> Result<(), CaptureError> {
    let mut checker = Checker::default();
    let mut number = 0;
    while let Some(bytes) = stream.read()? {
        let captured_at = Timestamp::now();
        let Some(shared) = shared.upgrade() else {
            return Ok(());
        };
        number += 1;
        match checker.check(&bytes) {
            Ok(usable) => {
                let repaired = u64::from(usable.repaired);
                shared.repaired.fetch_add(repaired, Ordering::Relaxed);
                shared.slot.put(Item::Picture {
                    usable,
                    captured_at,
                    number,
                });
            }
            Err(reason) => {
                let mut bad = shared.bad();
                bad.count += 1;
                bad.last = Some(reason);
            }
        }
    }
    Ok(())
}

/// Closes the slot even if the thread panics.
struct Closer(Weak<Shared>);

impl Drop for Closer {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.slot.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::jpeg::tests::jpeg;
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    /// Pictures as the test sends them.
    struct Sent(mpsc::Receiver<Vec<u8>>);

    impl PictureStream for Sent {
        fn read(&mut self) -> Result<Option<Bytes>, CaptureError> {
            Ok(self.0.recv().ok().map(Bytes::from))
        }
    }

    fn feed(patience: Duration) -> (mpsc::SyncSender<Vec<u8>>, Feed) {
        // Without capacity: what was sent has been taken, and what came before it was handled.
        let (sender, receiver) = mpsc::sync_channel(0);
        let feed = Feed::start("test", "a test".into(), patience, || Ok(Sent(receiver))).unwrap();
        (sender, feed)
    }

    fn picture(feed: &mut Feed) -> Picture {
        match feed.next(LONG).unwrap() {
            Fed::Picture(picture) => picture,
            _ => panic!("no picture"),
        }
    }

    #[test]
    fn the_newest_picture_is_delivered_and_the_others_are_counted() {
        let (sender, mut feed) = feed(LONG);
        for seed in 1..4 {
            sender.send(jpeg(16, 16, seed)).unwrap();
        }
        sender.send(b"no picture".to_vec()).unwrap();
        sender.send(b"no picture".to_vec()).unwrap();
        let first = picture(&mut feed);
        assert_eq!(first.jpeg, jpeg(16, 16, 3));
        assert_eq!((first.skipped, feed.counts().stale), (2, 2));
        sender.send(jpeg(16, 16, 4)).unwrap();
        assert_eq!(picture(&mut feed).skipped, 2);
        assert_eq!(feed.counts().bad, 2);
        drop(sender);
        assert!(matches!(feed.next(LONG), Ok(Fed::Ended(None))));
    }

    #[test]
    fn nothing_is_told_in_time_and_silence_in_the_end() {
        let (_sender, mut feed) = feed(Duration::from_millis(20));
        let error = loop {
            match feed.next(Duration::from_millis(1)) {
                Ok(fed) => assert!(matches!(fed, Fed::Nothing)),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, CaptureError::Silent { .. }));
    }

    #[test]
    fn the_thread_ends_when_nobody_listens_any_more() {
        let (sender, feed) = feed(LONG);
        drop(feed);
        while sender.send(jpeg(16, 16, 1)).is_ok() {}
    }

    #[test]
    fn a_panic_ends_the_feed_instead_of_hanging_it() {
        struct Panics;
        impl PictureStream for Panics {
            fn read(&mut self) -> Result<Option<Bytes>, CaptureError> {
                panic!("as tests do")
            }
        }
        let mut feed = Feed::start("test", "a test".into(), LONG, || Ok(Panics)).unwrap();
        assert!(matches!(feed.next(LONG), Ok(Fed::Ended(None))));
    }
}
