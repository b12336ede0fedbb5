//! `/api/cameras/NAME/rules`.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use cv_archive::Rules;

use super::memory::{Failed, Memory, NOT_STORED, Sight};

/// A camera's rules; the defaults, if it has none of its own.
pub(super) async fn show(
    State(memory): State<Memory>,
    Extension(sight): Extension<Sight>,
    Path(camera): Path<String>,
) -> Result<impl IntoResponse, Failed> {
    sight.check(&camera)?;
    let rules = memory
        .ask(move |archive| Ok(archive.rules(&camera)?))
        .await?;
    Ok(([NOT_STORED], Json(rules.as_ref().clone())))
}

/// Replaces a camera's rules. The whole set is given; what is left out has its default.
pub(super) async fn replace(
    State(memory): State<Memory>,
    Path(camera): Path<String>,
    body: String,
) -> Result<impl IntoResponse, Failed> {
    let rules = Rules::from_json(&body).map_err(|err| Failed::bad(err.to_string()))?;
    let (name, set) = (camera.clone(), rules.clone());
    memory
        .ask(move |archive| Ok(archive.set_rules(&name, set)?))
        .await?;
    memory.hub.recording_changed(&camera);
    Ok(([NOT_STORED], Json(rules)))
}
