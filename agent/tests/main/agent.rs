//! Runs the agent's binary and waits for its log lines.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Timeout that is far longer than any step takes, even on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// A running agent. Dropping it kills the process.
pub struct Agent {
    child: Child,
    lines: Receiver<String>,
    /// Lines that the agent has logged so far, which a failed test prints.
    said: Vec<String>,
}

/// Returns a command that runs the agent's binary with `args` only, and with an empty environment.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cv-agent"));
    command
        .env_clear()
        .env("HOME", "/nonexistent")
        .args(args)
        .stdin(Stdio::null());
    command
}

impl Agent {
    pub fn start(args: &[&str]) -> Self {
        Self::spawn(command(args))
    }

    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Waits for a log line that contains `text`, and returns it.
    #[track_caller]
    pub fn says(&mut self, text: &str) -> String {
        let deadline = Instant::now() + SOON;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => self.said.push(line),
                Err(err) => panic!("{err}: the agent never logged {text:?}"),
            }
        }
    }

    /// Waits until the agent ends, and returns its exit status and everything it logged.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + SOON;
        while let Ok(line) = self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.said.push(line);
        }
        assert!(Instant::now() < deadline, "does not end: {:#?}", self.said);
        (self.child.wait().unwrap(), self.said.join("\n"))
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the resident memory of the agent in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.said.extend(self.lines.try_iter());
            eprintln!("The agent logged: {:#?}", self.said);
        }
        // The agent may already have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
