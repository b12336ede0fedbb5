//! Everything but Socket.IO on the relay's port.

mod assets;
mod pictures;

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use crate::config::admits;
use crate::hub::Hub;

/// The relay's pages and endpoints.
pub fn router(hub: Arc<Hub>) -> Router {
    // What shows pictures or tells about cameras is for viewers only.
    let for_viewers = Router::new()
        .route("/api/cameras", get(cameras))
        .route("/metrics", get(metrics))
        .route("/stream/{file}", get(pictures::stream))
        .route("/snapshot/{file}", get(pictures::snapshot))
        .merge(crate::archive::routes(&hub, hub.config().archive.as_ref()))
        .layer(middleware::from_fn_with_state(hub.clone(), viewers_only));
    Router::new()
        .route("/healthz", get(async || "ok"))
        .merge(for_viewers)
        .fallback(get(assets::serve))
        .layer(middleware::map_response(harden))
        .with_state(hub)
}

async fn cameras(State(hub): State<Arc<Hub>>) -> impl IntoResponse {
    ([NOT_STORED], Json(hub.cameras()))
}

async fn metrics(State(hub): State<Arc<Hub>>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], hub.render_metrics())
}

const NOT_STORED: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

#[derive(Default, Deserialize)]
struct TokenQuery {
    token: Option<String>,
}

/// Lets requests through that carry the viewers' token: `Authorization: Bearer` or `?token=`.
async fn viewers_only(
    State(hub): State<Arc<Hub>>,
    Query(query): Query<TokenQuery>,
    request: Request,
    next: Next,
) -> Response {
    let offered = bearer(request.headers()).or(query.token.as_deref());
    if admits(hub.config().viewer_token.as_ref(), offered) {
        return next.run(request).await;
    }
    let text =
        "This relay asks viewers for a token: add ?token=... or an Authorization: Bearer header.\n";
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, "Bearer")],
        text,
    )
        .into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ")
}

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
