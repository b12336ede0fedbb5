//! Writes one segment: few large appends, each followed by a sync.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cv_protocol::Timestamp;

use super::extent::{MAX_GAP_US, MAX_SEGMENT_BYTES, MAX_SEGMENT_US, Segment};
use super::side::{self, RECORD_BYTES, Record};
use super::{boxes, name};
use crate::disk::{Disk, DiskFile};
use crate::error::ArchiveError;
use crate::frame::{Found, Frame};

/// A segment that grows.
pub struct SegmentWriter {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// What is on the disk.
    synced: Segment,
    /// What will be, once everything that waits has been written.
    growing: Segment,
    frames: Box<dyn DiskFile>,
    side: Box<dyn DiskFile>,
    boxes: Option<Box<dyn DiskFile>>,
    waiting: Vec<Bytes>,
    waiting_side: Vec<u8>,
    waiting_boxes: String,
    new_names: bool,
}

impl SegmentWriter {
    /// Creates the files of a segment that begins at `start`.
    ///
    /// # Errors
    ///
    /// If the disk does not let it.
    pub fn create(
        disk: &Arc<dyn Disk>,
        root: &Path,
        camera: &str,
        start: Timestamp,
        continuous: bool,
    ) -> Result<Self, ArchiveError> {
        let mut path = name::segment_path(camera, start);
        let folder = root.join(name::hour_folder(camera, start));
        disk.create_folders(&folder)
            .map_err(ArchiveError::file("create", &folder))?;
        // A clock that was set back makes the same names again.
        let mut again = 0;
        let frames = loop {
            let file = name::with_extension(root, &path, "mjpeg");
            match disk.create(&file) {
                Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists && again < 1000 => {
                    again += 1;
                    path = format!("{}.{again}", name::segment_path(camera, start));
                }
                other => break other.map_err(ArchiveError::file("create", &file))?,
            }
        };
        let file = name::with_extension(root, &path, "side");
        let side = disk
            .create(&file)
            .map_err(ArchiveError::file("create", &file))?;
        let synced = Segment {
            path,
            camera: camera.to_owned(),
            start_us: start,
            end_us: start,
            frames: 0,
            bytes: 0,
            boxes_bytes: 0,
            continuous,
            sealed: false,
        };
        Ok(Self {
            disk: disk.clone(),
            root: root.to_owned(),
            growing: synced.clone(),
            synced,
            frames,
            side,
            boxes: None,
            waiting: Vec::new(),
            waiting_side: side::header(continuous).to_vec(),
            waiting_boxes: String::new(),
            new_names: true,
        })
    }

    /// Whether a frame belongs to this segment, or begins another.
    #[must_use]
    pub fn takes(&self, frame: &Frame) -> bool {
        let segment = &self.growing;
        frame.at_us >= segment.end_us
            && frame.at_us.0 - segment.end_us.0 <= MAX_GAP_US
            && frame.at_us.0.saturating_sub(segment.start_us.0) < MAX_SEGMENT_US
            && segment.bytes + frame.jpeg.len() as u64 <= MAX_SEGMENT_BYTES
    }

    /// Adds a frame; [`Self::flush`] writes it.
    pub fn push(&mut self, frame: &Frame) {
        let record = Record {
            // `takes` bounds both.
            offset: u32::try_from(self.growing.bytes).unwrap_or(u32::MAX),
            length: u32::try_from(frame.jpeg.len()).unwrap_or(u32::MAX),
            at_us: frame.at_us,
            captured_us: frame.captured_us,
            seq: frame.seq,
            width: u16::try_from(frame.width).unwrap_or(u16::MAX),
            height: u16::try_from(frame.height).unwrap_or(u16::MAX),
            annotated: frame.annotated,
            crc: crc32fast::hash(&frame.jpeg),
        };
        self.waiting_side.extend(record.to_bytes());
        self.waiting.push(frame.jpeg.clone());
        self.growing.bytes += frame.jpeg.len() as u64;
        self.growing.frames += 1;
        self.growing.end_us = frame.at_us;
    }

