//! Signing in, and what administrators do, as JSON below `/api/`.
//!
//! State changes take JSON bodies (or the methods `DELETE` and `PATCH`), which a foreign page cannot
//! send without the browser's asking first; and the session's cookie is not sent with them.

mod admin;
mod links;
mod session;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use serde::de::DeserializeOwned;

use super::{NOT_STORED, Relay, sorry};

/// No request here is longer.
const MAX_BODY_BYTES: usize = 16 << 10;

pub(super) fn routes() -> Router<Relay> {
    Router::new()
        .route(
            "/api/session",
            get(session::show)
                .post(session::sign_in)
                .delete(session::sign_out),
        )
        .route("/api/set-up", post(session::set_up))
        .route("/api/password", post(session::change_password))
        .route("/api/link", get(links::link))
        .route("/api/agents", get(admin::agents))
        .route("/api/agents/accept", post(admin::accept))
        .route("/api/agents/refuse", post(admin::refuse))
        .route("/api/agents/revoke", post(admin::revoke))
        .route("/api/agents/remove", post(admin::remove_agent))
        .route("/api/users", get(admin::users).post(admin::add_user))
        .route(
            "/api/users/{name}",
            patch(admin::change_user).delete(admin::remove_user),
        )
        .route("/api/tokens", get(admin::tokens).post(admin::add_token))
        .route("/api/tokens/{name}", delete(admin::revoke_token))
        .route("/api/sessions", get(admin::sessions))
        .route("/api/sessions/{id}", delete(admin::end_session))
        .route("/api/audit", get(admin::audit))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

/// A JSON body; what is wrong with another is said in plain text.
struct Body<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> axum::extract::FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Response> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            // The library's texts of other errors quote the body, which may hold a password.
            Err(JsonRejection::MissingJsonContentType(_)) => Err(sorry(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "This takes JSON: Content-Type: application/json.".into(),
            )),
            Err(other) => Err(sorry(
                other.status(),
                "The body is not the JSON that is expected here; docs/security.md describes it."
                    .into(),
            )),
        }
    }
}

/// An answer in JSON that no cache keeps.
fn json(value: impl serde::Serialize) -> Response {
    ([NOT_STORED], axum::Json(value)).into_response()
}

/// An answer without content.
fn done() -> Response {
    ([NOT_STORED], StatusCode::NO_CONTENT).into_response()
}
