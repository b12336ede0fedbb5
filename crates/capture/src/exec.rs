//! A command whose standard output is an MJPEG stream: CSI cameras, RTSP, anything that a program
//! can turn into JPEGs.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::error::CaptureError;
use super::feed::{Fed, Feed, PictureStream};
use super::source::{Counts, Picture, Source};
use super::spec::without_password;
use super::split::PictureReader;

/// A camera program may take this long for its first picture before it is told to have none.
const SILENCE: Duration = Duration::from_secs(10);

/// How long opening waits, to tell a command that fails at once.
const FIRST: Duration = Duration::from_secs(2);

/// How long a command may take to stop its camera before it is killed.
const GRACE: Duration = Duration::from_millis(500);

/// How long a command whose output has ended may take to end itself.
const END: Duration = Duration::from_secs(1);

/// Of a line of standard error, so much is kept.
const MAX_LINE_LEN: usize = 500;

/// Lines of standard error that are logged in each ten seconds.
const MAX_LINES: u32 = 20;

/// A running command.
pub struct ExecSource {
    command: String,
    feed: Feed,
    child: Group,
    last_words: Arc<Mutex<String>>,
}

impl ExecSource {
    /// Starts `command` in a shell, and waits a moment for its first picture.
    pub fn open(command: &str) -> Result<Self, CaptureError> {
        let shown = without_password(command);
        let spawn_error = |source| CaptureError::Spawn {
            command: shown.clone(),
            source,
        };
        let mut child = Command::new("/bin/sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that what the shell starts can be ended too.
            .process_group(0)
            .spawn()
            .map_err(spawn_error)?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(spawn_error(io::ErrorKind::BrokenPipe.into()));
        };
        let child = Group(child);
        let last_words = Arc::<Mutex<String>>::default();
        let hears = Arc::clone(&last_words);
        thread::Builder::new()
            .name("exec-stderr".into())
            .spawn(move || log_lines(stderr, &hears))
            .map_err(spawn_error)?;
        let what = format!("`{shown}`");
        let stream = Output {
            what: what.clone(),
            reader: PictureReader::new(stdout),
        };
        let feed = Feed::start("exec-stdout", what, SILENCE, || Ok(stream)).map_err(spawn_error)?;
        let mut source = Self {
            command: shown.clone(),
            feed,
            child,
            last_words,
        };
        match source.feed.wait_for_first(FIRST) {
            Ok(()) => Ok(source),
            Err(error) => Err(error.unwrap_or_else(|| source.ended())),
        }
    }

    /// Why there are no more pictures.
    fn ended(&mut self) -> CaptureError {
        match self.child.ended() {
            Ok(status) => CaptureError::Ended {
                command: self.command.clone(),
                status,
                last_words: lock(&self.last_words).clone(),
            },
            Err(source) => CaptureError::Lost {
                what: format!("`{}`", self.command),
                source,
            },
        }
    }
}

impl Source for ExecSource {
    fn next(&mut self, timeout: Duration) -> Result<Option<Picture>, CaptureError> {
        match self.feed.next(timeout)? {
            Fed::Picture(picture) => Ok(Some(picture)),
            Fed::Nothing => Ok(None),
            Fed::Ended(Some(error)) => Err(error),
            Fed::Ended(None) => Err(self.ended()),
        }
    }

    fn describe(&self) -> String {
        format!("pictures of `{}`", self.command)
    }

    fn nominal_fps(&self) -> Option<f32> {
        None
    }

    fn counts(&self) -> Counts {
        self.feed.counts()
    }
}

/// Standard output of the command.
struct Output {
    what: String,
    reader: PictureReader<ChildStdout>,
}

impl PictureStream for Output {
    fn read(&mut self) -> Result<Option<Bytes>, CaptureError> {
        self.reader.read().map_err(|source| CaptureError::Lost {
            what: self.what.clone(),
            source,
        })
    }
}

/// The shell and everything that it started; ended and reaped when it is dropped.
struct Group(Child);

