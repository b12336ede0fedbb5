//! How frames get into the hub: from an agent's socket, or from this process.

use std::sync::Arc;

use bytes::Bytes;
use cv_protocol::{
    Demand, Detections, FrameMeta, MAX_FRAME_BYTES, Stats, Timestamp, ViewerFrameMeta,
    check_camera_name,
};
use tokio::sync::watch;

use super::camera::FrameTaken;
use super::{Camera, Frame, Hub};
use crate::jpeg;

/// Why a camera was not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefused {
    /// The name breaks a rule.
    #[error("{0}")]
    Name(String),
    /// The relay is full.
    #[error("this relay takes {most} cameras at most")]
    TooManyAgents {
        /// The bound.
        most: usize,
    },
}

/// Why a frame was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameRefused {
    /// It is larger than [`MAX_FRAME_BYTES`].
    #[error("a frame of {bytes} bytes; {MAX_FRAME_BYTES} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It does not begin like a JPEG.
    #[error("a frame is not a JPEG (it does not start with FF D8 FF)")]
    NotJpeg,
    /// The agent gave it up on the way, because its link became slow.
    #[error("a frame that its agent gave up on the way")]
    Cut,
    /// It is older than the last one.
    #[error("a frame arrived after a newer one")]
    OutOfOrder,
    /// It waited while the agent, its link or this relay stood still, and newer ones come.
    #[error("a frame from before a silence")]
    LeftOver,
    /// Another publisher has taken over the camera's name.
    #[error("another connection has taken over the camera's name")]
    Superseded,
}

/// The right to bring one camera's frames; dropping it takes the camera offline.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use cv_protocol::{FrameMeta, Timestamp};
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # let _inside = runtime.enter();
/// let relay = cv_relay::app(cv_relay::Config::default());
/// let camera = relay.hub().publish("front-door", |_reason| ())?;
/// camera.stats(cv_protocol::Stats { clock_offset_us: Some(0), ..Default::default() });
/// let demand = camera.demand(); // a tokio watch: how many want pictures, and how many a second
/// if demand.borrow().viewers > 0 {
///     let meta = FrameMeta { seq: 0, captured_us: Timestamp::now(), sent_us: None,
///         width: 640, height: 480, bytes: None, paced: None, annotated: false };
///     camera.frame(meta, bytes::Bytes::from_static(b"\xff\xd8\xff..."))?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct Publisher {
    hub: Arc<Hub>,
    camera: Arc<Camera>,
    id: u64,
}

impl Hub {
    /// Takes in a camera. If the name is in use, the newer publisher takes it over, and the older
    /// one's `evict` is called with the reason.
    ///
    /// In-process publishers share the relay's clock: they report `clock_offset_us: Some(0)`, and
    /// like any agent send [`Stats`] once a second, or are taken for gone after ten.
    ///
    /// # Errors
    ///
    /// If the name breaks [`check_camera_name`]'s rules or the relay is full.
    pub fn publish(
        self: &Arc<Self>,
        name: &str,
        evict: impl FnOnce(&str) + Send + 'static,
    ) -> Result<Publisher, PublishRefused> {
        check_camera_name(name).map_err(PublishRefused::Name)?;
        let most = self.config.limits.agents;
        let id = self.new_id();
        let mut cameras = self.lock();
        let others = cameras
            .values()
            .filter(|camera| camera.name() != name && camera.has_source())
            .count();
        if others >= most {
            return Err(PublishRefused::TooManyAgents { most });
        }
        let camera = cameras
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Camera::new(name.to_owned())))
            .clone();
        drop(cameras);
        let tap = self.recorder.get().and_then(|recorder| recorder.tap(name));
        camera.begin(id, Box::new(evict), tap);
        self.metrics.agents_total.add(1);
        self.changed.notify_one();
        Ok(Publisher {
            hub: self.clone(),
            camera,
            id,
        })
    }

    /// A name that is free now: `base`, or `base-2`, `base-3` and so on.
    #[must_use]
    pub fn free_name(&self, base: &str) -> String {
        let cameras = self.lock();
        let is_free = |name: &String| !cameras.get(name).is_some_and(|camera| camera.has_source());
        std::iter::once(base.to_owned())
            .chain((2_u64..).map(|n| format!("{base}-{n}")))
            .find(is_free)
            .unwrap_or_default()
    }
}

impl Publisher {
    /// The camera's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.camera.name()
    }

    /// Hands a frame to every viewer that has a place for it. Never waits.
    ///
    /// # Errors
    ///
    /// [`FrameRefused`]; the frame is dropped and counted.
    pub fn frame(&self, mut meta: FrameMeta, jpeg: Bytes) -> Result<(), FrameRefused> {
        if jpeg.len() > MAX_FRAME_BYTES {
            return Err(FrameRefused::TooLarge { bytes: jpeg.len() });
        }
        // Viewers get whole frames, which tell their length.
        if let Some(whole) = meta.bytes.take()
            && whole != jpeg.len() as u64
        {
            self.camera.metrics.dropped_cut.add(1);
            return Err(FrameRefused::Cut);
        }
        if !jpeg::looks_like_jpeg(&jpeg) {
            self.camera.metrics.dropped_not_jpeg.add(1);
            return Err(FrameRefused::NotJpeg);
        }
        let frame = Frame {
            meta: ViewerFrameMeta {
                camera: self.name().to_owned(),
                frame: meta,
                received_us: Timestamp(0),
            },
            jpeg,
        };
        match self.camera.frame(self.id, frame, self.hub.outbox.as_ref()) {
            FrameTaken::Yes { list_changed } => {
                if list_changed {
                    self.hub.changed.notify_one();
                }
                Ok(())
            }
            FrameTaken::OutOfOrder => Err(FrameRefused::OutOfOrder),
            FrameTaken::LeftOver => Err(FrameRefused::LeftOver),
            FrameTaken::Superseded => Err(FrameRefused::Superseded),
        }
    }

    /// Hands detections to the camera's viewers. Never waits.
    pub fn detections(&self, detections: Detections) {
        self.camera
            .detections(self.id, detections, self.hub.outbox.as_ref());
    }

    /// Hands statistics to the camera's viewers, and notes the clock's offset and camera faults.
    pub fn stats(&self, stats: Stats) {
        if self.camera.stats(self.id, stats, self.hub.outbox.as_ref()) {
            self.hub.changed.notify_one();
        }
    }

    /// Hands text lines joined by `<br />` to the camera's viewers.
    pub fn text(&self, text: String) {
        self.camera.text(self.id, text, self.hub.outbox.as_ref());
    }

    /// What viewers want, now and whenever it changes.
    #[must_use]
    pub fn demand(&self) -> watch::Receiver<Demand> {
        self.camera.demand()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if self.camera.end(self.id) {
            self.hub.changed.notify_one();
        }
    }
}
