//! Tries a model in a process of its own before it is loaded in ours.
//!
//! Reading a model finds what is damaged or does not fit together, but the runtimes check little of
//! what an operator's numbers lead to. A model that a user brings is therefore loaded and run once
//! by a copy of this program: if that crashes, hangs or takes all memory, the model is refused with
//! the reason and we go on.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::config::EngineChoice;
use super::engine::{Engine, EngineError, TensorMut, open};
use super::model::Model;

/// How long loading and one inference may take: minutes would be useless, and the slowest board
/// with the largest model takes seconds.
const TIME: Duration = Duration::from_secs(60);

/// Most memory that the copy may address, in bytes.
const MEMORY: u64 = 8 << 30;

/// Longest answer that is read.
const MAX_ANSWER: u64 = 64 << 10;

/// How a trial went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The model runs.
    Works {
        /// Time to load it.
        load_ms: f32,
        /// Time of its second inference.
        infer_ms: f32,
    },
    /// The engine refuses it or does not survive it.
    Fails(String),
}

/// What is tried.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    /// Program to run, with the arguments `model --trial`.
    pub program: &'a Path,
    /// Which engine; not [`EngineChoice::Auto`].
    pub engine: EngineChoice,
    /// LiteRT's library.
    pub library: Option<&'a Path>,
    /// Threads of the engine.
    pub threads: usize,
    /// The model.
    pub file: &'a [u8],
}

/// This program, if it is one that can try models: the agent itself.
#[must_use]
pub fn own_program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let name = program.file_name()?.to_string_lossy().into_owned();
    name.starts_with("cv-agent").then_some(program)
}

impl Trial<'_> {
    /// Runs the trial in a process of its own.
    ///
    /// # Errors
    ///
    /// If no process can be started.
    pub fn run(&self) -> io::Result<Outcome> {
        let engine = match self.engine {
            EngineChoice::LiteRt => "litert",
            _ => "tflite",
        };
        let mut command = Command::new(self.program);
        command
            .args(["model", "-", "--trial", engine, "--threads"])
            .arg(self.threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some(library) = self.library {
            command.args([OsStr::new("--litert-lib"), library.as_os_str()]);
        }
        let mut child = command.spawn()?;
        let answer = self.talk(&mut child);
        // Ends one that hangs; one that ended already does not mind.
        let _ = child.kill();
        let status = child.wait()?;
        Ok(match answer {
            None => Outcome::Fails(format!("does not finish within {} s", TIME.as_secs())),
            Some(answer) => serde_json::from_slice(&answer).unwrap_or_else(|_| {
                Outcome::Fails(match status.signal() {
                    Some(signal) => format!("crashes (signal {signal})"),
                    None => format!("gives up ({status})"),
                })
            }),
        })
    }

    /// Sends the model and waits for the end of the answer; `None` if time runs out.
    fn talk(&self, child: &mut Child) -> Option<Vec<u8>> {
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (done, answered) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                if let Some(mut stdin) = stdin {
                    // If the copy is gone, its answer says so.
                    let _ = stdin.write_all(self.file);
                }
            });
            scope.spawn(move || {
                let mut answer = Vec::new();
                if let Some(stdout) = stdout {
                    let _ = stdout.take(MAX_ANSWER).read_to_end(&mut answer);
                }
                // Nobody listens any more if time ran out.
                let _ = done.send(answer);
            });
            let answer = answered.recv_timeout(TIME).ok();
            if answer.is_none() {
                // Lets both threads end.
                let _ = child.kill();
            }
            answer
        })
    }
}

/// What the copy does: loads the model from standard input, runs it and prints the `Outcome`.
///
/// # Errors
///
/// If the model cannot be read or the outcome not be written.
pub fn serve(engine: EngineChoice, library: Option<&Path>, threads: usize) -> io::Result<()> {
    limit_resources();
    let mut file = Vec::new();
    io::stdin().lock().read_to_end(&mut file)?;
    let outcome = try_here(engine, library, threads, &file).unwrap_or_else(Outcome::Fails);
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &outcome)?;
    out.flush()
}

fn try_here(
    engine: EngineChoice,
    library: Option<&Path>,
    threads: usize,
    file: &[u8],
) -> Result<Outcome, String> {
    let model = Model::parse(file).map_err(|err| err.to_string())?;
    let start = Instant::now();
    let failed = |err: EngineError| err.to_string();
    let mut engine = open(engine, library, file, &model, threads).map_err(failed)?;
    let load_ms = start.elapsed().as_secs_f32() * 1e3;
    // The first inference includes what is prepared only then. Values decide where an operator that
    // gathers reads, so there are several: dark, light, and everything between.
    for picture in [|_| 0, |_| 255, |index: usize| (index * 167 % 256) as u8] {
        write(engine.as_mut(), picture).map_err(failed)?;
        engine.invoke().map_err(failed)?;
    }
    let start = Instant::now();
    engine.invoke().map_err(failed)?;
    let infer_ms = start.elapsed().as_secs_f32() * 1e3;
    engine.read_outputs(&mut |_| {}).map_err(failed)?;
    Ok(Outcome::Works { load_ms, infer_ms })
}

/// Fills the input with the values, 0 to 255, that `picture` gives for each place.
fn write(engine: &mut dyn Engine, picture: fn(usize) -> u8) -> Result<(), EngineError> {
    engine.write_input(&mut |tensor| match tensor {
        TensorMut::F32(values) => fill(values, |at| f32::from(picture(at)) / 127.5 - 1.0),
        TensorMut::U8(values) => fill(values, picture),
        TensorMut::I8(values) => fill(values, |at| (i16::from(picture(at)) - 128) as i8),
    })
}

fn fill<T>(values: &mut [T], of: impl Fn(usize) -> T) {
    for (at, value) in values.iter_mut().enumerate() {
        *value = of(at);
    }
}

/// Bounds what a hostile model can take from the machine.
#[allow(unsafe_code)]
fn limit_resources() {
    let limit = |resource, value| {
        let limit = libc::rlimit {
            rlim_cur: value,
            rlim_max: value,
        };
        // SAFETY: the struct is valid for the call, which changes this process alone. A failure
        // leaves the limits as they were, which only a hostile model would notice.
        let _ = unsafe { libc::setrlimit(resource, &raw const limit) };
    };
    limit(libc::RLIMIT_CORE, 0);
    limit(libc::RLIMIT_AS, MEMORY);
}
