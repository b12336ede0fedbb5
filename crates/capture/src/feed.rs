//! A thread that reads frames from a blocking stream and offers the newest one.

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

/// Frames of a stream that delivers them at its own pace.
pub struct Feed {
    shared: Arc<Shared>,
    silence: Silence,
    /// First frame, which was taken while the stream was opened and is delivered first.
    first: Option<Item>,
    /// Number of the last delivered frame, counting the frames that were not usable.
    delivered: u64,
    bad_heard: u64,
}

/// Result of [`Feed::next`].
pub enum Fed {
    /// The newest frame.
    Picture(Picture),
    /// No frame has come yet.
    Nothing,
    /// The stream has ended. Carries the reason, unless the stream simply ended.
    Ended(Option<CaptureError>),
}

#[derive(Default)]
struct Shared {
    slot: Slot<Item>,
    repaired: AtomicU64,
    bad: Mutex<Bad>,
}

/// Frames that were not usable.
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
        /// Number of frames read so far, including this one.
        number: u64,
    },
    Failed(CaptureError),
}

impl Feed {
    /// Starts a thread called `name` that opens a stream and reads frames until the stream or the
    /// feed ends. More than `patience` without a usable frame is an error.
    ///
    /// Dropping the feed does not wait for the thread: the owner of the stream has to end the
    /// stream.
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

    /// Waits at most `timeout` for the first frame.
    ///
    /// # Errors
    ///
    /// Returns the reason why no frame will come; `None` if the stream simply ended.
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

    /// Waits at most `timeout` for the newest frame.
    ///
    /// # Errors
    ///
    /// Returns [`CaptureError::Silent`] if no usable frame has come for too long.
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

    /// Returns the counters of dropped, repaired and lost frames.
    pub fn counts(&self) -> Counts {
        Counts {
            stale: self.shared.slot.dropped(),
            bad: self.shared.bad().count,
            repaired: self.shared.repaired.load(Ordering::Relaxed),
            ..Counts::default()
        }
    }

    /// Passes the frames that were not usable on to the silence detection.
    fn hear_bad(&mut self) {
        let bad = *self.shared.bad();
        if let Some(reason) = bad.last {
            self.silence.bad(bad.count - self.bad_heard, reason);
        }
        self.bad_heard = bad.count;
    }
}

/// A stream that frames can be read from. Reading blocks for as long as it takes.
pub trait PictureStream {
    /// Reads the next frame, which is not checked yet; `None` at the end of the stream.
    fn read(&mut self) -> Result<Option<Bytes>, CaptureError>;
}

/// Reads until the stream ends or the feed is dropped.
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

/// Closes the slot when it is dropped, even if the thread panics.
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

    /// A stream of the frames that the test sends.
    struct Sent(mpsc::Receiver<Vec<u8>>);

    impl PictureStream for Sent {
        fn read(&mut self) -> Result<Option<Bytes>, CaptureError> {
            Ok(self.0.recv().ok().map(Bytes::from))
        }
    }

    fn feed(patience: Duration) -> (mpsc::SyncSender<Vec<u8>>, Feed) {
        // The channel has no capacity, so a completed send means that the feed took this item and
        // has handled the one before.
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
    fn the_newest_frame_is_delivered_and_the_others_are_counted() {
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
    fn next_returns_in_time_and_reports_silence_in_the_end() {
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
    fn the_thread_ends_when_the_feed_is_dropped() {
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
