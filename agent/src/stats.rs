//! Counters that the threads update, and the measurements that the agent derives from them once a
//! second.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cv_protocol::{Moment, Stats};

use cv_capture::Counts;
use cv_detect::TrackCounts;

/// Counters that the threads of the agent update.
#[derive(Debug, Default)]
pub struct Meters {
    /// Number of frames captured since the agent started.
    pub captured: AtomicU64,
    /// Number of frames searched for objects since the agent started.
    pub detected: AtomicU64,
    /// Pictures looked at since the start in which nothing moved, so that they were not searched.
    pub unchanged: AtomicU64,
    /// Number of frames dropped because they exceed `--max-size` and could not be scaled down.
    pub unfit: AtomicU64,
    /// Number of frames in which the search for objects failed.
    pub undetectable: AtomicU64,
    /// Number of objects that were given an identity since the agent started. `objects_lost` counts
    /// those that have disappeared again.
    objects_found: AtomicU64,
    objects_lost: AtomicU64,
    camera: Mutex<Camera>,
    /// Reason why the newest frame could not be searched; `None` if it could.
    search_fault: Mutex<Option<String>>,
}

/// State of the camera.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Camera {
    /// Description of the open source for a person; empty before a source is opened for the first
    /// time.
    pub description: String,
    /// What is wrong, and since when; `None` while pictures come.
    pub fault: Option<(String, Moment)>,
    /// Pictures lost by sources that are closed now, and by the open one.
    closed: Counts,
    open: Counts,
}

impl Meters {
    /// Returns the current state of the camera.
    pub fn camera(&self) -> Camera {
        self.lock().clone()
    }

    /// Notes that a source was opened, and its description for a person.
    pub fn camera_opened(&self, description: String) {
        self.lock().description = description;
    }

    /// Pictures come; returns what was wrong until now.
    pub fn camera_works(&self, counts: Counts) -> Option<(String, Moment)> {
        let mut camera = self.lock();
        camera.open = counts;
        camera.fault.take()
    }

    /// Marks the camera as not delivering for `reason`. Returns whether the reason differs from the
    /// last one.
    pub fn camera_fails(&self, reason: String) -> bool {
        let mut camera = self.lock();
        let open = std::mem::take(&mut camera.open);
        camera.closed.lost += open.lost;
        camera.closed.stale += open.stale;
        camera.closed.bad += open.bad;
        camera.closed.repaired += open.repaired;
        camera.closed.copied += open.copied;
        let (before, since) = camera
            .fault
            .take()
            .unwrap_or_else(|| (String::new(), Moment::now()));
        let changed = before != reason;
        camera.fault = Some((reason, since));
        changed
    }

