//! Names of files and folders.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cv_protocol::Timestamp;

/// Extensions of a segment's files.
pub(crate) const SEGMENT_FILES: [&str; 3] = ["mjpeg", "side", "boxes"];

/// What else is in the archive's folder: no camera's folder begins like that.
const RESERVED: [&str; 2] = ["lock", "index.sqlite"];

/// The folder of a camera: its name, with every byte that may not stand in a file name, or that
/// could lead elsewhere, as `%XX`.
#[must_use]
pub fn camera_folder(camera: &str) -> String {
    let mut folder = String::with_capacity(camera.len());
    let reserved = RESERVED.iter().any(|name| camera.starts_with(name));
    for (index, byte) in camera.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric()
            || byte == b'-'
            || byte == b'_'
            || (byte == b'.' && index > 0);
        if plain && !(reserved && index == 0) {
            folder.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(folder, "%{byte:02X}");
        }
    }
    folder
}

/// The camera whose folder this is; `None` if it is no camera's.
#[must_use]
pub fn camera_of_folder(folder: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(folder.len());
    let mut rest = folder.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let camera = String::from_utf8(bytes).ok()?;
    (cv_protocol::check_camera_name(&camera).is_ok() && camera_folder(&camera) == folder)
        .then_some(camera)
}

/// Year to millisecond of a time, UTC.
fn parts(at: Timestamp) -> jiff::civil::DateTime {
    let micros = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros)
        .unwrap_or(jiff::Timestamp::MAX)
        .to_zoned(jiff::tz::TimeZone::UTC)
        .datetime()
}

/// `2026-11-25`, UTC.
pub(crate) fn day_of(at: Timestamp) -> String {
    let at = parts(at);
    format!("{:04}-{:02}-{:02}", at.year(), at.month(), at.day())
}

/// `CAMERA/2026-11-25/21`, UTC.
pub(crate) fn hour_folder(camera: &str, at: Timestamp) -> String {
    format!(
        "{}/{}/{:02}",
        camera_folder(camera),
        day_of(at),
        parts(at).hour()
    )
}

/// Path of a segment that begins at this time, without extension.
pub(super) fn segment_path(camera: &str, start: Timestamp) -> String {
    let at = parts(start);
    format!(
        "{}/{:02}-{:02}.{:03}",
        hour_folder(camera, start),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

/// Path of an event's snapshot below the archive's folder.
#[must_use]
pub fn snapshot_path(camera: &str, start: Timestamp, event: &str) -> String {
    format!("{}/{event}.jpg", hour_folder(camera, start))
}

/// The file of a segment with this extension.
pub(crate) fn with_extension(root: &Path, segment: &str, extension: &str) -> PathBuf {
    root.join(format!("{segment}.{extension}"))
}

/// Path of an event's own record below the archive's folder: JSON, written when the event ends.
pub(crate) fn record_path(camera: &str, start: Timestamp, event: &str) -> String {
    format!("{}/{event}.json", hour_folder(camera, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_camera_leads_out_of_the_archive() {
        for (camera, folder) in [
            ("front-door", "front-door"),
            ("..", "%2E."),
            (".", "%2E"),
            ("Küche 2", "K%C3%BCche%202"),
            ("a%b", "a%25b"),
            ("v1.2", "v1.2"),
            ("index.sqlite-wal", "%69ndex.sqlite-wal"),
            ("lock", "%6Cock"),
        ] {
            assert_eq!(camera_folder(camera), folder);
            assert_eq!(camera_of_folder(folder).as_deref(), Some(camera));
        }
        for folder in ["%2e.", "..", "a b", "%4", "%FF", "", "lock", "index.sqlite"] {
            assert_eq!(camera_of_folder(folder), None, "{folder}");
        }
    }

    #[test]
    fn segments_are_named_by_their_start() {
        // 2026-11-25 21:49:29.123456 UTC
        let at = Timestamp(1_795_643_369_123_456);
        assert_eq!(segment_path("a", at), "a/2026-11-25/21/49-29.123");
        // Sorts whatever a clock says.
        assert!(segment_path("a", Timestamp(u64::MAX)).starts_with("a/9999-12-"));
    }
}
