//! What a user may set about detection.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

/// Which runtime executes the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum EngineChoice {
    /// The fastest one that works here
    #[default]
    Auto,
    /// LiteRT, opened at run time if its library is there
    LiteRt,
    /// TensorFlow Lite 1.15, part of the program
    TfLite,
}

/// What searches the pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum DetectorChoice {
    /// A model in one of our engines.
    #[default]
    Model,
    /// A command that reads pictures and writes detections.
    Exec(String),
}

impl FromStr for DetectorChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "model" => Ok(Self::Model),
            Some(("exec", command)) if !command.trim().is_empty() => {
                Ok(Self::Exec(command.trim().to_owned()))
            }
            _ => Err(format!(
                "{text:?} is no detector; expected model or exec:COMMAND"
            )),
        }
    }
}

impl TryFrom<String> for DetectorChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A smallest score for one class, written `LABEL=SCORE`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct LabelScore {
    /// The class, as in the labels (letter case does not matter).
    pub label: String,
    /// Smallest score, 0 to 1.
    pub score: f32,
}

impl FromStr for LabelScore {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.rsplit_once('=')
            .and_then(|(label, score)| {
                let label = label.trim();
                (!label.is_empty()).then_some(())?;
                Some(Self {
                    label: label.to_owned(),
                    score: score_from_str(score.trim()).ok()?,
                })
            })
            .ok_or_else(|| {
                format!("{text:?} is not LABEL=SCORE with a score of 0 to 1, as in person=0.6")
            })
    }
}

impl TryFrom<String> for LabelScore {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Reads a score, 0 to 1.
///
/// # Errors
///
/// A sentence that names the text and what was expected.
pub fn score_from_str(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|score| (0.0..=1.0).contains(score))
        .ok_or_else(|| format!("{text:?} is not a score; expected a number from 0 to 1"))
}

/// Flags about detection; what is absent takes its default in [`DetectorConfig`].
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub struct DetectorArgs {
    /// What searches: model, or exec:COMMAND for a program of its own, as docs/detector-exec.md
    /// describes it [default: model]
    #[arg(long, value_name = "DETECTOR")]
    pub detector: Option<DetectorChoice>,
    /// Model to run (.tflite); default: the one shipped with the program
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Directory of the models that are shipped with the program
    #[arg(long, value_name = "DIR")]
    pub models_dir: Option<PathBuf>,
    /// Labels: one a line, `id name` lines, JSON or a label_map.pbtxt; default: those of the model
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Runtime that executes the model [default: auto]
    #[arg(long, value_enum)]
    pub engine: Option<EngineChoice>,
    /// LiteRT's library; default: libLiteRt.so beside the program, in /usr/lib/cv-agent or in the
    /// user's cache
    #[arg(long, value_name = "FILE")]
    pub litert_lib: Option<PathBuf>,
    /// Threads of the runtime, 1 to 64 [default: one per core, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub threads: Option<u8>,
    /// Smallest score that is reported, 0 to 1 [default: 0.5]
    #[arg(long, value_name = "SCORE", value_parser = score_from_str)]
    pub min_score: Option<f32>,
    /// Smallest scores of single classes, as in person=0.6,dog=0.3
    #[arg(long, value_name = "LABEL=SCORE", value_delimiter = ',')]
    pub label_scores: Vec<LabelScore>,
    /// Report these classes only, as in person,car
    #[arg(long, value_name = "LABEL", value_delimiter = ',')]
    pub labels_wanted: Vec<String>,
    /// Most objects reported for a picture, 1 to 1000 [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub max_objects: Option<u16>,
    /// Line of the labels that the model's class 0 has; worked out from the model unless given
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub class_offset: Option<i32>,
}

/// What a detector is to load, and what it is to report.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorConfig {
    /// A model, or a program of its own.
    pub detector: DetectorChoice,
    /// The `.tflite` file; `None` for the default model.
    pub model: Option<PathBuf>,
    /// Where our models lie; `None` to look in the usual places.
    pub models_dir: Option<PathBuf>,
    /// Labels; `None` for those that belong to the model.
    pub labels: Option<PathBuf>,
    /// Which runtime.
    pub engine: EngineChoice,
    /// LiteRT's library; `None` to look in the usual places.
    pub litert_lib: Option<PathBuf>,
    /// Threads of the runtime; `None` for one per core, at most four.
    pub threads: Option<usize>,
    /// Objects below this score are not reported, 0 to 1.
    pub min_score: f32,
    /// Instead of `min_score` for these classes.
    pub label_scores: Vec<LabelScore>,
    /// Report these classes only; empty for all.
    pub labels_wanted: Vec<String>,
    /// Most objects reported for a picture.
    pub max_objects: usize,
    /// Line of the labels that the model's class 0 has; `None` to work it out.
    pub class_offset: Option<i32>,
    /// Whether objects are followed from frame to frame, where frames follow each other.
    pub track: bool,
    /// The agent's program, which tries models that users bring in a process of its own; `None` for
    /// this one, if it is the agent. Without it, models are not tried.
    pub trial: Option<PathBuf>,
}

impl Default for DetectorConfig {
    fn default() -> Self {
        Self::from(DetectorArgs::default())
    }
}

impl From<DetectorArgs> for DetectorConfig {
    fn from(args: DetectorArgs) -> Self {
        Self {
            detector: args.detector.unwrap_or_default(),
            model: args.model,
            models_dir: args.models_dir,
            labels: args.labels,
            engine: args.engine.unwrap_or_default(),
            litert_lib: args.litert_lib,
            threads: args.threads.map(usize::from),
            min_score: args.min_score.unwrap_or(0.5),
            label_scores: args.label_scores,
            labels_wanted: args.labels_wanted,
            max_objects: args.max_objects.map_or(100, usize::from),
            class_offset: args.class_offset,
            track: true,
            trial: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detector_is_a_model_or_a_command() {
        assert_eq!("model".parse(), Ok(DetectorChoice::Model));
        let command = DetectorChoice::Exec("python3 see.py --url a:b".into());
        assert_eq!("exec: python3 see.py --url a:b".parse(), Ok(command));
        for text in ["", "exec", "exec:", "exec: ", "tpu:0"] {
            let message = text.parse::<DetectorChoice>().unwrap_err();
            assert!(
                message.contains("expected model or exec:COMMAND"),
                "{message}"
            );
        }
    }

    #[test]
    fn label_scores_are_read_from_the_last_equals_sign() {
        assert_eq!(
            "traffic light=0.25".parse(),
            Ok(LabelScore {
                label: "traffic light".into(),
                score: 0.25
            })
        );
        for text in ["person", "=0.5", "person=", "person=2", "person=NaN"] {
            assert!(text.parse::<LabelScore>().unwrap_err().contains(text));
        }
    }
}
