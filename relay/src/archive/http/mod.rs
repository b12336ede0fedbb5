//! The archive over HTTP.

mod clips;
mod events;
pub(super) mod film;
pub(super) mod mp4;
mod rules;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cv_archive::{Archive, ArchiveError};

use crate::doors::{Denied, Doors, Offered};
use crate::hub::Hub;

/// What requests are answered from.
#[derive(Clone)]
pub(crate) struct Memory {
    archive: Option<Arc<Archive>>,
    hub: Arc<Hub>,
}

/// The description of all of this for programs.
const OPENAPI: &str = include_str!("openapi.json");

/// Everything below `/api` that needs the archive.
///
/// Reading is for whoever may see every camera. Changes are for administrators; where there are no
/// users, for whoever sits at this machine.
pub(crate) fn routes<S>(
    hub: &Arc<Hub>,
    doors: &Arc<Doors>,
    archive: Option<&Arc<Archive>>,
) -> Router<S> {
    Router::new()
        .route("/api/events", get(events::list))
        .route(
            "/api/events/{id}",
            get(events::one)
                .patch(events::change)
                .delete(events::delete),
        )
        .route("/api/events/{id}/snapshot.jpg", get(clips::snapshot))
        .route("/api/events/{id}/clip.mkv", get(clips::clip_mkv))
        .route("/api/events/{id}/clip.mp4", get(clips::clip_mp4))
        .route("/api/timeline", get(events::timeline))
        .route("/api/footage.mkv", get(clips::footage))
        .route("/api/frame.jpg", get(clips::frame))
        .route("/api/archive", get(status))
        .route(
            "/api/cameras/{name}/rules",
            get(rules::show).put(rules::replace),
        )
        .route("/api/openapi.json", get(openapi))
        .layer(middleware::from_fn_with_state(doors.clone(), ask_the_doors))
        .with_state(Memory {
            archive: archive.cloned(),
            hub: hub.clone(),
        })
}

async fn ask_the_doors(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    request: Request,
    next: Next,
) -> Result<Response, Denied> {
    let grant = doors.view_everything(&offered)?;
    if request.method().is_safe() {
        return Ok(next.run(request).await);
    }
    let is_the_owner = doors.access().is_none() && offered.at_this_machine();
    if !is_the_owner {
        doors.administer(&offered)?;
    }
    let action = match *request.method() {
        Method::DELETE => "recording deleted",
        Method::PUT => "rules changed",
        _ => "recording changed",
    };
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    if response.status().is_success() {
        doors.note(grant.actor(), action, path).await?;
    }
    Ok(response)
}

const NOT_STORED: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn status(State(memory): State<Memory>) -> Result<Response, Failed> {
    let archive = memory.archive()?;
    Ok(([NOT_STORED], axum::Json(archive.status())).into_response())
}

/// Why a request was not answered.
#[derive(Debug)]
pub(crate) struct Failed(StatusCode, String);

impl Failed {
    fn not_found(what: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, what.into())
    }

    fn bad(what: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, what.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.0, [NOT_STORED], self.1 + "\n").into_response()
    }
}

impl From<ArchiveError> for Failed {
    fn from(err: ArchiveError) -> Self {
        let status = match &err {
            ArchiveError::NoSuchEvent { .. } => StatusCode::NOT_FOUND,
            ArchiveError::Cursor(_) | ArchiveError::Rules(_) => StatusCode::BAD_REQUEST,
            ArchiveError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                StatusCode::NOT_FOUND
            }
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, err.explained())
    }
}

impl Memory {
    fn archive(&self) -> Result<&Arc<Archive>, Failed> {
        self.archive.as_ref().ok_or_else(|| {
            Failed::not_found("This relay records nothing: start it with --archive-dir.")
        })
    }

    /// Runs `work`, which may read from the disk.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Archive) -> Result<T, Failed> + Send + 'static,
    ) -> Result<T, Failed> {
        let archive = self.archive()?.clone();
        tokio::task::spawn_blocking(move || work(&archive))
            .await
            .map_err(|_| {
                Failed(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "The archive did not answer; the relay's log tells why.".into(),
                )
            })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_json_and_names_every_route() {
        let description: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let source = include_str!("mod.rs");
        let paths = description["paths"].as_object().unwrap();
        let routes: std::collections::BTreeSet<_> = source
            .split('"')
            .filter(|piece| piece.starts_with("/api/") && piece.len() > "/api/".len())
            .collect();
        let described: std::collections::BTreeSet<_> = paths.keys().map(String::as_str).collect();
        assert_eq!(described, routes);
    }
}
