//! From the hub's cameras to their recorders.

use std::sync::Arc;

use bytes::Bytes;
use cv_archive::{Archive, Found, Frame, Recorder};
use cv_protocol::{Detections, FrameMeta, Recording, Timestamp};

use crate::hub::tap;

/// Records all cameras in an archive.
pub(super) struct ArchiveRecorder(pub Arc<Archive>);

impl tap::Recorder for ArchiveRecorder {
    fn tap(&self, camera: &str) -> Option<Arc<dyn tap::Tap>> {
        match self.0.recorder(camera) {
            Ok(recorder) => Some(Arc::new(CameraTap {
                archive: self.0.clone(),
                camera: camera.to_owned(),
                recorder,
            })),
            Err(err) => {
                log::error!("{camera:?} is not recorded: {}", err.explained());
                None
            }
        }
    }

    fn write_metrics(&self, out: &mut String) {
        super::metrics::write(out, &self.0.status());
    }
}

struct CameraTap {
    archive: Arc<Archive>,
    camera: String,
    recorder: Arc<Recorder>,
}

impl tap::Tap for CameraTap {
    fn begin(&self) {
        self.recorder.new_session();
    }

    fn frame(&self, at: Timestamp, meta: &FrameMeta, jpeg: &Bytes) {
        self.recorder.frame(Frame {
            seq: meta.seq,
            captured_us: meta.captured_us,
            at_us: at,
            width: meta.width,
            height: meta.height,
            annotated: meta.annotated,
            jpeg: jpeg.clone(),
        });
    }

    fn detections(&self, at: Timestamp, detections: &Detections) {
        self.recorder.found(Found {
            at_us: at,
            detections: detections.clone(),
        });
    }

    fn wants(&self) -> Option<Option<f32>> {
        self.recorder.wants()
    }

    fn recording(&self) -> Recording {
        let status = self.archive.camera_status(&self.camera);
        let fault = self
            .archive
            .fault()
            .or_else(|| status.as_ref().and_then(|status| status.fault.clone()));
        Recording {
            on: status.as_ref().is_some_and(|status| status.recording),
            events: status.map_or(0, |status| status.running_events),
            fault,
        }
    }
}
