//! Reads what the index names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cv_protocol::Timestamp;

use super::extent::Segment;
use super::side::{self, RECORD_BYTES, Record};
use super::{boxes, name};
use crate::disk::Disk;
use crate::error::ArchiveError;
use crate::frame::Found;

/// A frame as it was stored.
#[derive(Clone, Debug)]
pub struct StoredFrame {
    /// What is known of it.
    pub record: Record,
    /// The camera's JPEG, byte for byte.
    pub jpeg: Bytes,
}

/// The frames of one segment that the index names.
pub struct Reader {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    segment: Segment,
    records: Vec<Record>,
}

impl Reader {
    /// Reads the segment's records.
    ///
    /// # Errors
    ///
    /// If the side file cannot be read or is none.
    pub fn open(disk: &Arc<dyn Disk>, root: &Path, segment: Segment) -> Result<Self, ArchiveError> {
        let file = name::with_extension(root, &segment.path, "side");
        let length = (segment.frames as usize + 1) * RECORD_BYTES;
        let failed = |err| ArchiveError::file("read", &file)(err);
        let bytes = disk.read_at(&file, 0, length).map_err(failed)?;
        let (records, _) = side::parse(&bytes).map_err(|err| failed(std::io::Error::other(err)))?;
        Ok(Self {
            disk: disk.clone(),
            root: root.to_owned(),
            segment,
            records,
        })
    }

    /// The segment.
    #[must_use]
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The records of its frames, in order of time.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Number of the first frame at this time or later.
    #[must_use]
    pub fn first_from(&self, from: Timestamp) -> usize {
        self.records.partition_point(|record| record.at_us < from)
    }

    /// Reads a frame and checks that it is what was written.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is damaged.
    pub fn frame(&self, record: &Record) -> Result<StoredFrame, ArchiveError> {
        let file = name::with_extension(&self.root, &self.segment.path, "mjpeg");
        let failed = |err| ArchiveError::file("read", &file)(err);
        let jpeg = self
            .disk
            .read_at(&file, u64::from(record.offset), record.length as usize)
            .map_err(failed)?;
        if crc32fast::hash(&jpeg) != record.crc {
            let damaged = format!("the frame at byte {} is damaged", record.offset);
            return Err(failed(std::io::Error::other(damaged)));
        }
        Ok(StoredFrame {
            record: *record,
            jpeg: jpeg.into(),
        })
    }

    /// What was found in the segment's frames.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn found(&self) -> Result<Vec<Found>, ArchiveError> {
        if self.segment.boxes_bytes == 0 {
            return Ok(Vec::new());
        }
        let file = name::with_extension(&self.root, &self.segment.path, "boxes");
        let bytes = self
            .disk
            .read_at(&file, 0, self.segment.boxes_bytes as usize)
            .map_err(ArchiveError::file("read", &file))?;
        Ok(boxes::parse(&bytes).0)
    }
}
