//! The process: two pipes with a thread at each, and what it says on standard error in the log.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::message::MAX_LINE;

/// Lines that wait to be looked at; beyond, the program waits.
const WAITING_LINES: usize = 4;

/// How long a program may take to end by itself once it is told to.
const GRACE: Duration = Duration::from_millis(500);

/// Lines of standard error that are logged in each ten seconds, and the bytes of each.
const LOGGED: (u32, u64) = (20, 500);

/// What came of waiting for a line.
#[derive(Debug)]
pub enum Heard {
    /// A whole line.
    Line(Vec<u8>),
    /// None yet.
    Nothing,
    /// There will be none any more, for this reason.
    Ended(String),
}

/// A running program.
pub struct Process {
    child: Child,
    to: Option<SyncSender<Vec<u8>>>,
    from: Receiver<io::Result<Vec<u8>>>,
}

impl Process {
    /// Starts a command in a shell.
    ///
    /// # Errors
    ///
    /// If no process or thread can be started.
    pub fn start(command: &str) -> io::Result<Self> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that what the shell starts can be ended too.
            .process_group(0)
            .spawn()?;
        let (to, pictures) = sync_channel(1);
        let (lines, from) = sync_channel(WAITING_LINES);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // Ends the process if a thread does not start.
        let process = Self {
            child,
            to: Some(to),
            from,
        };
        if let (Some(stdin), Some(stdout), Some(stderr)) = pipes {
            let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
                thread::Builder::new().name(name.into()).spawn(work)
            };
            spawn("exec-stdin", Box::new(move || write(stdin, &pictures)))?;
            spawn("exec-stdout", Box::new(move || read(stdout, &lines)))?;
            spawn("exec-stderr", Box::new(move || log_lines(stderr)))?;
        }
        Ok(process)
    }

    /// Hands a message over; `false` if the one before is still on its way.
    pub fn send(&self, message: Vec<u8>) -> bool {
        self.to
            .as_ref()
            .is_some_and(|to| to.try_send(message).is_ok())
    }

    /// Waits for the next line.
    pub fn hear(&mut self, timeout: Duration) -> Heard {
        match self.from.recv_timeout(timeout) {
            Ok(Ok(line)) => Heard::Line(line),
            Ok(Err(err)) => Heard::Ended(format!("its output cannot be read: {err}")),
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => Heard::Ended(match self.wait(GRACE) {
                Ok(Some(status)) => format!("it ended ({status})"),
                _ => "it closed its output".into(),
            }),
        }
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.child.try_wait()? {
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                status => return Ok(status),
            }
        }
    }

    #[allow(unsafe_code)]
    fn signal(&self, signal: i32) {
        let Ok(leader) = i32::try_from(self.child.id()) else {
            return;
        };
        // SAFETY: passes two numbers. The group is our child's own; a group that is gone already
        // is an error that does not matter.
        unsafe {
            libc::kill(-leader, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its input is what asks it to end; then whatever is left has to.
        self.to = None;
        self.signal(libc::SIGTERM);
        let ended = self.wait(GRACE);
        self.signal(libc::SIGKILL);
        if let (false, Err(error)) = (matches!(ended, Ok(Some(_))), self.child.wait()) {
            log::warn!("cannot reap a detector: {error}");
        }
    }
}

/// Writes messages until there are no more or nobody reads them.
fn write(mut stdin: ChildStdin, messages: &Receiver<Vec<u8>>) {
    while let Ok(message) = messages.recv() {
        if stdin
            .write_all(&message)
            .and_then(|()| stdin.flush())
            .is_err()
        {
            return;
        }
    }
}

/// Reads lines until the output ends, is too long or nobody looks at them.
fn read(stdout: ChildStdout, lines: &SyncSender<io::Result<Vec<u8>>>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut stdout).take(MAX_LINE as u64 + 1);
        let read = match limited.read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) if line.len() > MAX_LINE => Err(io::Error::other(format!(
                "a line has more than {MAX_LINE} bytes"
            ))),
            Ok(_) => Ok(line),
            Err(err) => Err(err),
        };
        let last = read.is_err();
        if lines.send(read).is_err() || last {
            return;
        }
    }
}

/// Logs what the program says on standard error, but not more than a person reads.
fn log_lines(stderr: ChildStderr) {
    let mut stderr = BufReader::new(stderr);
    let (most, length) = LOGGED;
    let (mut since, mut lines) = (Instant::now(), 0_u32);
    loop {
        let mut line = Vec::new();
        match (&mut stderr).take(length).read_until(b'\n', &mut line) {
            Ok(1..) => {}
            _ => return,
        }
        if since.elapsed() > Duration::from_secs(10) {
            if lines > most {
                log::info!("detector: {} more lines were left out", lines - most);
            }
            (since, lines) = (Instant::now(), 0);
        }
        lines = lines.saturating_add(1);
        let text = String::from_utf8_lossy(&line);
        if lines <= most && !text.trim().is_empty() {
            log::info!("detector: {}", text.trim());
        }
    }
}