    /// Adds what was found in a frame.
    pub fn push_found(&mut self, found: &Found) {
        let line = boxes::line(found);
        self.growing.boxes_bytes += line.len() as u64;
        self.waiting_boxes.push_str(&line);
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn waiting_bytes(&self) -> u64 {
        self.growing.bytes - self.synced.bytes
    }

    /// Frames that wait to be written.
    #[must_use]
    pub fn waiting_frames(&self) -> u64 {
        self.growing.frames - self.synced.frames
    }

    /// Writes what waits and returns once it would survive a power cut: the segment, if the index
    /// should be told.
    ///
    /// # Errors
    ///
    /// What the disk refuses. The segment must then be given up: how much was written is unknown.
    pub fn flush(&mut self, seal: bool) -> Result<Option<Segment>, ArchiveError> {
        let nothing_new = self.growing == self.synced;
        if nothing_new && (!seal || self.synced.frames == 0 || self.synced.sealed) {
            return Ok(None);
        }
        let failed = |what, extension| {
            let path = name::with_extension(&self.root, &self.synced.path, extension);
            move |source| ArchiveError::File { what, path, source }
        };
        if !self.waiting.is_empty() {
            let parts: Vec<&[u8]> = self.waiting.iter().map(AsRef::as_ref).collect();
            self.frames
                .append(&parts)
                .map_err(failed("write", "mjpeg"))?;
            self.frames.sync().map_err(failed("sync", "mjpeg"))?;
        }
        if !self.waiting_side.is_empty() {
            self.side
                .append(&[&self.waiting_side])
                .map_err(failed("write", "side"))?;
            self.side.sync().map_err(failed("sync", "side"))?;
        }
        if !self.waiting_boxes.is_empty() {
            let boxes = match &mut self.boxes {
                Some(boxes) => boxes,
                None => {
                    let file = name::with_extension(&self.root, &self.synced.path, "boxes");
                    self.new_names = true;
                    self.boxes.insert(
                        self.disk
                            .create(&file)
                            .map_err(ArchiveError::file("create", &file))?,
                    )
                }
            };
            boxes
                .append(&[self.waiting_boxes.as_bytes()])
                .map_err(failed("write", "boxes"))?;
            boxes.sync().map_err(failed("sync", "boxes"))?;
        }
        if std::mem::take(&mut self.new_names) {
            let file = name::with_extension(&self.root, &self.synced.path, "mjpeg");
            let folder = file.parent().unwrap_or(Path::new(""));
            self.disk
                .sync_folder(folder)
                .map_err(ArchiveError::file("sync", folder))?;
        }
        self.waiting.clear();
        self.waiting_side.clear();
        self.waiting_boxes.clear();
        self.growing.sealed = seal;
        self.synced = self.growing.clone();
        Ok((self.synced.frames > 0).then(|| self.synced.clone()))
    }

    /// Gives the segment up after a fault: cuts what was not synced, as far as the disk lets it.
    /// Returns what is there, for the index.
    pub fn give_up(mut self) -> Option<Segment> {
        let side_bytes = (self.synced.frames + 1) * RECORD_BYTES as u64;
        if self.synced.frames == 0 {
            for extension in name::SEGMENT_FILES {
                let file = name::with_extension(&self.root, &self.synced.path, extension);
                // Recovery finds what is left over.
                let _ = self.disk.remove(&file);
            }
            return None;
        }
        let cut = self
            .frames
            .cut(self.synced.bytes)
            .and_then(|()| self.side.cut(side_bytes))
            .and_then(|()| match &mut self.boxes {
                Some(boxes) => boxes.cut(self.synced.boxes_bytes),
                None => Ok(()),
            });
        // One that could not be cut stays unsealed, so that the next start looks at it.
        self.synced.sealed = cut.is_ok();
        Some(self.synced)
    }
}
