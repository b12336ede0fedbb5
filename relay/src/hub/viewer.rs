//! A connected viewer: which cameras it watches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cv_protocol::{Shown, Watch, check_camera_name};

use super::{Camera, Hub, Place, Recipient, any_live_camera};

/// Why a viewer was not let in or is sent away.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ViewerRefused {
    /// The relay is full.
    #[error("this relay takes {most} viewers at most")]
    TooManyViewers {
        /// The bound.
        most: usize,
    },
    /// It watches too much.
    #[error("a viewer may watch {most} cameras at most")]
    TooManyCameras {
        /// The bound.
        most: usize,
    },
    /// The camera's name breaks a rule.
    #[error("watch: {0}")]
    Name(String),
    /// Not a rate.
    #[error("watch: max_fps is {0}, expected 0 to 1000")]
    Rate(f32),
}

/// One viewer; dropping it ends all it watches.
pub struct Viewer {
    _place: Place,
    hub: Arc<Hub>,
    id: u64,
    recipient: Recipient,
    watching: Mutex<Watching>,
}

#[derive(Default)]
struct Watching {
    cameras: Vec<Arc<Camera>>,
    has_chosen: bool,
    tutorial: bool,
}

impl Hub {
    /// Lets a viewer in.
    ///
    /// # Errors
    ///
    /// If there are too many.
    pub fn admit(self: &Arc<Self>, recipient: Recipient) -> Result<Viewer, ViewerRefused> {
        Ok(Viewer {
            _place: self.enter_place()?,
            hub: self.clone(),
            id: self.new_id(),
            recipient,
            watching: Mutex::default(),
        })
    }
}

impl Viewer {
    /// Where it is reached.
    pub(crate) fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// Starts to send a camera, or changes its rate.
    ///
    /// # Errors
    ///
    /// [`ViewerRefused`] if a bound is broken.
    pub fn watch(&self, watch: &Watch) -> Result<(), ViewerRefused> {
        check_camera_name(&watch.camera).map_err(ViewerRefused::Name)?;
        if let Some(fps) = watch.max_fps.filter(|fps| !(0.0..=1000.0).contains(fps)) {
            return Err(ViewerRefused::Rate(fps));
        }
        let mut watching = self.lock();
        watching.has_chosen = true;
        self.leave_tutorial(&mut watching);
        let known = watching.find(&watch.camera).is_some();
        let most = self.hub.config.limits.cameras_per_viewer;
        if !known && watching.cameras.len() >= most {
            return Err(ViewerRefused::TooManyCameras { most });
        }
        // With the hub locked, lest the camera is forgotten before it is watched.
        let mut cameras = self.hub.lock();
        let camera = cameras
            .entry(watch.camera.clone())
            .or_insert_with(|| Arc::new(Camera::new(watch.camera.clone())))
            .clone();
        camera.watch(
            self.id,
            &self.recipient,
            watch.max_fps,
            self.hub.outbox.as_ref(),
        );
        drop(cameras);
        if !known {
            watching.cameras.push(camera);
        }
        self.hub.changed.notify_one();
        Ok(())
    }

    /// Stops sending a camera.
    pub fn unwatch(&self, camera: &str) {
        let mut watching = self.lock();
        if let Some(index) = watching.find(camera) {
            watching.cameras.swap_remove(index).unwatch(self.id);
            self.hub.changed.notify_one();
        }
    }

    /// Takes an acknowledgement.
    pub fn shown(&self, shown: &Shown) {
        let watching = self.lock();
        if let Some(camera) = watching
            .find(&shown.camera)
            .and_then(|index| watching.cameras.get(index))
        {
            camera.shown(self.id, shown.seq, self.hub.outbox.as_ref());
        }
    }

    /// Serves the viewer like the tutorial's page, if it has not watched anything yet: it gets
    /// `server2web` of `wanted`, or of a camera that delivers.
    pub fn follow_as_tutorial(&self, wanted: Option<&str>) {
        let mut watching = self.lock();
        if watching.has_chosen || watching.tutorial {
            return;
        }
        watching.tutorial = true;
        let mut cameras = self.hub.lock();
        let camera = wanted
            .and_then(|name| cameras.get(name))
            .or_else(|| any_live_camera(&cameras))
            .cloned()
            .unwrap_or_else(|| {
                let waiting = || Arc::new(Camera::new(NO_CAMERA.to_owned()));
                cameras
                    .entry(NO_CAMERA.to_owned())
                    .or_insert_with(waiting)
                    .clone()
            });
        camera.add_tutorial_viewer(self.id, self.recipient.clone(), self.hub.outbox.as_ref());
        self.hub.changed.notify_one();
    }

    fn leave_tutorial(&self, watching: &mut Watching) {
        if std::mem::take(&mut watching.tutorial) {
            // It may have been moved from the camera where it began.
            for camera in self.hub.lock().values() {
                camera.remove_tutorial_viewer(self.id);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watching> {
        self.watching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where viewers wait that cannot choose while there is no camera: not a name that one may have.
const NO_CAMERA: &str = "";

impl Watching {
    fn find(&self, camera: &str) -> Option<usize> {
        self.cameras.iter().position(|known| known.name() == camera)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let mut watching = self.lock();
        self.leave_tutorial(&mut watching);
        for camera in &watching.cameras {
            camera.unwatch(self.id);
        }
    }
}
