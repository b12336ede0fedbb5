//! Captures the MJPEG stream that a shell command writes to its standard output: CSI cameras, RTSP,
//! and anything else that a program can turn into JPEGs.

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

/// Time without a frame after which the source counts as silent. A camera program may take this
/// long until its first frame.
const SILENCE: Duration = Duration::from_secs(10);

/// Time that `open` waits for the first frame, so that it can report a command that fails at once.
const FIRST: Duration = Duration::from_secs(2);

/// Time that a command has to stop its camera before it is killed.
const GRACE: Duration = Duration::from_millis(500);

/// Time that a command has to exit after it has closed its standard output.
const END: Duration = Duration::from_secs(1);

/// Number of bytes of a line of standard error that are kept.
const MAX_LINE_LEN: usize = 500;

/// Maximum number of lines of standard error that are logged in ten seconds.
const MAX_LINES: u32 = 20;

/// A running command and the frames that it writes.
pub struct ExecSource {
    command: String,
    feed: Feed,
    child: Group,
    last_words: Arc<Mutex<String>>,
}

impl ExecSource {
    /// Starts `command` in a shell and waits up to two seconds for its first frame.
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
            // The command runs in a process group of its own, so that everything the shell starts
            // can be ended too.
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

    /// Returns the error that says how the command ended.
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
        format!("frames of `{}`", self.command)
    }

    fn nominal_fps(&self) -> Option<f32> {
        None
    }

    fn counts(&self) -> Counts {
        self.feed.counts()
    }
}

/// Standard output of the command, as a stream of JPEGs.
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

/// Process group of the command: the shell and everything that it started. Dropping it ends and
/// reaps the group.
struct Group(Child);

impl Group {
    /// Returns the exit status of the command, which gets up to one second to exit.
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
        // SAFETY: passes two numbers and no pointer. The process group is that of our own child. If
        // the group is already gone, the call returns an error that does not matter.
        unsafe {
            libc::kill(-leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SIGTERM lets the command stop its camera in order; SIGKILL ends whatever is left.
        self.signal(libc::SIGTERM);
        let ended = self.wait(GRACE);
        self.signal(libc::SIGKILL);
        if let (false, Err(error)) = (matches!(ended, Ok(Some(_))), self.0.wait()) {
            log::warn!("cannot reap a command: {error}");
        }
    }
}

/// Logs what the command writes to standard error, and stores the last line in `last_words`.
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
            // Programs redraw a progress line with a carriage return.
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

/// Limits the log lines of a command, so that a talkative one cannot fill the journal.
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
                log::info!(
                    "exec: {} more lines dropped: at most {MAX_LINES} are logged in 10 s",
                    self.lines - MAX_LINES
                );
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
    fn frames_of_a_command_arrive_and_its_end_is_reported() {
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
    fn a_command_that_does_not_exist_is_a_wrong_setting() {
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
    fn dropping_the_source_ends_the_whole_process_group() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        // A child of the shell, in a pipeline, that ignores SIGTERM.
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
        // The child is reaped by the process that inherits it.
        soon(|| !is_alive(pid.trim()));
    }

    /// Waits until `happened` returns true, and panics if it takes too long. Used for what other
    /// processes do.
    fn soon(mut happened: impl FnMut() -> bool) {
        let deadline = Instant::now() + LONG;
        while !happened() {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether a process runs. A zombie counts as ended.
    fn is_alive(pid: &str) -> bool {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            !stat
                .rsplit_once(')')
                .is_some_and(|(_, rest)| rest.trim().starts_with('Z'))
        })
    }

    #[test]
    fn messages_hide_the_passwords_in_a_command() {
        let error = ExecSource::open("no-such-program rtsp://me:hunter2@camera/")
            .err()
            .unwrap();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let words = Mutex::default();
        LogLimit::default().log(b"opening rtsp://me:hunter2@camera/", &words);
        assert_eq!(*lock(&words), "opening rtsp://...@camera/");
    }
}
