//! Footage as Matroska, piece by piece.

use std::io;

use bytes::Bytes;
use cv_archive::export::{MatroskaWriter, Title};
use cv_archive::{ArchiveError, Playback};
use cv_protocol::Timestamp;

/// Bytes that are handed over at once.
const PIECE_BYTES: usize = 256 << 10;

/// Why footage could not be written.
#[derive(Debug, thiserror::Error)]
pub(in crate::archive) enum FilmError {
    /// It could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The destination does not take it.
    #[error("cannot write the footage")]
    Output(#[from] io::Error),
}

/// Hands the footage from the place of `playback` until `to` to `output`, as Matroska. Returns how
/// many frames there were.
pub(in crate::archive) fn write(
    playback: &mut Playback,
    to: Timestamp,
    mut output: impl FnMut(Bytes) -> io::Result<()>,
) -> Result<u64, FilmError> {
    let title = Title {
        camera: playback.camera().to_owned(),
        end_us: playback.last_until(to)?.map(|record| record.at_us),
    };
    let mut film = MatroskaWriter::new(Vec::with_capacity(PIECE_BYTES), title);
    let mut frames = 0;
    while playback.peek()?.is_some_and(|record| record.at_us <= to) {
        let Some(frame) = playback.next_frame()? else {
            break;
        };
        film.frame(&frame)?;
        frames += 1;
        if film.get_mut().len() >= PIECE_BYTES {
            output(std::mem::take(film.get_mut()).into())?;
        }
    }
    output(film.into_inner().into())?;
    Ok(frames)
}
