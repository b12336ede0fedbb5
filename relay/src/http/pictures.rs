//! `/stream/NAME.mjpg` and `/snapshot/NAME.jpg`: pictures for programs without Socket.IO.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use cv_protocol::CameraState;
use futures_util::stream;
use tokio::sync::watch;

use super::{NOT_STORED, Relay, sorry};
use crate::doors::{Offered, Picture};
use crate::hub::{Camera, Frame, Polling};

const BOUNDARY: &str = "cv-frame";

/// The camera named by the path, if it may be seen.
fn find(
    Relay { hub, doors }: &Relay,
    offered: &Offered,
    picture: Picture,
    file: &str,
) -> Result<Arc<Camera>, Box<Response>> {
    let extension = match picture {
        Picture::Snapshot => ".jpg",
        Picture::Stream => ".mjpg",
    };
    let name = file.strip_suffix(extension).unwrap_or_default();
    let grant = doors
        .view_picture(offered, picture, name)
        .map_err(|denied| Box::new(denied.into_response()))?;
    hub.camera(name).ok_or_else(|| {
        let known: Vec<_> = hub
            .cameras()
            .into_iter()
            .map(|camera| camera.name)
            .filter(|name| grant.cameras.include(name))
            .collect();
        let known = match known.as_slice() {
            [] => "There is none yet.".to_owned(),
            names => format!("There are: {}", names.join(", ")),
        };
        Box::new(sorry(
            StatusCode::NOT_FOUND,
            format!("No camera at {file:?}; expected NAME{extension}. {known}"),
        ))
    })
}

/// The newest picture.
pub async fn snapshot(
    State(relay): State<Relay>,
    offered: Offered,
    Path(file): Path<String>,
) -> Response {
    let camera = match find(&relay, &offered, Picture::Snapshot, &file) {
        Ok(camera) => camera,
        Err(response) => return *response,
    };
    let Some(frame) = camera.newest() else {
        let why = match camera.info().map(|info| info.state) {
            Some(CameraState::Live) => "has not sent a picture yet",
            Some(CameraState::Fault) => "does not deliver",
            Some(CameraState::Offline) | None => "is offline",
        };
        return sorry(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{} {why}.", camera.name()),
        );
    };
    (
        [NOT_STORED, (header::CONTENT_TYPE, "image/jpeg")],
        frame.jpeg.clone(),
    )
        .into_response()
}

/// The live picture, part after part. The next part is chosen when the connection has room for it,
/// so a slow client skips frames and never queues them. It ends when the right to see it does.
pub async fn stream(
    State(relay): State<Relay>,
    offered: Offered,
    Path(file): Path<String>,
) -> Response {
    let camera = match find(&relay, &offered, Picture::Stream, &file) {
        Ok(camera) => camera,
        Err(response) => return *response,
    };
    let Relay { hub, doors } = relay;
    let place = match hub.enter_place() {
        Ok(place) => place,
        Err(err) => return sorry(StatusCode::SERVICE_UNAVAILABLE, err.to_string()),
    };
    let mut polling = camera.poll();
    polling.include_present();
    let parts = stream::unfold(
        Parts {
            polling,
            waiting: VecDeque::new(),
            rights: doors.rights(),
            may_go_on: {
                let name = camera.name().to_owned();
                Box::new(move || doors.still_shows(&offered, Picture::Stream, &name))
            },
            _place: place,
        },
        Parts::next,
    );
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    (
        [NOT_STORED],
        [(header::CONTENT_TYPE, kind)],
        Body::from_stream(parts),
    )
        .into_response()
}

struct Parts<P> {
    polling: Polling,
    waiting: VecDeque<Bytes>,
    rights: watch::Receiver<u64>,
    may_go_on: Box<dyn Fn() -> bool + Send>,
    _place: P,
}

impl<P> Parts<P> {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.waiting.is_empty() {
            let frame = loop {
                tokio::select! {
                    frame = self.polling.next() => break frame?,
                    changed = self.rights.changed() => {
                        if changed.is_err() || !(self.may_go_on)() {
                            return None;
                        }
                    }
                }
            };
            self.waiting.extend(part(&frame));
        }
        let chunk = self.waiting.pop_front()?;
        Some((Ok(chunk), self))
    }
}

/// Head, picture and end of one part; the picture is not copied.
fn part(frame: &Frame) -> [Bytes; 3] {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\nX-Captured-Us: {}\r\n\r\n",
        frame.jpeg.len(),
        frame.meta.frame.captured_us.0
    );
    [head.into(), frame.jpeg.clone(), Bytes::from_static(b"\r\n")]
}
