//! `/api/events` and `/api/timeline`.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use cv_access::Cameras;
use cv_archive::{Bucket, EventFilter, MAX_PAGE};
use cv_protocol::{EventInfo, Timestamp};
use serde::{Deserialize, Serialize};

use super::memory::{Failed, Memory, NOT_STORED, Sight};
use crate::archive::told;

/// Events of a page, unless told otherwise.
const PAGE: usize = 50;

/// Most parts of a timeline.
const MAX_BUCKETS: usize = 5000;

#[derive(Deserialize)]
pub(super) struct EventsQuery {
    camera: Option<String>,
    label: Option<String>,
    zone: Option<String>,
    from_us: Option<u64>,
    to_us: Option<u64>,
    kept: Option<bool>,
    limit: Option<usize>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct EventsAnswer {
    events: Vec<EventInfo>,
    next: Option<String>,
}

/// Events that match, newest first.
pub(super) async fn list(
    State(memory): State<Memory>,
    Extension(sight): Extension<Sight>,
    Query(query): Query<EventsQuery>,
) -> Result<impl IntoResponse, Failed> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Failed::bad(format!(
            "limit is {limit}, expected 1 to {MAX_PAGE}"
        )));
    }
    let cameras = match (query.camera, &sight.0) {
        (Some(camera), _) => {
            sight.check(&camera)?;
            vec![camera]
        }
        (None, Cameras::All) => Vec::new(),
        (None, Cameras::Named(names)) if names.is_empty() => {
            return Err(Failed::not_found("You may see no camera."));
        }
        (None, Cameras::Named(names)) => names.iter().cloned().collect(),
    };
    let filter = EventFilter {
        cameras,
        label: query.label,
        zone: query.zone,
        from_us: query.from_us.map(Timestamp),
        to_us: query.to_us.map(Timestamp),
        kept: query.kept,
    };
    let page = memory
        .ask(move |archive| Ok(archive.events(&filter, query.cursor.as_deref(), limit)?))
        .await?;
    let answer = EventsAnswer {
        events: page.events.iter().map(told::event).collect(),
        next: page.next,
    };
    Ok(([NOT_STORED], Json(answer)))
}

/// One event.
pub(super) async fn one(
    State(memory): State<Memory>,
    Extension(sight): Extension<Sight>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Failed> {
    let event = memory.ask(move |archive| sight.event(archive, &id)).await?;
    Ok(([NOT_STORED], Json(told::event(&event))))
}

/// What may be changed of an event.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventPatch {
    kept: bool,
}

/// Keeps an event for good, or no longer.
pub(super) async fn change(
    State(memory): State<Memory>,
    Path(id): Path<String>,
    Json(patch): Json<EventPatch>,
) -> Result<impl IntoResponse, Failed> {
    let event = memory
        .ask(move |archive| Ok(archive.keep(&id, patch.kept)?))
        .await?;
    Ok(([NOT_STORED], Json(told::event(&event))))
}

/// Deletes an event and the footage that was recorded for it alone.
pub(super) async fn delete(
    State(memory): State<Memory>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failed> {
    memory.ask(move |archive| Ok(archive.delete(&id)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
pub(super) struct TimelineQuery {
    camera: String,
    from_us: u64,
    to_us: u64,
    buckets: Option<usize>,
}

#[derive(Serialize)]
struct TimelineAnswer {
    camera: String,
    from_us: u64,
    to_us: u64,
    buckets: Vec<Bucket>,
}

/// Where footage and events of a camera are.
pub(super) async fn timeline(
    State(memory): State<Memory>,
    Extension(sight): Extension<Sight>,
    Query(query): Query<TimelineQuery>,
) -> Result<impl IntoResponse, Failed> {
    sight.check(&query.camera)?;
    let TimelineQuery {
        camera,
        from_us,
        to_us,
        ..
    } = query;
    let count = query.buckets.unwrap_or(200);
    if from_us >= to_us || to_us > i64::MAX.unsigned_abs() {
        return Err(Failed::bad("from_us has to be before to_us"));
    }
    if !(1..=MAX_BUCKETS).contains(&count) {
        return Err(Failed::bad(format!(
            "buckets is {count}, expected 1 to {MAX_BUCKETS}"
        )));
    }
    let name = camera.clone();
    let buckets = memory
        .ask(move |archive| {
            Ok(archive.timeline(&name, Timestamp(from_us), Timestamp(to_us), count)?)
        })
        .await?;
    let answer = TimelineAnswer {
        camera,
        from_us,
        to_us,
        buckets,
    };
    Ok(([NOT_STORED], Json(answer)))
}
