//! Events as clients get them.

use cv_archive::{Change, Event};
use cv_protocol::{EventChange, EventInfo};

/// A change as clients get it.
pub(super) fn change(change: Change) -> EventChange {
    match change {
        Change::Start => EventChange::Start,
        Change::Update => EventChange::Update,
        Change::End => EventChange::End,
        Change::Delete => EventChange::Delete,
    }
}

/// An event as clients get it.
pub(super) fn event(event: &Event) -> EventInfo {
    let path = |file: &str| format!("/api/events/{}/{file}", event.id);
    EventInfo {
        id: event.id.clone(),
        camera: event.camera.clone(),
        label: event.label.clone(),
        start_us: event.start_us,
        end_us: event.end_us,
        score: event.score,
        bounding_box: event.bounding_box,
        best_us: event.best_us,
        zones: event.zones.clone(),
        stationary: event.stationary,
        kept: event.kept,
        snapshot: event.has_snapshot.then(|| path("snapshot.jpg")),
        clip: path("clip.mkv"),
    }
}
