//! What happened before the cameras: events, and the frames that were recorded.
//!
//! ```text
//!  live path            one thread for each camera                 one thread             disk
//!  ---------            --------------------------                 ----------             ----
//!  Recorder::frame --> Queue --> Core                                                     CAMERA/DAY/HOUR/
//!  Recorder::found     bounded   | rules, Engine: events           IndexThread            *.mjpeg *.side
//!  (never wait)                  | Ring: the last seconds  Batch    one transaction   --> *.boxes
//!                                | SegmentWriter  ----------------> for all cameras       ID.jpg ID.json
//!                                +--- data, sync --> files          | then: listeners     index.sqlite
//!                                                                   |
//!  Keeper (one thread): ages, bytes, free space --------------------+ rows first, then files
//!
//!  Archive: keep, delete, rules, status      Library: events, timeline      Playback: frames in time
//! ```
//!
//! - Nothing on the live path waits: a queue is bounded in bytes, its oldest frames give way, and
//!   they are counted.
//! - What the index names is on the disk: files are written and synced before the row that names
//!   them is committed. Listeners hear of an event after that.
//! - A camera's frames are stored as they came, back to back, so that `ffmpeg -f mjpeg` reads them,
//!   and the index can be built anew from the files.
//! - A disk that is full, read-only or gone ends recording with a reason ([`Status`]), and nothing
//!   else; recording goes on by itself.
//!
//! ```
//! # fn main() -> Result<(), cv_archive::ArchiveError> {
//! # let dir = tempfile::tempdir().unwrap();
//! let archive = cv_archive::Archive::open(cv_archive::Config::new(dir.path()))?;
//! archive.listen(|change, event| println!("{change:?}: {} at {}", event.label, event.camera));
//! let recorder = archive.recorder("front-door")?;
//! // recorder.frame(...), recorder.found(...): from wherever frames arrive
//! let newest = archive.events(&cv_archive::EventFilter::default(), None, 50)?;
//! assert!(newest.events.is_empty());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod archive;
mod clock;
mod config;
mod disk;
mod error;
mod events;
pub mod export;
mod folder;
mod frame;
mod index;
mod keeper;
mod library;
mod playback;
mod recorder;
mod repair;
mod rules;
mod segment;
mod shared;
mod status;
#[cfg(test)]
mod tests;
mod writer;

pub use archive::Archive;
pub use clock::{Clock, SystemClock};
pub use config::Config;
pub use disk::{Disk, DiskFile, RealDisk};
pub use error::ArchiveError;
pub use events::{Change, Event};
pub use frame::{Found, Frame};
pub use index::{Bucket, EventFilter, EventPage, INDEX_FILE, MAX_PAGE};
pub use library::{Library, local_time, write_rules};
pub use playback::{Playback, Step};
pub use repair::{Report, check, repair};
pub use rules::{
    Day, Hours, MAX_POINTS, MAX_SEARCHED, MAX_ZONES, Mask, RecordMode, Rules, RulesError,
    Stationary, Zone,
};
pub use segment::{MAX_GAP_US, MAX_SEGMENT_US, Record, StoredFrame, camera_folder};
pub use shared::Recorder;
pub use status::{CameraStatus, Status};
