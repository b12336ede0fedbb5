//! State that the threads of the pipeline share.

use std::time::Duration;

use cv_flow::{Slot, Taken};
use cv_picture::{Frame, Resolution};
use cv_uplink::{Feed, Link};
use tokio::sync::watch;

use super::heartbeat::Heartbeat;
use crate::config::Rates;
use crate::stats::Meters;

/// State that the threads of the pipeline share.
pub struct Shared {
    pub to_detect: Option<Slot<Frame>>,
    pub feed: Feed,
    pub link: Link,
    pub meters: Meters,
    pub rates: watch::Receiver<Rates>,
    /// Size to which frames are scaled down if the source has only larger ones; `None` for no
    /// limit.
    pub max_size: Option<Resolution>,
    /// A slot that stays empty. Threads wait at it, and closing it wakes them for the stop.
    pub stop: Slot<()>,
    pub capture_beat: Heartbeat,
    pub detect_beat: Heartbeat,
}

impl Shared {
    pub fn new(rates: watch::Receiver<Rates>, max_size: Option<Resolution>, detects: bool) -> Self {
        let stream_fps = rates.borrow().stream_fps;
        let detect_beat = Heartbeat::new("detect");
        if !detects {
            detect_beat.end();
        }
        Self {
            to_detect: detects.then(Slot::default),
            feed: Feed::default(),
            link: Link::new(stream_fps),
            meters: Meters::default(),
            rates,
            max_size,
            stop: Slot::default(),
            capture_beat: Heartbeat::new("capture"),
            detect_beat,
        }
    }

    /// Drops the frames that wait to be sent or searched. They may be buffers of a camera that is
    /// gone: as long as one is held, the kernel keeps its device file, and the camera would
    /// reconnect under another name.
    pub fn withdraw_frames(&self) {
        self.feed.withdraw_frame();
        if let Some(frames) = &self.to_detect {
            frames.take(Duration::ZERO);
        }
    }

    pub fn stopping(&self) -> bool {
        self.stop.take(Duration::ZERO) == Taken::Closed
    }

    pub fn rates(&self) -> Rates {
        *self.rates.borrow()
    }
}

/// Makes a thread hang for ever, as a test hook asks.
pub fn hang(thread: &str) -> ! {
    log::error!("Test hook: the {thread} thread hangs from now on");
    loop {
        std::thread::park();
    }
}
