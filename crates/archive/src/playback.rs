//! A camera's footage, frame by frame.

use std::sync::Arc;

use cv_protocol::Timestamp;

use crate::error::ArchiveError;
use crate::frame::Found;
use crate::library::Library;
use crate::segment::{Reader, Record, Segment, StoredFrame};

/// A place in a camera's footage that moves on. All methods read from the disk: not for a thread
/// that must not wait.
pub struct Playback {
    library: Arc<Library>,
    camera: String,
    from: Timestamp,
    reader: Option<Reader>,
    /// Number of the next frame in the reader's segment.
    next: usize,
    /// What was found in the reader's segment, once it was asked for.
    here: Option<Here>,
}

/// How playback goes on.
#[derive(Clone, Debug)]
pub enum Step {
    /// With this frame.
    Frame(StoredFrame),
    /// With a frame at this time, which is after the target.
    Later(Timestamp),
    /// Not yet: nothing later is stored.
    End,
}

struct Here {
    path: String,
    frames: u64,
    found: Vec<Found>,
}

impl Library {
    /// A camera's footage, from a time on.
    #[must_use]
    pub fn play(self: &Arc<Self>, camera: &str, from: Timestamp) -> Playback {
        Playback::new(self.clone(), camera, from)
    }
}

impl Playback {
    fn new(library: Arc<Library>, camera: &str, from: Timestamp) -> Self {
        Self {
            library,
            camera: camera.to_owned(),
            from,
            reader: None,
            next: 0,
            here: None,
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
                    .library
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
            let now = self.library.read(|index| index.segment(&segment.path))?;
            if let Some(now) = now
                && (now.frames > segment.frames || now.sealed)
            {
                let next = self.next;
                let opened = self.open(now)?;
                self.next = next;
                return Ok(opened);
            }
        }
        match self.library.read(|index| index.segment_after(segment))? {
            Some(next) => self.open(next),
            None => Ok(false),
        }
    }

    /// Opens a segment; one that cannot be read, as when it has just been removed, is passed over.
    fn open(&mut self, segment: Segment) -> Result<bool, ArchiveError> {
        let mut segment = segment;
        loop {
            let (disk, root) = (&self.library.disk, &self.library.dir);
            match Reader::open(disk, root, segment.clone()) {
                Ok(reader) => {
                    self.reader = Some(reader);
                    self.next = 0;
                    return Ok(true);
                }
                Err(err) => {
                    log::warn!("passed over: {}", err.explained());
                    match self.library.read(|index| index.segment_after(&segment))? {
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

    /// The last stored frame until `target` that this has not returned, and how it goes on; frames
    /// before it are passed over. At most to the end of a segment, so that not much is read at once.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn next_until(&mut self, target: Timestamp) -> Result<Step, ArchiveError> {
        loop {
            let Some(first) = self.peek()? else {
                return Ok(Step::End);
            };
            if first.at_us > target {
                return Ok(Step::Later(first.at_us));
            }
            let Some(reader) = &self.reader else {
                return Ok(Step::End);
            };
            let after = reader.records().partition_point(|r| r.at_us <= target);
            let last = after.saturating_sub(1).max(self.next);
            self.next = last + 1;
            let Some(record) = reader.records().get(last) else {
                return Ok(Step::End);
            };
            match reader.frame(record) {
                Ok(frame) => return Ok(Step::Frame(frame)),
                Err(err) => log::warn!("passed over: {}", err.explained()),
            }
        }
    }

    /// What was found after a time and until another, near the place of playback. Read once for
    /// each segment.
    ///
    /// # Errors
    ///
    /// If the index or a file cannot be read.
    pub fn found_here(
        &mut self,
        after: Timestamp,
        to: Timestamp,
    ) -> Result<&[Found], ArchiveError> {
        let Some(reader) = &self.reader else {
            return Ok(&[]);
        };
        let segment = reader.segment();
        let known = self
            .here
            .as_ref()
            .is_some_and(|here| here.path == segment.path && here.frames == segment.frames);
        if !known {
            let (from, until) = (segment.start_us, segment.end_us);
            let (path, frames) = (segment.path.clone(), segment.frames);
            self.here = Some(Here {
                path,
                frames,
                found: self.found(from, until)?,
            });
        }
        let found = self.here.as_ref().map_or(&[][..], |here| &here.found);
        let first = found.partition_point(|found| found.at_us <= after);
        let last = found.partition_point(|found| found.at_us <= to);
        Ok(found.get(first..last).unwrap_or(&[]))
    }

    /// The last frame until a time, if there is one.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn last_until(&self, to: Timestamp) -> Result<Option<Record>, ArchiveError> {
        self.record_before(Timestamp(to.0.saturating_add(1)))
    }

    /// The last frame before a time, if there is one: how arrow keys step back.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn record_before(&self, before: Timestamp) -> Result<Option<Record>, ArchiveError> {
        let mut bound = before;
        loop {
            let segment = self
                .library
                .read(|index| index.segment_before(&self.camera, bound))?;
            let Some(segment) = segment else {
                return Ok(None);
            };
            bound = segment.start_us;
            let (disk, root) = (&self.library.disk, &self.library.dir);
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
            .library
            .read(|index| index.footage(&self.camera, from, later))?;
        let mut all = Vec::new();
        for segment in segments {
            let reader = Reader::open(&self.library.disk, &self.library.dir, segment)?;
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
