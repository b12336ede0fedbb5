//! Footage as MP4 with H.264, made by ffmpeg where it is installed.

use std::io::{self, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;
use cv_archive::Playback;
use cv_protocol::Timestamp;

use super::film::{self, FilmError};

/// Encodings at once: each takes a core.
const MAX_AT_ONCE: usize = 2;

const PIECE_BYTES: usize = 64 << 10;

/// Every player takes 4:2:0, which needs even sizes; times stay as they are; a fragmented file can
/// be played while it grows.
const ENCODE: [&str; 22] = [
    "-v",
    "error",
    "-f",
    "matroska",
    "-i",
    "pipe:0",
    "-an",
    "-vf",
    "pad=ceil(iw/2)*2:ceil(ih/2)*2",
    "-fps_mode",
    "passthrough",
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-pix_fmt",
    "yuv420p",
    "-movflags",
    "frag_keyframe+empty_moov+default_base_moof",
    "-f",
    "mp4",
    "pipe:1",
];

/// Whether ffmpeg can be run.
///
/// # Errors
///
/// The reason why not, for people.
pub(in crate::archive) fn check() -> io::Result<()> {
    let missing = |why: String| {
        io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "MP4 is made by ffmpeg, which cannot be run here ({why}): install it, or take \
                 clip.mkv, which has the camera's own frames"
            ),
        )
    };
    let status = Command::new("ffmpeg")
        .arg("-version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|err| missing(err.to_string()))?;
    if status.success() {
        Ok(())
    } else {
        Err(missing(status.to_string()))
    }
}

/// Ends the process, whatever happens.
struct Ffmpeg(Child);

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Hands the footage from the place of `playback` until `to` to `output`, as MP4. Returns how many
/// frames there were.
pub(in crate::archive) fn write(
    mut playback: Playback,
    to: Timestamp,
    mut output: impl FnMut(Bytes) -> io::Result<()>,
) -> Result<u64, FilmError> {
    let _turn = Turn::wait();
    let mut ffmpeg = Ffmpeg(
        Command::new("ffmpeg")
            .args(ENCODE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?,
    );
    let (Some(mut input), Some(mut encoded)) = (ffmpeg.0.stdin.take(), ffmpeg.0.stdout.take())
    else {
        return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
    };
    let feeding = std::thread::Builder::new()
        .name("clip-mp4".into())
        .spawn(move || film::write(&mut playback, to, |bytes| input.write_all(&bytes)))?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = encoded.read(&mut piece)?;
        if length == 0 {
            break;
        }
        let bytes = piece.get(..length).unwrap_or_default();
        output(Bytes::copy_from_slice(bytes))?;
    }
    let frames = feeding
        .join()
        .map_err(|_| io::Error::other("the thread that reads the footage has panicked"))??;
    let status = ffmpeg.0.wait()?;
    if frames > 0 && !status.success() {
        return Err(io::Error::other(format!("ffmpeg failed: {status}")).into());
    }
    Ok(frames)
}

/// One of the places for encodings.
struct Turn(Arc<(Mutex<usize>, Condvar)>);

static TURNS: std::sync::LazyLock<Arc<(Mutex<usize>, Condvar)>> =
    std::sync::LazyLock::new(Arc::default);

impl Turn {
    fn wait() -> Self {
        let turns = TURNS.clone();
        let mut taken = turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= MAX_AT_ONCE {
            taken = turns.1.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += 1;
        drop(taken);
        Self(turns)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.1.notify_one();
    }
}
