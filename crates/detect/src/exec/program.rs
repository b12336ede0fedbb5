//! A program that is watched, and started again when it fails.

use std::time::{Duration, Instant};

use cv_protocol::Timestamp;

use super::child::{Heard, Process};
use super::message::{Answer, Header, Hello, is_name};
use crate::config::DetectorConfig;
use crate::detection::Detection;
use crate::labels::Labels;

/// How long loading may take.
const READY: Duration = Duration::from_secs(60);

/// How long one picture may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Length of one wait, after which the caller is asked whether to go on.
const WAIT: Duration = Duration::from_millis(250);

/// Pause before a program that failed is started again: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Lines that belong to no picture, for each picture.
const MAX_STRAY_LINES: usize = 100;

/// A detector in a process of its own.
pub struct Program {
    command: String,
    process: Option<Process>,
    /// When it may be started again, and how long the next pause is.
    again: Instant,
    pause: Duration,
    min_score: f32,
    special: Vec<(String, f32)>,
    wanted: Vec<String>,
    max: usize,
}

impl Program {
    /// Starts a command and waits until it is ready.
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub fn start(command: &str, config: &DetectorConfig) -> Result<(Self, Hello), String> {
        let special = config.label_scores.iter();
        let mut program = Self {
            command: command.to_owned(),
            process: None,
            again: Instant::now(),
            pause: PAUSE.0,
            min_score: config.min_score,
            special: special
                .map(|special| (special.label.to_lowercase(), special.score))
                .collect(),
            wanted: config
                .labels_wanted
                .iter()
                .map(|label| label.to_lowercase())
                .collect(),
            max: config.max_objects,
        };
        let (process, hello) = program.launch(&mut || true)?;
        program.process = Some(process);
        Ok((program, hello))
    }

    fn launch(&self, go_on: &mut dyn FnMut() -> bool) -> Result<(Process, Hello), String> {
        let mut process = Process::start(&self.command).map_err(|err| err.to_string())?;
        let line = hear(&mut process, (Instant::now() + READY, READY), go_on)?;
        let hello = Hello::read(&line)?;
        Ok((process, hello))
    }

    /// Has one picture searched; `go_on` is asked every now and then whether to wait longer.
    ///
    /// Names that are new become labels.
    ///
    /// # Errors
    ///
    /// Why there is no answer. The program is started again by a later call.
    pub fn detect(
        &mut self,
        jpeg: Vec<u8>,
        (seq, captured_at): (u64, Timestamp),
        labels: &mut Labels,
        go_on: &mut dyn FnMut() -> bool,
        found: &mut Vec<Detection>,
    ) -> Result<(), String> {
        let mut process = match self.process.take() {
            Some(process) => process,
            None if Instant::now() < self.again => {
                return Err("it is not running and will be started again".into());
            }
            None => match self.launch(go_on) {
                Ok((process, _)) => {
                    log::info!("Detector `{}` runs again", self.command);
                    process
                }
                Err(reason) => return Err(self.failed(reason)),
            },
        };
        let header = Header {
            seq,
            captured_us: captured_at.0,
            bytes: jpeg.len(),
        };
        match ask(&mut process, header, &jpeg, go_on) {
            Ok(answer) => {
                self.process = Some(process);
                self.pause = PAUSE.0;
                self.take(answer, labels, found);
                Ok(())
            }
            Err(reason) => {
                // Before the pause begins: ending it may take a moment.
                drop(process);
                Err(self.failed(reason))
            }
        }
    }

    /// Remembers when to start again.
    fn failed(&mut self, reason: String) -> String {
        log::warn!(
            "Detector `{}`: {reason}; it is started again in {} s",
            self.command,
            self.pause.as_secs()
        );
        self.again = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE.1);
        reason
    }

    /// Objects that make sense and are wanted, the best first.
    fn take(&self, answer: Answer, labels: &mut Labels, found: &mut Vec<Detection>) {
        for object in answer.objects {
            let name = object.label.trim().to_lowercase();
            let special = self.special.iter().find(|(label, _)| *label == name);
            let least = special.map_or(self.min_score, |(_, score)| *score);
            let is_wanted = self.wanted.is_empty() || self.wanted.contains(&name);
            let bounding_box = object.bounding_box.map(|corner| corner.clamp(0.0, 1.0));
            let [ymin, xmin, ymax, xmax] = bounding_box;
            // False for what is no number.
            let makes_sense = (0.0..=1.0).contains(&object.score)
                && ymin < ymax
                && xmin < xmax
                && is_name(&object.label);
            if !makes_sense || !is_wanted || object.score < least {
                continue;
            }
            let Some(class) = labels.find_or_add(object.label.trim()) else {
                continue;
            };
            found.push(Detection {
                class,
                score: object.score,
                bounding_box,
                id: None,
            });
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(self.max);
    }
}

/// Sends a picture and waits for its answer.
fn ask(
    process: &mut Process,
    header: Header,
    jpeg: &[u8],
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Answer, String> {
    let mut message = serde_json::to_vec(&header).map_err(|err| err.to_string())?;
    message.push(b'\n');
    message.extend_from_slice(jpeg);
    if !process.send(message) {
        return Err("it does not read its input".into());
    }
    let deadline = Instant::now() + ANSWER;
    for _ in 0..MAX_STRAY_LINES {
        let line = hear(process, (deadline, ANSWER), go_on)?;
        let answer = Answer::read(&line)?;
        if answer.seq == header.seq {
            return Ok(answer);
        }
    }
    Err(format!(
        "it wrote {MAX_STRAY_LINES} lines that do not belong to picture {}",
        header.seq
    ))
}

/// The next line, if one comes before the deadline, which is so long after the question.
fn hear(
    process: &mut Process,
    (deadline, limit): (Instant, Duration),
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Vec<u8>, String> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match process.hear(left.min(WAIT)) {
            Heard::Line(line) => return Ok(line),
            Heard::Ended(reason) => return Err(reason),
            Heard::Nothing if !go_on() => return Err("we are stopping".into()),
            Heard::Nothing if left.is_zero() => {
                return Err(format!("it does not answer within {} s", limit.as_secs()));
            }
            Heard::Nothing => {}
        }
    }
}
