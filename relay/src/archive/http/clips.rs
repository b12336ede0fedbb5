//! Snapshots and footage.

use std::io;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use cv_archive::Archive;
use cv_protocol::Timestamp;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::film::{self, FilmError};
use super::memory::{Failed, Memory, NOT_STORED, Sight};
use super::mp4;

/// Pieces of footage that wait for a slow client.
const PIECES: usize = 4;

/// Longest footage that is not an event's.
const MAX_FOOTAGE_US: u64 = 24 * 3600 * 1_000_000;

/// The best sight of an event, as the camera made it.
pub(super) async fn snapshot(
    State(memory): State<Memory>,
    Extension(sight): Extension<Sight>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let jpeg = memory
        .ask(move |archive| {
            sight.event(archive, &id)?;
            archive
                .snapshot(&id)?
                .ok_or_else(|| Failed::not_found(format!("Event {id} has no snapshot yet.")))
        })
        .await?;
    Ok(picture(jpeg))
}

fn picture(jpeg: impl Into<Body>) -> Response {
    (
        [NOT_STORED, (header::CONTENT_TYPE, "image/jpeg")],
        jpeg.into(),
    )
        .into_response()
}

/// Footage that has been found: which camera, from when, until when, and a name for the file.
struct Span {
    camera: String,
    from: Timestamp,
    to: Timestamp,
    name: String,
}

fn span_of(archive: &Archive, sight: &Sight, id: &str) -> Result<Span, Failed> {
    let event = sight.event(archive, id)?;
    let (from, to) = archive.event_footage(id)?;
    let name = format!("{}-{}-{id}", event.camera, event.label);
    with_footage(
        archive,
        Span {
            camera: event.camera,
            from,
            to,
            name,
        },
    )
}

/// The span, if at least one frame of it is stored.
fn with_footage(archive: &Archive, span: Span) -> Result<Span, Failed> {
    let first = archive.play(&span.camera, span.from).peek()?;
    if first.is_some_and(|record| record.at_us <= span.to) {
        return Ok(span);
    }
    Err(Failed::not_found(format!(
        "No footage of {:?} is stored from {} to {}.",
        span.camera, span.from.0, span.to.0
    )))
}

/// An event's footage: the camera's own frames.
pub(super) async fn clip_mkv(
    State(memory): State<Memory>,
    Extension(sight): Extension<Sight>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let span = memory
        .ask(move |archive| span_of(archive, &sight, &id))
        .await?;
    matroska(&memory, span)
}

/// An event's footage as H.264.
pub(super) async fn clip_mp4(
    State(memory): State<Memory>,
    Extension(sight): Extension<Sight>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let span = memory
        .ask(move |archive| {
            let span = span_of(archive, &sight, &id)?;
            mp4::check().map_err(|err| Failed(StatusCode::NOT_IMPLEMENTED, err.to_string()))?;
            Ok(span)
        })
        .await?;
    let archive = memory.archive()?.clone();
    let head = attachment("video/mp4", &span.name, "mp4");
    let body =
        streamed(move |output| mp4::write(archive.play(&span.camera, span.from), span.to, output));
    Ok((head, body).into_response())
}

#[derive(Deserialize)]
pub(super) struct FootageQuery {
    camera: String,
    from_us: u64,
    to_us: u64,
}

/// Any footage: the camera's own frames.
pub(super) async fn footage(
    State(memory): State<Memory>,
    Extension(sight): Extension<Sight>,
    Query(query): Query<FootageQuery>,
) -> Result<Response, Failed> {
    sight.check(&query.camera)?;
    let FootageQuery {
        camera,
        from_us,
        to_us,
    } = query;
    if from_us > to_us || to_us - from_us > MAX_FOOTAGE_US {
        return Err(Failed::bad(
            "from_us has to be before to_us, and at most 24 hours before it",
        ));
    }
    let span = Span {
        name: format!("{camera}-{from_us}"),
        camera,
        from: Timestamp(from_us),
        to: Timestamp(to_us),
    };
    let span = memory
        .ask(move |archive| with_footage(archive, span))
        .await?;
    matroska(&memory, span)
}

#[derive(Deserialize)]
pub(super) struct FrameQuery {
    camera: String,
    at_us: u64,
}

/// The first frame at a time or later, as the camera made it.
pub(super) async fn frame(
    State(memory): State<Memory>,
    Extension(sight): Extension<Sight>,
    Query(query): Query<FrameQuery>,
) -> Result<Response, Failed> {
    sight.check(&query.camera)?;
    let frame = memory
        .ask(move |archive| {
            archive
                .play(&query.camera, Timestamp(query.at_us))
                .next_frame()?
                .ok_or_else(|| {
                    Failed::not_found(format!(
                        "No frame of {:?} is stored from {} on.",
                        query.camera, query.at_us
                    ))
                })
        })
        .await?;
    let at = [("x-at-us", frame.record.at_us.0.to_string())];
    Ok((at, picture(frame.jpeg)).into_response())
}

fn matroska(memory: &Memory, span: Span) -> Result<Response, Failed> {
    let archive = memory.archive()?.clone();
    let head = attachment("video/x-matroska", &span.name, "mkv");
    let body = streamed(move |output| {
        film::write(&mut archive.play(&span.camera, span.from), span.to, output)
    });
    Ok((head, body).into_response())
}

fn attachment(kind: &'static str, name: &str, extension: &str) -> [(HeaderName, String); 3] {
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    [
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::CONTENT_TYPE, kind.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.{extension}\""),
        ),
    ]
}

/// A body that a blocking thread writes. It ends with an error if the writer fails, so that a client
/// does not take half a film for the whole.
fn streamed(
    write: impl FnOnce(&mut dyn FnMut(Bytes) -> io::Result<()>) -> Result<u64, FilmError>
    + Send
    + 'static,
) -> Body {
    let (pieces, receiver) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    tokio::task::spawn_blocking(move || {
        let mut output = |bytes| {
            // The client has gone.
            pieces
                .blocking_send(Ok(bytes))
                .map_err(|_| io::ErrorKind::BrokenPipe.into())
        };
        if let Err(err) = write(&mut output) {
            log::debug!("footage was not sent to its end: {err}");
            let _ = pieces.blocking_send(Err(io::Error::other(err.to_string())));
        }
    });
    Body::from_stream(stream::unfold(receiver, async |mut receiver| {
        Some((receiver.recv().await?, receiver))
    }))
}
