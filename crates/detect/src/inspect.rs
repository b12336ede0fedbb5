//! Says what a model is and how it would be used.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::config::{DetectorConfig, EngineChoice};
use super::engine::{HAS_TFLITE, default_threads};
use super::error::DetectError;
use super::input::InputFormat;
use super::label_file;
use super::labels::Labels;
use super::model::{Metadata, Model};
use super::output::{Facts, Layout, Limits, OutputInfo};
use super::select::{self, ModelFile};
use super::trial::{self, Outcome, Trial};

/// What was found in a model and how it is understood.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// Where it lies.
    pub file: PathBuf,
    /// Its size.
    pub bytes: usize,
    /// As its maker calls it; may be empty.
    pub name: String,
    /// Its inputs: name, type, shape, quantisation.
    pub input: Vec<String>,
    /// What becomes of pixels, if its input is an image.
    pub pixels: Option<String>,
    /// Its outputs: name, type, shape, quantisation.
    pub outputs: Vec<String>,
    /// Names and numbers of its operators, most frequent first.
    pub operators: Vec<String>,
    /// Operators without a rule, about which the engines' trial decides.
    pub unruled: Vec<String>,
    /// Where the labels come from and how many there are.
    pub labels: String,
    /// How its outputs are understood, if they are.
    pub layout: Option<String>,
    /// How each engine did with it.
    pub engines: BTreeMap<&'static str, String>,
}

/// Inspects the model that `config` names, or the one that is shipped, and says what keeps it from being used, if anything.
///
/// # Errors
///
/// [`DetectError`] if the file cannot be read at all.
pub fn inspect(config: &DetectorConfig) -> Result<(Inspection, Option<DetectError>), DetectError> {
    let path = match &config.model {
        Some(path) => path.clone(),
        None => select::own_model(config)?,
    };
    let file = ModelFile::read(&path)?;
    let model = &file.model;
    let metadata = Metadata::read(model, &file.bytes);
    let outputs = OutputInfo::of(model, &metadata, None);
    let mut inspection = Inspection {
        file: path.clone(),
        bytes: file.bytes.len(),
        name: match metadata.name.as_str() {
            "" => model.description.clone(),
            name => name.to_owned(),
        },
        input: tensors(model, &model.inputs),
        pixels: None,
        outputs: tensors(model, &model.outputs),
        operators: operators(model),
        unruled: model.unruled.clone(),
        labels: "none".into(),
        layout: None,
        engines: engines(config, &file),
    };
    let problem = understand(config, &file, &metadata, &outputs, &mut inspection).err();
    Ok((inspection, problem))
}

fn understand(
    config: &DetectorConfig,
    file: &ModelFile,
    metadata: &Metadata,
    outputs: &[OutputInfo],
    inspection: &mut Inspection,
) -> Result<(), DetectError> {
    let (labels, source) = label_file::load(config, file, metadata)?;
    if let Some(source) = source {
        inspection.labels = describe_labels(&labels, &source.display().to_string());
    }
    let input = InputFormat::of(&file.model, metadata.normalization).map_err(|reason| {
        DetectError::Input {
            file: file.path.clone(),
            reason,
        }
    })?;
    inspection.pixels = Some(input.describe(metadata.normalization.is_some()));
    let layout = Layout::understand(&Facts {
        model: &file.model,
        file: &file.bytes,
        outputs,
        input: &input,
        labels: &labels,
        class_offset: config.class_offset,
        limits: &Limits::new(config.min_score),
        max: config.max_objects,
    })
    .map_err(|source| DetectError::Layout {
        file: file.path.clone(),
        source,
    })?;
    inspection.layout = Some(layout.description().to_owned());
    Ok(())
}

fn describe_labels(labels: &Labels, source: &str) -> String {
    let list = labels.list();
    let start: String = list.chars().take(60).collect();
    let more = if start.len() < list.len() { "..." } else { "" };
    format!("{} in {source}: {start}{more}", labels.named())
}

fn tensors(model: &Model, indices: &[usize]) -> Vec<String> {
    let tensors = indices.iter().filter_map(|&index| model.tensors.get(index));
    tensors
        .map(|tensor| {
            let quantization = tensor.quantization.map_or(String::new(), |quantization| {
                format!(
                    ", {} * (value - {})",
                    quantization.scale, quantization.zero_point
                )
            });
            format!("{:?} {}{quantization}", tensor.name, tensor.describe())
        })
        .collect()
}

fn operators(model: &Model) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for operator in &model.operators {
        if let Some(code) = model.codes.get(operator.code) {
            *counts.entry(code.name()).or_default() += 1;
        }
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let named = counts.into_iter().map(|(name, count)| match count {
        1 => name,
        _ => format!("{count} {name}"),
    });
    named.collect()
}

/// Tries each engine in a process of its own.
fn engines(config: &DetectorConfig, file: &ModelFile) -> BTreeMap<&'static str, String> {
    let library = select::find_litert(config.litert_lib.as_deref());
    let mut engines = BTreeMap::new();
    for (name, engine) in [
        ("LiteRT", EngineChoice::LiteRt),
        ("tflite", EngineChoice::TfLite),
    ] {
        let outcome = match (&library, config.trial.clone().or_else(trial::own_program)) {
            (Err(searched), _) if engine == EngineChoice::LiteRt => {
                DetectError::NoLiteRt(searched.clone()).to_string()
            }
            _ if engine == EngineChoice::TfLite && !HAS_TFLITE => DetectError::NoTfLite.to_string(),
            (_, None) => "not tried: this is not the agent's own program".into(),
            (library, Some(program)) => {
                let trial = Trial {
                    program: &program,
                    engine,
                    library: library.as_deref().ok(),
                    threads: config.threads.unwrap_or_else(default_threads),
                    file: &file.bytes,
                };
                match trial.run() {
                    Ok(Outcome::Works { load_ms, infer_ms }) => {
                        let library = match (engine, library) {
                            (EngineChoice::LiteRt, Ok(library)) => {
                                format!(" ({})", library.display())
                            }
                            _ => String::new(),
                        };
                        format!("loads in {load_ms:.0} ms, takes {infer_ms:.1} ms{library}")
                    }
                    Ok(Outcome::Fails(reason)) => format!("does not run it: {reason}"),
                    Err(err) => format!("cannot be tried: {err}"),
                }
            }
        };
        engines.insert(name, outcome);
    }
    engines
}
