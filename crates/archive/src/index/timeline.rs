//! What there is between two times, in equal parts.

use std::collections::BTreeMap;

use cv_protocol::Timestamp;
use rusqlite::params;
use serde::Serialize;

use super::connection::Index;
use super::sql::{sql, time};
use crate::error::ArchiveError;
use crate::segment::MAX_SEGMENT_US;

/// One part of a timeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Bucket {
    /// When it begins.
    pub start_us: Timestamp,
    /// Microseconds of it with footage.
    pub footage_us: u64,
    /// Events in it, by label; one that spans several parts counts in each.
    pub events: BTreeMap<String, u64>,
}

impl Index {
    /// Footage and events of a camera from `from` to `to`, in `count` equal parts.
    pub fn timeline(
        &self,
        camera: &str,
        from: Timestamp,
        to: Timestamp,
        count: usize,
    ) -> Result<Vec<Bucket>, ArchiveError> {
        let parts = Parts::new(from, to, count);
        let mut buckets: Vec<_> = (0..count)
            .map(|number| Bucket {
                start_us: parts.start(number),
                ..Bucket::default()
            })
            .collect();
        let mut spans = || -> rusqlite::Result<()> {
            let connection = self.connection();
            let earliest = Timestamp(from.0.saturating_sub(2 * MAX_SEGMENT_US));
            let mut footage = connection.prepare_cached(
                "SELECT start_us, end_us FROM segments
                 WHERE camera = ?1 AND start_us BETWEEN ?2 AND ?3 AND end_us >= ?4",
            )?;
            let mut rows = footage.query(params![camera, sql(earliest), sql(to), sql(from)])?;
            while let Some(row) = rows.next()? {
                parts.each(
                    time(row, "start_us")?,
                    time(row, "end_us")?,
                    |number, us| {
                        if let Some(bucket) = buckets.get_mut(number) {
                            bucket.footage_us = (bucket.footage_us + us).min(parts.length());
                        }
                    },
                );
            }
            let mut events = connection.prepare_cached(
                "SELECT label, start_us, coalesce(end_us, last_seen_us) AS until FROM events
                 INDEXED BY events_spans
                 WHERE camera = ?1 AND start_us <= ?2 AND (end_us IS NULL OR end_us >= ?3)",
            )?;
            let mut rows = events.query(params![camera, sql(to), sql(from)])?;
            while let Some(row) = rows.next()? {
                let label: String = row.get("label")?;
                parts.each(time(row, "start_us")?, time(row, "until")?, |number, _| {
                    if let Some(bucket) = buckets.get_mut(number) {
                        match bucket.events.get_mut(&label) {
                            Some(count) => *count += 1,
                            None => {
                                bucket.events.insert(label.clone(), 1);
                            }
                        }
                    }
                });
            }
            Ok(())
        };
        spans().map_err(|err| self.error(err))?;
        Ok(buckets)
    }
}

/// A span cut into equal parts.
struct Parts {
    from: u64,
    to: u64,
    count: u64,
}

impl Parts {
    fn new(from: Timestamp, to: Timestamp, count: usize) -> Self {
        Self {
            from: from.0,
            to: to.0.max(from.0 + 1),
            count: count.max(1) as u64,
        }
    }

    fn start(&self, number: usize) -> Timestamp {
        let span = u128::from(self.to - self.from);
        let offset = span * number as u128 / u128::from(self.count);
        Timestamp(self.from + u64::try_from(offset).unwrap_or(0))
    }

    fn length(&self) -> u64 {
        (self.to - self.from).div_ceil(self.count)
    }

    fn part_of(&self, at: u64) -> usize {
        let span = u128::from(self.to - self.from);
        let number = u128::from(at - self.from) * u128::from(self.count) / span;
        usize::try_from(number.min(u128::from(self.count - 1))).unwrap_or(0)
    }

    /// Calls `with` for each part that a span touches, with how much of it.
    fn each(&self, start: Timestamp, end: Timestamp, mut with: impl FnMut(usize, u64)) {
        if end.0 < self.from || start.0 > self.to {
            return;
        }
        let (start, end) = (start.0.max(self.from), end.0.min(self.to));
        for number in self.part_of(start)..=self.part_of(end.max(start)) {
            let (begins, ends) = (self.start(number).0, self.start(number + 1).0);
            with(number, end.min(ends).saturating_sub(start.max(begins)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_shared_out_to_the_parts_it_touches() {
        let parts = Parts::new(Timestamp(100), Timestamp(200), 10);
        let collect = |start, end| {
            let mut all = Vec::new();
            parts.each(Timestamp(start), Timestamp(end), |n, us| all.push((n, us)));
            all
        };
        assert_eq!(collect(115, 132), [(1, 5), (2, 10), (3, 2)]);
        assert_eq!(collect(0, 105), [(0, 5)]);
        assert_eq!(collect(195, 900), [(9, 5)]);
        assert_eq!(collect(120, 120), [(2, 0)]);
        assert!(collect(201, 300).is_empty());
        assert!(collect(0, 99).is_empty());
    }
}
