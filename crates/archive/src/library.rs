//! What can be read of an archive, also while another process writes it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cv_protocol::Timestamp;

use crate::disk::{Disk, RealDisk};
use crate::error::ArchiveError;
use crate::events::Event;
use crate::index::{Bucket, EventFilter, EventPage, Index};
use crate::rules::Rules;
use crate::segment::snapshot_path;

/// Connections that are kept.
const MAX_READERS: usize = 8;

/// Reads an archive. Methods read from the disk: not for a thread that must not wait.
pub struct Library {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    readers: Mutex<Vec<Index>>,
}

impl Library {
    /// Opens an archive to read it.
    ///
    /// # Errors
    ///
    /// If there is none in this folder, or it cannot be read.
    pub fn open(dir: &Path) -> Result<Arc<Self>, ArchiveError> {
        let library = Arc::new(Self::new(Arc::new(RealDisk), dir));
        library.read(|index| index.newest_version())?;
        Ok(library)
    }

    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self {
            disk,
            dir: dir.to_owned(),
            readers: Mutex::default(),
        }
    }

    /// Reads the index.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Index) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        let kept = self.lock().pop();
        let index = match kept {
            Some(index) => index,
            None => Index::open_reader(&self.dir)?,
        };
        let result = work(&index);
        let healthy = !matches!(result, Err(ArchiveError::Index { .. }));
        let mut readers = self.lock();
        if healthy && readers.len() < MAX_READERS {
            readers.push(index);
        }
        result
    }

    /// The index is another one now.
    pub(crate) fn forget_connections(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Index>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events that match, newest first.
    ///
    /// # Errors
    ///
    /// If the index cannot be read, or the cursor is none.
    pub fn events(
        &self,
        filter: &EventFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<EventPage, ArchiveError> {
        self.read(|index| index.events(filter, cursor, limit))
    }

    /// One event.
    ///
    /// # Errors
    ///
    /// If there is none with this id, or the index cannot be read.
    pub fn event(&self, id: &str) -> Result<Event, ArchiveError> {
        self.read(|index| index.event(id))
    }

    /// From when to when footage belongs to an event.
    ///
    /// # Errors
    ///
    /// As [`Self::event`].
    pub fn event_footage(&self, id: &str) -> Result<(Timestamp, Timestamp), ArchiveError> {
        self.read(|index| index.event_footage(id))
    }

    /// The picture of an event's best sight, as the camera made it; `None` if none is stored.
    ///
    /// # Errors
    ///
    /// As [`Self::event`], or if the file cannot be read.
    pub fn snapshot(&self, id: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        let event = self.event(id)?;
        if !event.has_snapshot {
            return Ok(None);
        }
        let path = snapshot_path(&event.camera, event.start_us, &event.id);
        let file = self.dir.join(path);
        self.disk
            .read(&file)
            .map(Some)
            .map_err(ArchiveError::file("read", &file))
    }

    /// Footage and events of a camera from `from` to `to`, in `count` equal parts.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn timeline(
        &self,
        camera: &str,
        from: Timestamp,
        to: Timestamp,
        count: usize,
    ) -> Result<Vec<Bucket>, ArchiveError> {
        self.read(|index| index.timeline(camera, from, to, count))
    }

    /// Cameras that have something stored, by name.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn cameras(&self) -> Result<Vec<String>, ArchiveError> {
        let usage = self.read(|index| index.usage())?;
        Ok(usage.into_iter().map(|(camera, _)| camera).collect())
    }

    /// The rules of a camera as they are stored: the defaults, if it has none of its own.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn stored_rules(&self, camera: &str) -> Result<Rules, ArchiveError> {
        Ok(match self.read(|index| index.rules(camera))? {
            Some(json) => Rules::from_json(&json)?,
            None => Rules::default(),
        })
    }
}

/// A time by this machine's clock and time zone, as `2026-11-25 21:49:29`, for people.
#[must_use]
pub fn local_time(at: Timestamp) -> String {
    let micros = i64::try_from(at.0).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_microsecond(micros) {
        Ok(at) => at
            .to_zoned(jiff::tz::TimeZone::system())
            .strftime("%F %T")
            .to_string(),
        Err(_) => "?".into(),
    }
}

/// Gives a camera other rules; a process that has the archive open follows them within seconds.
///
/// # Errors
///
/// If the rules cannot be followed, or the index cannot be written.
pub fn write_rules(dir: &Path, camera: &str, rules: &Rules) -> Result<(), ArchiveError> {
    Index::open(dir, false)?.put_rules(camera, &checked_json(camera, rules)?)
}

pub(crate) fn checked_json(camera: &str, rules: &Rules) -> Result<String, ArchiveError> {
    let refused = crate::rules::RulesError;
    cv_protocol::check_camera_name(camera).map_err(refused)?;
    rules.check()?;
    serde_json::to_string(rules).map_err(|err| refused(err.to_string()).into())
}