    /// A frame was searched, or could not be for this reason.
    pub fn searched(&self, fault: Option<String>) {
        *self
            .search_fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Returns the reason why the newest frame could not be searched; `None` if it could.
    pub fn search_fault(&self) -> Option<String> {
        self.search_fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many objects came and left since the start.
    pub fn tracked(&self, counts: TrackCounts) {
        self.objects_found.store(counts.found, Ordering::Relaxed);
        self.objects_lost.store(counts.lost, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Camera> {
        self.camera.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Turns counters into rates.
#[derive(Debug)]
pub struct Sampler {
    at: Instant,
    counters: [u64; 4],
    cpu_ticks: Option<u64>,
}

impl Sampler {
    /// Creates a sampler, whose first rates count from now on.
    pub fn new() -> Self {
        Self {
            at: Instant::now(),
            counters: [0; 4],
            cpu_ticks: cpu_ticks(),
        }
    }

    /// Returns the measurements since the last call. `sent` and `dropped` are counted elsewhere.
    pub fn sample(
        &mut self,
        meters: &Meters,
        sent: u64,
        dropped: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Stats {
        let now = Instant::now();
        let seconds = (now - self.at).as_secs_f32().max(0.001);
        let counters = [
            meters.captured.load(Ordering::Relaxed),
            sent,
            meters.detected.load(Ordering::Relaxed),
            meters.unchanged.load(Ordering::Relaxed),
        ];
        let [capture_fps, stream_fps, detect_fps, unchanged_fps] =
            std::array::from_fn(|i| counters[i].saturating_sub(self.counters[i]) as f32 / seconds);
        let ticks = cpu_ticks();
        let used = ticks
            .zip(self.cpu_ticks)
            .map_or(0, |(now, before)| now.saturating_sub(before));

        let camera = meters.camera();
        let lost = [camera.closed, camera.open];
        let total = |count: fn(&Counts) -> u64| lost.iter().map(count).sum();
        let mut drops: BTreeMap<String, u64> = dropped
            .into_iter()
            .chain([
                ("camera", total(|c| c.lost)),
                ("stale", total(|c| c.stale)),
                (
                    "bad",
                    total(|c| c.bad) + meters.unfit.load(Ordering::Relaxed),
                ),
                ("undetectable", meters.undetectable.load(Ordering::Relaxed)),
            ])
            .map(|(reason, count)| (reason.to_owned(), count))
            .collect();
        drops.retain(|_, count| *count > 0);

        self.at = now;
        self.counters = counters;
        self.cpu_ticks = ticks;
        Stats {
            capture_fps,
            stream_fps,
            detect_fps,
            unchanged_fps,
            dropped: drops,
            // A tick is a hundredth of a second on every Linux that the agent supports.
            cpu: used as f32 / seconds,
            repaired: total(|c| c.repaired),
            copied: total(|c| c.copied),
            objects_found: meters.objects_found.load(Ordering::Relaxed),
            objects_lost: meters.objects_lost.load(Ordering::Relaxed),
            rss_mb: resident_mb().unwrap_or_default(),
            temp_c: temperature(),
            camera_gone_since_us: camera.fault.as_ref().map(|(_, since)| since.timestamp()),
            camera_fault: camera.fault.map(|(reason, _)| reason),
            ..Stats::default()
        }
    }
}

/// Returns the processor time of the process since its start, in hundredths of a second.
fn cpu_ticks() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may contain anything; utime and stime are the 12th and 13th field
    // after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn resident_mb() -> Option<f32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: f32 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

/// Returns the temperature of the board's hottest sensor, in degrees Celsius.
fn temperature() -> Option<f32> {
    let zones = fs::read_dir("/sys/class/thermal").ok()?;
    zones
        .flatten()
        .filter_map(|zone| fs::read_to_string(zone.path().join("temp")).ok())
        .filter_map(|text| text.trim().parse::<f32>().ok())
        .map(|millidegrees| millidegrees / 1000.0)
        // A sensor that is off or broken reports implausible values.
        .filter(|degrees| (-50.0..200.0).contains(degrees))
        .max_by(f32::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_and_memory_of_this_process_are_measured() {
        assert!(cpu_ticks().is_some());
        let resident = resident_mb().unwrap();
        assert!((1.0..10_000.0).contains(&resident), "{resident}");
    }

    #[test]
    fn rates_are_differences_and_drops_are_sums() {
        let meters = Meters::default();
        let mut sampler = Sampler::new();
        sampler.at -= std::time::Duration::from_secs(2);
        meters.captured.store(60, Ordering::Relaxed);
        meters.unchanged.store(10, Ordering::Relaxed);
        meters.tracked(TrackCounts { found: 7, lost: 4 });
        meters.camera_works(Counts {
            lost: 2,
            ..Counts::default()
        });
        meters.camera_fails("gone".into());
        meters.camera_works(Counts {
            lost: 3,
            ..Counts::default()
        });
        let stats = sampler.sample(&meters, 40, [("link", 1), ("pace", 0)]);
        assert!((stats.capture_fps - 30.0).abs() < 1.0);
        assert!((stats.stream_fps - 20.0).abs() < 1.0);
        assert!((stats.unchanged_fps - 5.0).abs() < 0.5);
        assert_eq!(
            stats.dropped,
            [("camera".into(), 5), ("link".into(), 1)].into()
        );
        assert_eq!((stats.objects_found, stats.objects_lost), (7, 4));
        assert_eq!(stats.camera_fault, None);
        assert_eq!(sampler.sample(&meters, 40, []).capture_fps, 0.0);
    }

    #[test]
    fn a_fault_keeps_its_start_time_and_is_reported_as_new_once() {
        let meters = Meters::default();
        assert!(meters.camera_fails("gone".into()));
        let since = meters.camera().fault.unwrap().1;
        assert!(!meters.camera_fails("gone".into()));
        assert!(meters.camera_fails("busy".into()));
        assert_eq!(
            meters.camera_works(Counts::default()),
            Some(("busy".into(), since))
        );
        assert_eq!(meters.camera().fault, None);
    }
}
