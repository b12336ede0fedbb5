//! How many files, and so connections, this process may have open.

use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors that are not connections: the listener, the runtime's, the log, the settings.
const OWN: usize = 32;

/// How often the same trouble is told.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Raises the limit as far as this process may, and returns how many of `wanted` connections it
/// allows; tells the log if that is fewer.
pub fn places(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(err) = setrlimit(Resource::Nofile, limit) {
        log::debug!("the limit of open files stays as it is: {err}");
    }
    let files = getrlimit(Resource::Nofile).current;
    let places = allowed(files, wanted);
    if places < wanted {
        log::warn!(
            "this process may open {} files, so {places} connections instead of {wanted}: raise the \
             limit (ulimit -n, or LimitNOFILE= of a unit), or lower --max-viewers and --max-agents",
            files.unwrap_or_default()
        );
    }
    places
}

fn allowed(files: Option<u64>, wanted: usize) -> usize {
    let files = files.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    });
    files.saturating_sub(OWN).clamp(1, wanted.max(1))
}

/// Tells the same trouble once a minute, with how often it came.
#[derive(Debug, Default)]
pub struct Complaint {
    told: Option<Instant>,
    since: u64,
}

impl Complaint {
    /// The trouble has come again; what to tell, if it is time to.
    pub fn again(&mut self, now: Instant) -> Option<String> {
        let due = |told| now.saturating_duration_since(told) >= TELL_EVERY;
        if !self.told.is_none_or(due) {
            self.since += 1;
            return None;
        }
        self.told = Some(now);
        Some(match std::mem::take(&mut self.since) {
            0 => String::new(),
            count => format!(" ({count} times since the last report)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_files_bounds_the_connections() {
        assert_eq!(allowed(Some(64), 1320), 32);
        assert_eq!(allowed(Some(8192), 1320), 1320);
        assert_eq!(allowed(None, 1320), 1320);
        assert_eq!(allowed(Some(3), 1320), 1);
    }

    #[test]
    fn the_same_trouble_is_told_once_a_minute() {
        let start = Instant::now();
        let mut complaint = Complaint::default();
        let mut at = |seconds| complaint.again(start + Duration::from_secs(seconds));
        assert_eq!(at(0).as_deref(), Some(""));
        assert!(at(1).is_none() && at(59).is_none());
        assert!(at(61).unwrap().contains("2 times"));
    }
}