impl Group {
    /// How the command ended; it is given a moment to do so by itself.
    fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.wait(END)?;
        self.signal(libc::SIGKILL);
        status.map_or_else(|| self.0.wait(), Ok)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.0.try_wait()? {
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                status => return Ok(status),
            }
        }
    }

    #[allow(unsafe_code)]
    fn signal(&self, signal: i32) {
        let Ok(leader) = i32::try_from(self.0.id()) else {
            return;
        };
        // SAFETY: passes two numbers. The group is our child's own; a group that is gone already
        // is an error that does not matter.
        unsafe {
            libc::kill(-leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // First a chance to stop the camera in order, then the end for whatever is left.
        self.signal(libc::SIGTERM);
        let ended = self.wait(GRACE);
        self.signal(libc::SIGKILL);
        if let (false, Err(error)) = (matches!(ended, Ok(Some(_))), self.0.wait()) {
            log::warn!("cannot reap a command: {error}");
        }
    }
}

/// Logs what the command says on standard error, and remembers the last of it.
fn log_lines(mut stderr: ChildStderr, last_words: &Mutex<String>) {
    let mut chunk = [0; 4096];
    let mut line = Vec::new();
    let mut limit = LogLimit::default();
    loop {
        let read = match stderr.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(read @ 1..) => read,
            _ => break,
        };
        for &byte in chunk.get(..read).unwrap_or_default() {
            // Programs redraw a line of progress with a carriage return.
            if matches!(byte, b'\n' | b'\r') {
                limit.log(&line, last_words);
                line.clear();
            } else if line.len() < MAX_LINE_LEN {
                line.push(byte);
            }
        }
    }
    limit.log(&line, last_words);
}

/// Keeps a talkative command from filling the journal.
#[derive(Default)]
struct LogLimit {
    since: Option<Instant>,
    lines: u32,
}

impl LogLimit {
    fn log(&mut self, line: &[u8], last_words: &Mutex<String>) {
        let line = without_password(String::from_utf8_lossy(line).trim());
        if line.is_empty() {
            return;
        }
        if self
            .since
            .is_none_or(|since| since.elapsed() > Duration::from_secs(10))
        {
            if self.lines > MAX_LINES {
                log::info!("exec: {} more lines were left out", self.lines - MAX_LINES);
            }
            self.since = Some(Instant::now());
            self.lines = 0;
        }
        self.lines += 1;
        if self.lines <= MAX_LINES {
            log::info!("exec: {line}");
        }
        *lock(last_words) = line;
    }
}

fn lock(text: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::jpeg::tests::jpeg;
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn clip(folder: &Path) -> String {
        let path = folder.join("clip.mjpeg");
        fs::write(&path, [jpeg(16, 16, 1), jpeg(16, 16, 2)].concat()).unwrap();
        path.display().to_string()
    }

    fn fails(source: &mut ExecSource) -> CaptureError {
        loop {
            if let Err(error) = source.next(LONG) {
                return error;
            }
        }
    }

    #[test]
    fn pictures_of_a_command_arrive_and_its_end_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let command = format!("cat {}; echo that was all >&2; exit 3", clip(folder.path()));
        let mut source = ExecSource::open(&command).unwrap();
        let picture = source.next(LONG).unwrap().unwrap();
        assert!([jpeg(16, 16, 1), jpeg(16, 16, 2)].contains(&picture.jpeg.to_vec()));
        let error = fails(&mut source);
        assert!(error.is_transient());
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }

    #[test]
    fn a_command_that_does_not_exist_is_a_bad_setting() {
        let error = ExecSource::open("no-such-camera-program --fast")
            .err()
            .unwrap();
        assert!(!error.is_transient());
        let message = error.to_string();
        assert!(
            message.contains("`no-such-camera-program --fast` ended"),
            "{message}"
        );
    }

    #[test]
    fn the_whole_group_is_ended_when_the_source_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        // A child of the shell that ignores the polite request, in a pipeline.
        let command = format!(
            "cat {}; sh -c 'trap \"\" TERM; echo $$ > {}; sleep 1000' | cat",
            clip(folder.path()),
            pids.display()
        );
        let mut source = ExecSource::open(&command).unwrap();
        source.next(LONG).unwrap().unwrap();
        let mut pid = String::new();
        soon(|| {
            pid = fs::read_to_string(&pids).unwrap_or_default();
            pid.ends_with('\n')
        });
        let shell = source.child.0.id();
        drop(source);
        assert!(!is_alive(&shell.to_string()), "the shell was not reaped");
        // The other one is reaped by whoever inherits it.
        soon(|| !is_alive(pid.trim()));
    }

    /// Waits for what other processes do.
    fn soon(mut happened: impl FnMut() -> bool) {
        let deadline = Instant::now() + LONG;
        while !happened() {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether a process runs; zombies do not.
    fn is_alive(pid: &str) -> bool {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            !stat
                .rsplit_once(')')
                .is_some_and(|(_, rest)| rest.trim().starts_with('Z'))
        })
    }

    #[test]
    fn passwords_of_the_command_are_not_told() {
        let error = ExecSource::open("no-such-program rtsp://me:hunter2@camera/")
            .err()
            .unwrap();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let words = Mutex::default();
        LogLimit::default().log(b"opening rtsp://me:hunter2@camera/", &words);
        assert_eq!(*lock(&words), "opening rtsp://...@camera/");
    }
}
