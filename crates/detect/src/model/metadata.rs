//! What a model's maker wrote about it: names and normalisation of its tensors, and its labels.
//!
//! This is TensorFlow Lite's model metadata, a FlatBuffer of its own in the buffer named
//! `TFLITE_METADATA`, and the files packed behind the model. All of it is optional and none of it
//! is needed to run a model, so whatever is broken counts as absent.

use std::borrow::Cow;

use super::archive;
use super::flatbuffer::{FlatbufferError, Table};
use super::graph::Model;

/// Name of the buffer.
const BUFFER: &str = "TFLITE_METADATA";

/// A process unit that normalises the input.
const NORMALIZATION: u8 = 1;

/// Kinds of packed files that hold labels: of an axis, of values.
const LABEL_KINDS: [i8; 2] = [2, 3];

/// What a model says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Name of the model.
    pub name: String,
    /// How pixels of each channel are normalised: what is subtracted, and what divides then.
    pub normalization: Option<[(f32, f32); 3]>,
    /// Names of the outputs, in the model's order; empty where there is none.
    pub outputs: Vec<String>,
    /// Names of the packed files that hold labels.
    pub label_files: Vec<String>,
}

impl Metadata {
    /// Reads the metadata of a model; the default if there is none.
    #[must_use]
    pub fn read(model: &Model, file: &[u8]) -> Self {
        let buffer = model
            .metadata
            .iter()
            .find(|(name, _)| name == BUFFER)
            .and_then(|(_, buffer)| file.get(model.buffers.get(*buffer)?.clone()));
        buffer
            .and_then(|bytes| Self::parse(bytes).ok())
            .unwrap_or_default()
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, FlatbufferError> {
        let root = Table::root(bytes, "metadata")?;
        let mut metadata = Self {
            name: text(&root, 0)?,
            ..Self::default()
        };
        let Some(graph) = root.tables(3, "graph metadata")?.next().transpose()? else {
            return Ok(metadata);
        };
        if let Some(input) = graph.tables(2, "input metadata")?.next().transpose()? {
            metadata.normalization = normalization(&input)?;
        }
        for output in graph.tables(3, "output metadata")? {
            let output = output?;
            metadata.outputs.push(text(&output, 0)?);
            for file in output.tables(6, "associated file")? {
                let file = file?;
                if LABEL_KINDS.contains(&file.i8(2, 0)?) {
                    metadata.label_files.push(text(&file, 0)?);
                }
            }
        }
        Ok(metadata)
    }
}

fn text(table: &Table<'_>, slot: usize) -> Result<String, FlatbufferError> {
    let text = table.string(slot, "metadata text")?;
    Ok(text.unwrap_or_default().to_owned())
}

fn normalization(input: &Table<'_>) -> Result<Option<[(f32, f32); 3]>, FlatbufferError> {
    for unit in input.tables(4, "process unit")? {
        let unit = unit?;
        if unit.u8(0, 0)? != NORMALIZATION {
            continue;
        }
        let Some(options) = unit.table(1, "normalization")? else {
            continue;
        };
        let (means, stds) = (options.f32s(0, "means")?, options.f32s(1, "deviations")?);
        // One for all channels, or one for each.
        let of = |values: &[f32], channel: usize| match values {
            [all] => Some(*all),
            each => each.get(channel).copied(),
        };
        let channel = |channel| {
            Some((of(&means, channel)?, of(&stds, channel)?))
                .filter(|(mean, std)| mean.is_finite() && std.is_finite() && *std != 0.0)
        };
        if let (Some(red), Some(green), Some(blue)) = (channel(0), channel(1), channel(2)) {
            return Ok(Some([red, green, blue]));
        }
    }
    Ok(None)
}

/// The labels packed behind a model, and the file's name there: the one that the metadata names, or
/// else the only text file.
#[must_use]
pub fn packed_labels<'a>(metadata: &Metadata, file: &'a [u8]) -> Option<(&'a str, Cow<'a, [u8]>)> {
    let files = archive::list(file);
    let named = files
        .iter()
        .find(|packed| metadata.label_files.iter().any(|name| name == packed.name));
    let mut texts = files.iter().filter(|packed| packed.name.ends_with(".txt"));
    let packed = named.or(match (texts.next(), texts.next()) {
        (Some(only), None) => Some(only),
        _ => files
            .iter()
            .find(|packed| packed.name.to_lowercase().contains("label")),
    })?;
    Some((packed.name, packed.unpack()?))
}
