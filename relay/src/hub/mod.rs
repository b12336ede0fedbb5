//! The newest frame and detections of every camera, and who gets them.
//!
//! ```text
//!  Publisher (agent's socket, tutorial's client, or this process)
//!      | frame, detections, stats                        ^ demand
//!      v                                                 |
//!  Camera: newest frame, newest detections, watchers ----+
//!      | one encoded packet to all who have a free place in their window
//!      v
//!  Outbox (Socket.IO), MJPEG streams, snapshots
//! ```
//!
//! Nothing here waits: a frame's arrival and a viewer's acknowledgement each do their work under
//! the camera's lock and return. The only task is [`Hub::keep_house`].

mod awake;
mod camera;
mod publisher;
pub mod tap;
mod viewer;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cv_protocol::{
    CameraInfo, CameraState, ClockSet, EventMessage, Position, Text, Timestamp, ViewerDetections,
    ViewerFrameMeta, ViewerStats,
};
use tokio::sync::Notify;

use crate::config::Config;
use crate::metrics::{self, CameraSample, RelayMetrics};
use crate::peer::Peer;

use awake::Awake;
pub use camera::{Camera, Polling, TAKEN_OVER};
pub use publisher::{FrameRefused, PublishRefused, Publisher};
pub use viewer::{Viewer, ViewerRefused};

/// How long a camera whose agent has gone stays in the list.
const KEEP_OFFLINE: Duration = Duration::from_secs(600);

/// An agent that sends nothing for this long, not even `stats`, is gone.
const SILENCE: Duration = cv_protocol::STALL;

/// How often stalls and silences are looked for.
const HOUSEKEEPING: Duration = Duration::from_millis(500);

/// Changes of the camera list within this time are told together.
const LIST_SPACING: Duration = Duration::from_millis(200);

/// A viewer's address at the outbox; cheap to clone.
pub type Recipient = Arc<Address>;

/// Where a viewer is reached.
#[derive(Debug)]
pub struct Address {
    /// Its room, which holds nobody else.
    pub room: Cow<'static, str>,
    /// The lane for pictures, if its connection has one.
    pub lane: Option<Peer>,
}

/// A frame as viewers get it.
#[derive(Debug)]
pub struct Frame {
    /// First argument of the `frame` event.
    pub meta: ViewerFrameMeta,
    /// The picture, as the camera made it.
    pub jpeg: Bytes,
}

