//! Finds the same object under another id.
//!
//! Ids change when the tracker loses an object for a moment, as when one passes before another, and
//! when the agent starts anew. An object that appears where one that is missing should be by now
//! goes on with that one's event; one that left over the picture's edge is not waited for.

use cv_protocol::{Object, Timestamp};

use super::object::{Followed, at_edge, centre, size};

/// How long an object that the tracker lost is looked for under another id.
pub(super) const MISSING_US: u64 = 2_500_000;

/// Largest ratio of the sizes of one object before and after.
const MAX_GROWTH: f32 = 2.0;

/// Farthest that the object may be from where it should be, in box sizes ...
const MAX_DISTANCE: f32 = 0.6;

/// ... and this much more for each second that it was not seen.
const MAX_DRIFT: f32 = 0.15;

/// An object with the same id as before may be this many times as far.
const SAME_ID: f32 = 3.0;

/// How far `object` is from where `missing` should be, in box sizes; `None` if it is another one.
pub(super) fn distance(missing: &Followed, object: &Object, at: Timestamp) -> Option<f32> {
    if missing.label != object.label {
        return None;
    }
    if missing.id.is_some() {
        // The same tracker still runs: it has lost the object.
        let gone_us = at.0.saturating_sub(missing.last_seen.0);
        let left = at_edge(&missing.bounding_box) && at_edge(&object.bounding_box);
        if gone_us > MISSING_US || left {
            return None;
        }
    }
    let (before, after) = (size(&missing.bounding_box), size(&object.bounding_box));
    if before.max(after) / before.min(after) > MAX_GROWTH {
        return None;
    }
    let there = centre(&object.bounding_box);
    // It may have stopped, or gone on.
    let expected = [centre(&missing.bounding_box), missing.predicted_centre(at)];
    let nearest = expected
        .iter()
        .map(|[y, x]| (y - there[0]).hypot(x - there[1]))
        .fold(f32::INFINITY, f32::min);
    let unseen = at.since(missing.last_seen).as_secs_f32();
    let relative = nearest / before.max(after);
    let most = MAX_DISTANCE + MAX_DRIFT * unseen;
    // Only the connection was new, and the tracker has gone on; or the id means another by chance.
    if missing.id.is_none() && missing.former == object.id && relative <= SAME_ID * most {
        return Some(relative / SAME_ID);
    }
    (relative <= most).then_some(relative)
}
