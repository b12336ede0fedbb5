//! Finds out what a segment really holds, after a crash or on request.

use std::io;
use std::path::Path;

use super::extent::Segment;
use super::side::{self, RECORD_BYTES, Record};
use super::{boxes, name};
use crate::disk::Disk;
use crate::error::ArchiveError;

/// Something that `check` found wrong with a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// The side file is missing or no side file.
    Side(String),
    /// Fewer frames than the index names.
    Missing { named: u64, found: u64 },
    /// Bytes at the end of a file that belong to no frame, or lines that are torn.
    Tail(u64),
    /// A frame is not what was written.
    Frame(u64),
    /// Less of the detections than the index names.
    Boxes { named: u64, found: u64 },
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Side(why) => write!(f, "its side file cannot be used: {why}"),
            Self::Missing { named, found } => {
                write!(f, "{found} frames instead of {named}")
            }
            Self::Tail(bytes) => write!(f, "{bytes} bytes that belong to no frame"),
            Self::Frame(number) => write!(f, "frame {number} is damaged"),
            Self::Boxes { named, found } => {
                write!(f, "{found} bytes of detections instead of {named}")
            }
        }
    }
}

/// What the files of a segment hold.
struct Content {
    records: Vec<Record>,
    continuous: bool,
    boxes_bytes: u64,
    /// Lengths of the files as they are.
    frames_length: u64,
    side_length: u64,
    boxes_length: u64,
}

/// Looks at the files; frames from number `trusted` on are compared with their CRC, and end where
/// one is torn.
fn look(
    disk: &dyn Disk,
    root: &Path,
    path: &str,
    trusted: u64,
) -> Result<Content, (&'static str, io::Error)> {
    let frames = name::with_extension(root, path, "mjpeg");
    let frames_length = disk.length(&frames).map_err(|err| ("mjpeg", err))?;
    let side_file = disk
        .read(&name::with_extension(root, path, "side"))
        .map_err(|err| ("side", err))?;
    let (mut records, continuous) =
        side::parse(&side_file).map_err(|err| ("side", io::Error::other(err)))?;
    let mut whole = 0;
    for (record, number) in records.iter().zip(0_u64..) {
        if record.end() > frames_length {
            break;
        }
        if number >= trusted {
            let jpeg = disk
                .read_at(&frames, u64::from(record.offset), record.length as usize)
                .map_err(|err| ("mjpeg", err))?;
            if crc32fast::hash(&jpeg) != record.crc {
                break;
            }
        }
        whole += 1;
    }
    records.truncate(whole);
    let boxes_file = match disk.read(&name::with_extension(root, path, "boxes")) {
        Ok(bytes) => bytes,
        Err(err) if err.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(err) => return Err(("boxes", err)),
    };
    Ok(Content {
        records,
        continuous,
        boxes_bytes: boxes::parse(&boxes_file).1,
        frames_length,
        side_length: side_file.len() as u64,
        boxes_length: boxes_file.len() as u64,
    })
}

fn segment_of(camera: &str, path: &str, content: &Content) -> Option<Segment> {
    let (first, last) = (content.records.first()?, content.records.last()?);
    Some(Segment {
        path: path.to_owned(),
        camera: camera.to_owned(),
        start_us: first.at_us,
        end_us: last.at_us,
        frames: content.records.len() as u64,
        bytes: last.end(),
        boxes_bytes: content.boxes_bytes,
        continuous: content.continuous,
        sealed: true,
    })
}

/// Cuts the torn end of a segment that was being written, and returns what it holds; `None` if it
/// holds no frame, and its files were removed. The first `trusted` frames are known to be whole.
pub(crate) fn recover(
    disk: &dyn Disk,
    root: &Path,
    camera: &str,
    path: &str,
    trusted: u64,
) -> Result<Option<Segment>, ArchiveError> {
    let file = |extension| name::with_extension(root, path, extension);
    let content = match look(disk, root, path, trusted) {
        Ok(content) => Some(content),
        // Without a side file nothing is known of its frames.
        Err(("side", err))
            if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::Other) =>
        {
            None
        }
        Err((_, err)) if err.kind() == io::ErrorKind::NotFound => None,
        Err((extension, err)) => return Err(ArchiveError::file("read", &file(extension))(err)),
    };
    let segment = content
        .as_ref()
        .and_then(|content| segment_of(camera, path, content));
    let (Some(content), Some(segment)) = (content, segment) else {
        for extension in name::SEGMENT_FILES {
            let file = file(extension);
            disk.remove(&file)
                .map_err(ArchiveError::file("remove", &file))?;
        }
        return Ok(None);
    };
    let side_bytes = (segment.frames + 1) * RECORD_BYTES as u64;
    for (extension, length, whole) in [
        ("mjpeg", content.frames_length, segment.bytes),
        ("side", content.side_length, side_bytes),
        ("boxes", content.boxes_length, segment.boxes_bytes),
    ] {
        if length > whole {
            let file = file(extension);
            disk.open_end(&file)
                .and_then(|mut open| {
                    open.cut(whole)?;
                    open.sync()
                })
                .map_err(ArchiveError::file("cut", &file))?;
        }
    }
    Ok(Some(segment))
}

/// Compares a segment's files with what the index names; reads and checks every frame.
pub(crate) fn verify(disk: &dyn Disk, root: &Path, segment: &Segment) -> Vec<Damage> {
    let content = match look(disk, root, &segment.path, u64::MAX) {
        Ok(content) => content,
        Err((extension, err)) => return vec![Damage::Side(format!("{extension}: {err}"))],
    };
    let mut damage = Vec::new();
    let found = content.records.len() as u64;
    if found < segment.frames {
        damage.push(Damage::Missing {
            named: segment.frames,
            found,
        });
    }
    if content.boxes_bytes < segment.boxes_bytes {
        damage.push(Damage::Boxes {
            named: segment.boxes_bytes,
            found: content.boxes_bytes,
        });
    }
    if segment.sealed {
        let side_bytes = (segment.frames + 1) * RECORD_BYTES as u64;
        let tail = content.frames_length.saturating_sub(segment.bytes)
            + content.side_length.saturating_sub(side_bytes)
            + content.boxes_length.saturating_sub(segment.boxes_bytes);
        if tail > 0 {
            damage.push(Damage::Tail(tail));
        }
    }
    let file = name::with_extension(root, &segment.path, "mjpeg");
    let named = usize::try_from(segment.frames).unwrap_or(usize::MAX);
    for (record, number) in content.records.iter().take(named).zip(0_u64..) {
        let whole = disk
            .read_at(&file, u64::from(record.offset), record.length as usize)
            .is_ok_and(|jpeg| crc32fast::hash(&jpeg) == record.crc);
        if !whole {
            damage.push(Damage::Frame(number));
        }
    }
    damage
}
