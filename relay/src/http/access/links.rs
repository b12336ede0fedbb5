//! Links to pictures that work for a while.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cv_access::{MAX_LINK_SECONDS, now_us};
use serde::Deserialize;

use super::json;
use crate::doors::{Denied, Offered, Picture};
use crate::http::{Relay, sorry};

/// How long a link works unless told otherwise.
const USUAL_SECONDS: u32 = 300;

#[derive(Deserialize)]
pub struct Wanted {
    camera: String,
    kind: Picture,
    seconds: Option<u32>,
}

pub async fn link(
    State(Relay { doors, .. }): State<Relay>,
    offered: Offered,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Ok(Query(wanted)) = wanted else {
        return sorry(
            StatusCode::BAD_REQUEST,
            "Expected ?camera=NAME&kind=snapshot|stream, and perhaps &seconds=N.".into(),
        );
    };
    let Wanted { camera, kind, .. } = wanted;
    let seconds = wanted.seconds.unwrap_or(USUAL_SECONDS);
    if !(1..=MAX_LINK_SECONDS).contains(&seconds) {
        return sorry(
            StatusCode::BAD_REQUEST,
            format!("A link works for 1 to {MAX_LINK_SECONDS} seconds."),
        );
    }
    let granted = doors.view(&offered).and_then(|grant| {
        if grant.cameras.include(&camera) {
            Ok(())
        } else {
            Err(Denied::camera(&camera))
        }
    });
    if let Err(denied) = granted {
        return denied.into_response();
    }
    let until = now_us() + i64::from(seconds) * 1_000_000;
    let Some(signature) = doors.sign(kind, &camera, until) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let (folder, extension) = match kind {
        Picture::Snapshot => ("snapshot", "jpg"),
        Picture::Stream => ("stream", "mjpg"),
    };
    let name = percent_encoded(&camera);
    json(serde_json::json!({
        // Relative, so that it holds behind a proxy that puts the relay below a path.
        "path": format!("{folder}/{name}.{extension}?until={until}&signature={signature}"),
        "until_us": until,
    }))
}

/// A camera's name as a part of a path.
fn percent_encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
