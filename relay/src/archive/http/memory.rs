//! What requests are answered from, and what is answered if that fails.

use std::sync::Arc;

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cv_access::Cameras;
use cv_archive::{Archive, ArchiveError, Event};

use crate::doors::Denied;
use crate::hub::Hub;

pub(super) const NOT_STORED: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

/// What requests are answered from.
#[derive(Clone)]
pub(super) struct Memory {
    pub archive: Option<Arc<Archive>>,
    pub hub: Arc<Hub>,
}

/// The cameras that whoever asks may see.
#[derive(Clone)]
pub(super) struct Sight(pub Cameras);

impl Sight {
    /// Whether a camera may be seen.
    pub fn includes(&self, camera: &str) -> bool {
        self.0.include(camera)
    }

    /// # Errors
    ///
    /// If a camera may not be seen.
    pub fn check(&self, camera: &str) -> Result<(), Failed> {
        if self.includes(camera) {
            return Ok(());
        }
        Err(Failed(
            StatusCode::FORBIDDEN,
            Denied::camera(camera).reason().to_owned(),
        ))
    }

    /// The event of this id, as far as it may be seen: others are as those that are not there.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn event(&self, archive: &Archive, id: &str) -> Result<Event, Failed> {
        let event = archive.event(id)?;
        if self.includes(&event.camera) {
            return Ok(event);
        }
        Err(ArchiveError::NoSuchEvent { id: id.to_owned() }.into())
    }
}

/// Why a request was not answered.
#[derive(Debug)]
pub(super) struct Failed(pub StatusCode, pub String);

impl Failed {
    pub fn not_found(what: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, what.into())
    }

    pub fn bad(what: impl Into<String>) -> Self {
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
    pub fn archive(&self) -> Result<&Arc<Archive>, Failed> {
        self.archive.as_ref().ok_or_else(|| {
            Failed::not_found("This relay records nothing: start it with --archive-dir.")
        })
    }

    /// Runs `work`, which may read from the disk.
    pub async fn ask<T: Send + 'static>(
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