/// What the hub sends to viewers.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// `frame`.
    Frame(&'a Frame),
    /// `detections`.
    Detections(&'a ViewerDetections),
    /// `stats`.
    Stats(&'a ViewerStats),
    /// `text`.
    Text(&'a Text),
    /// `position`.
    Position(&'a Position),
    /// `server2web`, to viewers who acknowledge nothing: the newest replaces the one before.
    Tutorial(&'a cv_protocol::tutorial::Payload),
}

/// The way to viewers. No method waits.
pub trait Outbox: Send + Sync + 'static {
    /// Encodes `message` once and hands it to the sockets of `recipients`.
    fn send(&self, recipients: Vec<Recipient>, message: Message<'_>);
    /// Sends `cameras` to every viewer.
    fn send_cameras(&self, cameras: &[CameraInfo]);
    /// Tells every viewer and agent that the relay's clock has been set.
    fn send_clock_set(&self, set: ClockSet);
    /// Sends `event` to every viewer that may see its camera.
    fn send_event(&self, event: &EventMessage);
    /// Closes a viewer's connection, without waiting for anything it has not yet read.
    fn disconnect(&self, recipient: &Recipient, reason: &str);
}

/// All cameras of a relay.
pub struct Hub {
    config: Config,
    outbox: Box<dyn Outbox>,
    cameras: Mutex<HashMap<String, Arc<Camera>>>,
    /// Tells [`Self::keep_house`] that the list has changed.
    changed: Notify,
    next_id: AtomicU64,
    viewers: AtomicUsize,
    recorder: OnceLock<Box<dyn tap::Recorder>>,
    /// Counters of the whole relay.
    pub metrics: RelayMetrics,
}

impl Hub {
    /// A hub without cameras.
    pub fn new(config: Config, outbox: Box<dyn Outbox>) -> Arc<Self> {
        Arc::new(Self {
            config,
            outbox,
            cameras: Mutex::default(),
            changed: Notify::new(),
            next_id: AtomicU64::new(0),
            viewers: AtomicUsize::new(0),
            recorder: OnceLock::new(),
            metrics: RelayMetrics::default(),
        })
    }

    /// Records every camera that agents bring from now on. Only the first recorder is taken.
    pub fn record_with(&self, recorder: Box<dyn tap::Recorder>) {
        let _ = self.recorder.set(recorder);
    }

    /// What is recorded of a camera has changed.
    pub fn recording_changed(&self, camera: &str) {
        let camera = self.lock().get(camera).cloned();
        if let Some(camera) = camera {
            camera.recording_changed();
        }
        self.changed.notify_one();
    }

    /// Something that the `cameras` list tells has changed.
    pub(crate) fn list_changed(&self) {
        self.changed.notify_one();
    }

    /// The way to viewers.
    pub(crate) fn outbox(&self) -> &dyn Outbox {
        self.outbox.as_ref()
    }

    /// The settings it was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The `cameras` list: those that deliver or have lately, by name.
    #[must_use]
    pub fn cameras(&self) -> Vec<CameraInfo> {
        let mut list: Vec<_> = self
            .all_cameras()
            .iter()
            .filter_map(|camera| camera.info())
            .collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// A camera that is in the list.
    #[must_use]
    pub fn camera(&self, name: &str) -> Option<Arc<Camera>> {
        self.lock()
            .get(name)
            .filter(|camera| camera.info().is_some())
            .cloned()
    }

    /// How many viewers are connected.
    #[must_use]
    pub fn viewers(&self) -> usize {
        self.viewers.load(Ordering::Relaxed)
    }

    /// All metrics as Prometheus text.
    #[must_use]
    pub fn render_metrics(&self) -> String {
        let cameras = self.all_cameras();
        let listed: Vec<_> = cameras
            .iter()
            .filter_map(|camera| camera.info().map(|info| (camera, info)))
            .collect();
        let samples: Vec<_> = listed
            .iter()
            .map(|(camera, info)| CameraSample {
                name: &info.name,
                live: info.state == CameraState::Live,
                viewers: info.viewers,
                metrics: &camera.metrics,
            })
            .collect();
        let agents = listed
            .iter()
            .filter(|(_, info)| info.state != CameraState::Offline)
            .count();
        let mut text = metrics::render(&self.metrics, self.viewers(), agents, &samples);
        if let Some(recorder) = self.recorder.get() {
            recorder.write_metrics(&mut text);
        }
        text
    }

    /// Drops stalled viewers and silent agents, forgets cameras long gone, and tells viewers when
    /// the camera list changes. Runs until it is cancelled.
    pub async fn keep_house(self: Arc<Self>) {
        let mut tick = tokio::time::interval(HOUSEKEEPING);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = Vec::new();
        let mut awake = Awake::new(Instant::now());
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let now = Instant::now();
                    self.look_around(now, awake.may_judge(now));
                }
                () = self.changed.notified() => {
                    let list = self.cameras();
                    if list != told {
                        self.outbox.send_cameras(&list);
                        told = list;
                        tokio::time::sleep(LIST_SPACING).await;
                    }
                }
            }
        }
    }

    /// `judge` is whether the silence of others counts.
    pub(crate) fn look_around(&self, now: Instant, judge: bool) {
        if let Some(set_by_us) = Timestamp::follow_wall_clock() {
            self.clock_set(ClockSet { set_by_us });
        }
        for camera in self.all_cameras().into_iter().filter(|_| judge) {
            for stalled in camera.take_stalled(now) {
                self.metrics.stalled.add(1);
                self.outbox.disconnect(
                    &stalled,
                    &format!(
                        "no frame of {:?} was acknowledged for {} s",
                        camera.name(),
                        cv_protocol::STALL.as_secs()
                    ),
                );
            }
            if camera.end_if_silent(now, SILENCE) {
                self.changed.notify_one();
            }
        }
        let mut cameras = self.lock();
        self.move_tutorial_viewers(&cameras);
        let before = cameras.len();
        cameras.retain(|_, camera| !camera.is_forgotten(now, KEEP_OFFLINE));
        if cameras.len() != before {
            self.changed.notify_one();
        }
    }

    /// Corrects what is known of other clocks, here and at everybody who compares clocks with ours.
    fn clock_set(&self, set: ClockSet) {
        let ms = set.set_by_us / 1000;
        log::info!("this machine's clock was set by {ms:+} ms; times of frames are corrected");
        for camera in self.all_cameras() {
            camera.clock_set(set);
        }
        self.outbox.send_clock_set(set);
        self.changed.notify_one();
    }

    /// Viewers who cannot choose follow whatever camera delivers. The lock is held throughout, so
    /// that a viewer who leaves meanwhile is found.
    fn move_tutorial_viewers(&self, cameras: &HashMap<String, Arc<Camera>>) {
        let Some(live) = any_live_camera(cameras) else {
            return;
        };
        for camera in cameras.values() {
            for (viewer, recipient) in camera.take_tutorial_viewers_if_offline() {
                live.add_tutorial_viewer(viewer, recipient, self.outbox.as_ref());
            }
        }
    }

    fn all_cameras(&self) -> Vec<Arc<Camera>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Camera>>> {
        self.cameras.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes one of the places for viewers, until the result is dropped.
    ///
    /// # Errors
    ///
    /// If all are taken.
    pub fn enter_place(self: &Arc<Self>) -> Result<Place, ViewerRefused> {
        let most = self.config.limits.viewers;
        self.viewers
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < most).then_some(n + 1)
            })
            .map_err(|_| ViewerRefused::TooManyViewers { most })?;
        self.metrics.viewers_total.add(1);
        Ok(Place(self.clone()))
    }
}

/// One of the places that [`crate::Limits::viewers`] counts.
pub struct Place(Arc<Hub>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_one();
    }
}

/// The first camera by name that delivers, for viewers who cannot choose.
fn any_live_camera(cameras: &HashMap<String, Arc<Camera>>) -> Option<&Arc<Camera>> {
    cameras
        .values()
        .filter(|camera| camera.state() == Some(CameraState::Live))
        .min_by(|a, b| a.name().cmp(b.name()))
}
