//! Everything but Socket.IO on the relay's port.

mod access;
mod assets;
mod pictures;

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::doors::{Denied, Doors, Offered};
use crate::hub::Hub;

/// What requests are answered from.
#[derive(Clone)]
struct Relay {
    hub: Arc<Hub>,
    doors: Arc<Doors>,
}

impl FromRef<Relay> for Arc<Hub> {
    fn from_ref(relay: &Relay) -> Self {
        relay.hub.clone()
    }
}

impl FromRef<Relay> for Arc<Doors> {
    fn from_ref(relay: &Relay) -> Self {
        relay.doors.clone()
    }
}

/// The relay's pages and endpoints. Every handler that shows something asks the doors.
pub fn router(hub: Arc<Hub>, doors: Arc<Doors>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/api/cameras", get(cameras))
        .route("/metrics", get(metrics))
        .route("/stream/{file}", get(pictures::stream))
        .route("/snapshot/{file}", get(pictures::snapshot))
        .merge(access::routes())
        .merge(crate::archive::routes(
            &hub,
            &doors,
            hub.config().archive.as_ref(),
        ))
        .fallback(get(assets::serve))
        .layer(middleware::map_response(harden))
        .with_state(Relay { hub, doors })
}

async fn cameras(
    State(Relay { hub, doors }): State<Relay>,
    offered: Offered,
) -> Result<impl IntoResponse, Denied> {
    let grant = doors.view(&offered)?;
    let mut cameras = hub.cameras();
    cameras.retain(|camera| grant.cameras.include(&camera.name));
    Ok(([NOT_STORED], Json(cameras)))
}

/// The metrics tell of every camera.
async fn metrics(
    State(Relay { hub, doors }): State<Relay>,
    offered: Offered,
) -> Result<impl IntoResponse, Denied> {
    doors.view_everything(&offered)?;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok((
        [NOT_STORED, (header::CONTENT_TYPE, kind)],
        hub.render_metrics(),
    ))
}

const NOT_STORED: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

/// The page runs only its own files and talks only to its own relay.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob: data:; font-src 'self'; connect-src 'self' ws: wss:; worker-src 'self'; \
    manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A plain-text answer that says what is wrong.
fn sorry(status: StatusCode, text: String) -> Response {
    (status, [NOT_STORED], text + "\n").into_response()
}
