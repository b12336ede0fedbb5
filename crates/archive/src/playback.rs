//! A camera's footage, frame by frame.

use std::sync::Arc;

use cv_protocol::Timestamp;

use crate::archive::Shared;
use crate::error::ArchiveError;
use crate::frame::Found;
use crate::segment::{Reader, Record, Segment, StoredFrame};

/// A place in a camera's footage that moves on. All methods read from the disk: not for a thread
/// that must not wait.
pub struct Playback {
    shared: Arc<Shared>,
    camera: String,
    from: Timestamp,
    reader: Option<Reader>,
    /// Number of the next frame in the reader's segment.
    next: usize,
}

impl Playback {
    pub(crate) fn new(shared: Arc<Shared>, camera: &str, from: Timestamp) -> Self {
        Self {
            shared,
            camera: camera.to_owned(),
            from,
            reader: None,
            next: 0,
        }
    }

    /// The camera.
    #[must_use]
    pub fn camera(&self) -> &str {
        &self.camera
    }

    /// Goes to another time.
    pub fn seek(&mut self, to: Timestamp) {
        self.from = to;
        let stays = self.reader.as_ref().is_some_and(|reader| {
            let segment = reader.segment();
            segment.sealed && (segment.start_us..=segment.end_us).contains(&to)
        });
        match self.reader.as_ref().filter(|_| stays) {
            Some(reader) => self.next = reader.first_from(to),
            None => self.reader = None,
        }
    }

    /// The record of the next frame, without reading the frame; `None` at the end of what is
    /// stored. What is stored later is found by a later call.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn peek(&mut self) -> Result<Option<Record>, ArchiveError> {
        loop {
            if let Some(reader) = &self.reader {
                if let Some(record) = reader.records().get(self.next) {
                    return Ok(Some(*record));
                }
                let segment = reader.segment().clone();
                if !self.move_on(&segment)? {
                    return Ok(None);
                }
            } else {
                let first = self
                    .shared
                    .read(|index| index.segment_from(&self.camera, self.from))?;
                let Some(segment) = first else {
                    return Ok(None);
                };
                let from = self.from;
                if !self.open(segment)? {
                    return Ok(None);
                }
                self.next = self.reader.as_ref().map_or(0, |r| r.first_from(from));
            }
        }
    }

    /// Opens what follows a segment that has been played: more of it, or the next one.
    fn move_on(&mut self, segment: &Segment) -> Result<bool, ArchiveError> {
        if !segment.sealed {
            let now = self.shared.read(|index| index.segment(&segment.path))?;
            if let Some(now) = now
                && (now.frames > segment.frames || now.sealed)
            {
                let next = self.next;
                let opened = self.open(now)?;
                self.next = next;
                return Ok(opened);
            }
        }
        match self.shared.read(|index| index.segment_after(segment))? {
            Some(next) => self.open(next),
            None => Ok(false),
        }
    }

    /// Opens a segment; one that cannot be read, as when it has just been removed, is passed over.
    fn open(&mut self, segment: Segment) -> Result<bool, ArchiveError> {
        let mut segment = segment;
        loop {
            let (disk, root) = (&self.shared.disk, &self.shared.config.dir);
            match Reader::open(disk, root, segment.clone()) {
                Ok(reader) => {
                    self.reader = Some(reader);
                    self.next = 0;
                    return Ok(true);
                }
                Err(err) => {
                    log::warn!("passed over: {}", err.explained());
                    match self.shared.read(|index| index.segment_after(&segment))? {
                        Some(next) => segment = next,
                        None => return Ok(false),
                    }
                }
            }
        }
    }

    /// Goes past the next frame without reading it.
    pub fn skip(&mut self) {
        self.next += 1;
    }

    /// The next frame; damaged ones are passed over.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn next_frame(&mut self) -> Result<Option<StoredFrame>, ArchiveError> {
        while let Some(record) = self.peek()? {
            self.next += 1;
            let read = self.reader.as_ref().map(|reader| reader.frame(&record));
            match read {
                Some(Ok(frame)) => return Ok(Some(frame)),
                Some(Err(err)) => log::warn!("passed over: {}", err.explained()),
                None => {}
            }
        }
        Ok(None)
    }

    /// The last frame before a time, if there is one: how arrow keys step back.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn record_before(&mut self, before: Timestamp) -> Result<Option<Record>, ArchiveError> {
        let mut bound = before;
        loop {
            let segment = self
                .shared
                .read(|index| index.segment_before(&self.camera, bound))?;
            let Some(segment) = segment else {
                return Ok(None);
            };
            bound = segment.start_us;
            let (disk, root) = (&self.shared.disk, &self.shared.config.dir);
            let Ok(reader) = Reader::open(disk, root, segment) else {
                continue;
            };
            let after = reader.first_from(before);
            if let Some(record) = after.checked_sub(1).and_then(|n| reader.records().get(n)) {
                return Ok(Some(*record));
            }
        }
    }

    /// What was found from a time on until another.
    ///
    /// # Errors
    ///
    /// If the index or a file cannot be read.
    pub fn found(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Found>, ArchiveError> {
        // Detections come some time after their frame, perhaps with the next segment.
        let later = Timestamp(to.0.saturating_add(LATE_US));
        let segments = self
            .shared
            .read(|index| index.footage(&self.camera, from, later))?;
        let mut all = Vec::new();
        for segment in segments {
            let reader = Reader::open(&self.shared.disk, &self.shared.config.dir, segment)?;
            all.extend(
                reader
                    .found()?
                    .into_iter()
                    .filter(|found| (from..=to).contains(&found.at_us)),
            );
        }
        all.sort_by_key(|found| found.at_us);
        Ok(all)
    }
}

/// Detections come at most this long after their frame.
const LATE_US: u64 = 5_000_000;
