//! The archive's metrics.

use std::fmt::Write as _;

use cv_archive::{CameraStatus, Status};

use crate::metrics::escaped;

/// Adds the archive's metrics as Prometheus text.
pub(super) fn write(out: &mut String, status: &Status) {
    let mut one = |name: &str, kind: &str, help: &str, lines: &[(String, u64)]| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in lines {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    };
    let plain = |value| [(String::new(), value)];
    one(
        "cv_archive_recording_allowed",
        "gauge",
        "0 while a fault of the disk or the index stops all recording.",
        &plain(u64::from(status.fault.is_none())),
    );
    one(
        "cv_archive_free_bytes",
        "gauge",
        "Bytes that may still be written to the archive's disk.",
        &plain(status.free_bytes),
    );
    one(
        "cv_archive_used_bytes",
        "gauge",
        "Bytes that recordings take.",
        &plain(status.used_bytes),
    );
    let removed: Vec<_> = status
        .removed_bytes
        .iter()
        .map(|(reason, bytes)| (format!("{{reason=\"{reason}\"}}"), *bytes))
        .collect();
    one(
        "cv_archive_removed_bytes_total",
        "counter",
        "Bytes of recordings removed, by reason.",
        &removed,
    );
    let of_cameras = |value: fn(&CameraStatus) -> u64| -> Vec<_> {
        status
            .cameras
            .iter()
            .map(|camera| {
                let name = escaped(&camera.camera);
                (format!("{{camera=\"{name}\"}}"), value(camera))
            })
            .collect()
    };
    for (name, kind, help, value) in CAMERA_METRICS {
        one(name, kind, help, &of_cameras(*value));
    }
    let dropped: Vec<_> = status
        .cameras
        .iter()
        .flat_map(|camera| {
            let name = escaped(&camera.camera);
            camera.dropped.iter().map(move |(reason, frames)| {
                (
                    format!("{{camera=\"{name}\",reason=\"{reason}\"}}"),
                    *frames,
                )
            })
        })
        .collect();
    one(
        "cv_archive_frames_not_stored_total",
        "counter",
        "Frames that were not stored, by reason.",
        &dropped,
    );
}

type CameraMetric = (
    &'static str,
    &'static str,
    &'static str,
    fn(&CameraStatus) -> u64,
);

const CAMERA_METRICS: &[CameraMetric] = &[
    (
        "cv_archive_camera_recording",
        "gauge",
        "1 while frames of the camera are being stored.",
        |camera| u64::from(camera.recording),
    ),
    (
        "cv_archive_camera_fault",
        "gauge",
        "1 while the camera's frames cannot be stored.",
        |camera| u64::from(camera.fault.is_some()),
    ),
    (
        "cv_archive_events_running",
        "gauge",
        "Events that have not ended.",
        |camera| camera.running_events,
    ),
    (
        "cv_archive_events_total",
        "counter",
        "Events since the start.",
        |camera| camera.events,
    ),
    (
        "cv_archive_frames_stored_total",
        "counter",
        "Frames stored since the start.",
        |camera| camera.frames,
    ),
    (
        "cv_archive_bytes_stored_total",
        "counter",
        "Bytes of these frames.",
        |camera| camera.bytes,
    ),
    (
        "cv_archive_ring_bytes",
        "gauge",
        "Bytes of frames that wait in memory as pre-roll.",
        |camera| camera.ring_bytes,
    ),
];
