//! Retention: what has to go, goes before the disk is full.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cv_protocol::Timestamp;

use crate::error::ArchiveError;
use crate::index::{Doomed, INDEX_FILE, Limit};
use crate::shared::Shared;

/// How often the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often ages and bytes are, in looks.
const ROUND: u32 = 10;

/// A clock that jumps farther than this is not believed ...
const JUMP: Duration = Duration::from_secs(3600);

/// ... for this long: nothing is removed for its age meanwhile.
const DISTRUST: Duration = Duration::from_secs(900);

/// Name of the floor's fault at the gate.
const FLOOR: &str = "the free space of the disk";

/// Name of the fault of a folder that has gone.
const FOLDER: &str = "the archive's folder";

/// Name of the fault of a camera whose kept events fill its bytes.
const BUDGET: &str = "the room of kept events";

/// Removes what is too old or too much.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    /// Wall clock and steady clock at the last look.
    last: Option<(Timestamp, Duration)>,
    distrust_until: Duration,
}

impl Keeper {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            last: None,
            distrust_until: Duration::ZERO,
        }
    }

    /// Runs until the archive is closed.
    pub fn run(mut self) {
        let mut round = 0;
        while !self.shared.closing.load(Ordering::Relaxed) {
            if let Err(err) = self.look(round % ROUND == 0) {
                log::warn!("retention: {}", err.explained());
            }
            round += 1;
            self.sleep();
        }
    }

    fn sleep(&self) {
        let mut left = LOOK_EVERY;
        while !left.is_zero() && !self.shared.closing.load(Ordering::Relaxed) {
            let step = left.min(Duration::from_millis(100));
            std::thread::sleep(step);
            left -= step;
        }
    }

    /// Looks at the disk, and in full rounds at ages and bytes.
    pub fn look(&mut self, full: bool) -> Result<(), ArchiveError> {
        let shared = self.shared.clone();
        let root = &shared.config.dir;
        let there = shared.disk.identity(&root.join(INDEX_FILE)).is_ok();
        shared.gate.set(
            FOLDER,
            (!there).then(|| ArchiveError::Gone { path: root.clone() }.to_string()),
        );
        if !there {
            return Ok(());
        }
        let trusted = self.is_clock_trusted();
        self.keep_floor()?;
        if full {
            if trusted {
                self.keep_days()?;
            }
            self.keep_bytes()?;
        }
        shared.refresh_rules()
    }

    fn is_clock_trusted(&mut self) -> bool {
        let (now, elapsed) = (self.shared.clock.now(), self.shared.clock.elapsed());
        if let Some((before, then)) = self.last {
            let by_wall = now.since(before);
            let by_steady = elapsed.saturating_sub(then);
            if by_wall > by_steady + JUMP {
                log::warn!(
                    "the clock jumped {} s ahead; nothing is removed for its age for {} s",
                    by_wall.saturating_sub(by_steady).as_secs(),
                    DISTRUST.as_secs()
                );
                self.distrust_until = elapsed + DISTRUST;
            }
        }
        self.last = Some((now, elapsed));
        elapsed >= self.distrust_until
    }

    fn doom(&self, limit: Removal) -> Result<Doomed, ArchiveError> {
        let doomed = self.shared.writer.call(move |index| {
            index.doom(match &limit {
                Removal::Age(camera, before) => Limit::Age(camera, *before),
                Removal::Oldest(camera) => Limit::Oldest(camera),
                Removal::OldestOfAll => Limit::OldestOfAll,
            })
        })?;
        self.shared.unlink(&doomed)?;
        Ok(doomed)
    }

    fn usage(&self) -> Result<Vec<(String, u64)>, ArchiveError> {
        let usage = self.shared.library.read(|index| index.usage())?;
        let used = usage.iter().map(|(_, bytes)| bytes).sum();
        self.shared.used_bytes.set(used);
        Ok(usage)
    }

    fn keep_days(&mut self) -> Result<(), ArchiveError> {
        let now = self.shared.clock.now();
        for (camera, _) in self.usage()? {
            let rules = self.shared.rules_of(&camera)?;
            let days = rules.keep_days.unwrap_or(self.shared.config.keep_days);
            let age_us = crate::events::seconds_us(1.0) as f64 * 86_400.0 * f64::from(days);
            // Checked to be positive and small.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let before = Timestamp(now.0.saturating_sub(age_us as u64));
            loop {
                let doomed = self.doom(Removal::Age(camera.clone(), before))?;
                if doomed.files.is_empty() && doomed.events.is_empty() {
                    break;
                }
                self.shared.removed.age.add(doomed.bytes);
                if self.shared.closing.load(Ordering::Relaxed) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn keep_bytes(&mut self) -> Result<(), ArchiveError> {
        let mut stuck = None;
        for (camera, used) in self.usage()? {
            let rules = self.shared.rules_of(&camera)?;
            let Some(most) = rules.keep_bytes.or(self.shared.config.keep_bytes) else {
                continue;
            };
            let mut used = used;
            while used > most {
                let doomed = self.doom(Removal::Oldest(camera.clone()))?;
                if doomed.files.is_empty() && doomed.events.is_empty() {
                    // The open segment may be what is too much: it is soon closed.
                    if used > most.saturating_mul(2).max(most + MARGIN) {
                        stuck = Some(format!(
                            "kept events of {camera:?} take {used} bytes, more than the {most} it \
                             may have; delete some, or allow more with --keep-bytes"
                        ));
                    }
                    break;
                }
                used = used.saturating_sub(doomed.bytes);
                self.shared.removed.bytes.add(doomed.bytes);
            }
        }
        self.shared.gate.set(BUDGET, stuck);
        Ok(())
    }

    /// Own recordings make room first; if that is not enough, recording stops.
    fn keep_floor(&mut self) -> Result<(), ArchiveError> {
        let shared = self.shared.clone();
        let root = &shared.config.dir;
        let floor = shared.config.min_free;
        loop {
            let free = shared
                .disk
                .free_bytes(root)
                .map_err(ArchiveError::file("look at", root))?;
            shared.free_bytes.set(free);
            if free >= floor {
                shared.gate.set(FLOOR, None);
                return Ok(());
            }
            let doomed = match self.doom(Removal::OldestOfAll) {
                Ok(doomed) => doomed,
                // A disk that is so full that not even a row can be removed.
                Err(err) => {
                    shared.gate.set(FLOOR, Some(too_full(free, floor)));
                    return Err(err);
                }
            };
            if doomed.files.is_empty() && doomed.events.is_empty() {
                shared.gate.set(FLOOR, Some(too_full(free, floor)));
                return Ok(());
            }
            shared.removed.floor.add(doomed.bytes);
            if let Some(segment) = doomed.files.first() {
                log::warn!(
                    "{free} bytes of the disk are free, {floor} have to be: removed {segment}, \
                     the oldest recording that is not kept"
                );
            }
        }
    }
}

/// A camera may be over its bytes by this much while a segment is open.
const MARGIN: u64 = 64 << 20;

fn too_full(free: u64, floor: u64) -> String {
    format!(
        "{free} bytes of the archive's disk are free, {floor} have to be (--min-free), and nothing \
         is left that may be removed; make room"
    )
}

/// [`Limit`] with names of its own.
enum Removal {
    Age(String, Timestamp),
    Oldest(String),
    OldestOfAll,
}
