//! The archive over HTTP.

mod clips;
mod events;
pub(super) mod film;
mod memory;
pub(super) mod mp4;
mod rules;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use cv_archive::Archive;

use crate::doors::{Denied, Doors, Offered};
use crate::hub::Hub;
use memory::{Failed, Memory, NOT_STORED, Sight};

/// The description of all of this for programs.
const OPENAPI: &str = include_str!("openapi.json");

/// Everything below `/api` that needs the archive.
///
/// Everybody reads what the cameras that they may see have brought. Changes are for administrators; where there are no
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
    mut request: Request,
    next: Next,
) -> Result<Response, Denied> {
    let grant = doors.view(&offered)?;
    request
        .extensions_mut()
        .insert(Sight(grant.cameras.clone()));
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

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn status(
    State(memory): State<Memory>,
    Extension(sight): Extension<Sight>,
) -> Result<Response, Failed> {
    let mut status = memory.archive()?.status();
    status
        .cameras
        .retain(|camera| sight.includes(&camera.camera));
    Ok(([NOT_STORED], axum::Json(status)).into_response())
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
