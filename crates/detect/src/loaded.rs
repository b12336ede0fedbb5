//! A model in an engine, and the way of a decoded picture through it.

use std::time::{Duration, Instant};

use cv_picture::Rgb;

use super::config::DetectorConfig;
use super::detection::Detection;
use super::engine::Engine;
use super::error::DetectError;
use super::input::{InputFormat, Resizer};
use super::label_file;
use super::labels::Labels;
use super::model::Metadata;
use super::output::{Facts, Layout, Limits, OutputInfo};
use super::select::{self, Selected};

/// What was loaded, for the start-up log and the text card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorInfo {
    /// File name of the model without its ending, or what a detector of its own calls it.
    pub model: String,
    /// `LiteRT`, `tflite`, or what a detector of its own calls it.
    pub engine: String,
    /// What the engine computes on, for example `XNNPACK (2 threads)`.
    pub accelerator: String,
    /// Number of classes; 0 if it is not known before they are seen.
    pub labels: usize,
}

/// Time that each stage of one detection took, and the picture's size.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes {
    /// Pixels in a row of the decoded picture.
    pub width: usize,
    /// Rows of the decoded picture.
    pub height: usize,
    /// JPEG to RGB.
    pub decode: Duration,
    /// RGB to the input tensor.
    pub resize: Duration,
    /// Inference.
    pub infer: Duration,
    /// Output tensors to objects.
    pub post_process: Duration,
}

/// A model with all the buffers it needs.
pub struct LoadedModel {
    resizer: Resizer,
    engine: Box<dyn Engine>,
    layout: Layout,
}

impl LoadedModel {
    /// Loads model and labels and allocates every buffer.
    ///
    /// # Errors
    ///
    /// [`DetectError`] that names the file and what was expected of it.
    pub fn load(config: &DetectorConfig) -> Result<(Self, DetectorInfo, Labels), DetectError> {
        let start = Instant::now();
        let Selected {
            file,
            engine,
            reason,
        } = select::select(config)?;
        let metadata = Metadata::read(&file.model, &file.bytes);
        let (labels, _) = label_file::load(config, &file, &metadata)?;
        let format = InputFormat::of(&file.model, metadata.normalization).map_err(|reason| {
            DetectError::Input {
                file: file.path.clone(),
                reason,
            }
        })?;
        let limits = limits(config, &labels)?;
        let outputs = OutputInfo::of(&file.model, &metadata, Some(engine.output_shapes()));
        let layout = Layout::understand(&Facts {
            model: &file.model,
            file: &file.bytes,
            outputs: &outputs,
            input: &format,
            labels: &labels,
            class_offset: config.class_offset,
            limits: &limits,
            max: config.max_objects,
        })
        .map_err(|source| DetectError::Layout {
            file: file.path.clone(),
            source,
        })?;
        let info = DetectorInfo {
            model: file.name(),
            engine: engine.name().to_owned(),
            accelerator: engine.accelerator(),
            labels: labels.named(),
        };
        log::info!("Loaded model: {} ({})", info.model, layout.description());
        log::info!("Engine: {} ({reason})", info.engine);
        log::info!("Accelerator: {}", info.accelerator);
        log::info!("Labels: {}", info.labels);
        log::debug!(
            "{} loaded in {} ms",
            file.path.display(),
            start.elapsed().as_millis()
        );
        let loaded = Self {
            resizer: Resizer::new(format),
            engine,
            layout,
        };
        Ok((loaded, info, labels))
    }

    /// Everything behind the decoder.
    ///
    /// # Errors
    ///
    /// [`DetectError::Engine`]; the model can be used on.
    pub fn search(
        &mut self,
        picture: Rgb<'_>,
        found: &mut Vec<Detection>,
    ) -> Result<StageTimes, DetectError> {
        let Self {
            resizer,
            engine,
            layout,
        } = self;
        // Grows on the first picture only.
        found.reserve(layout.capacity());
        let (width, height) = (picture.width, picture.height);
        let start = Instant::now();
        let mut picture = Some(picture);
        engine.write_input(&mut |tensor| {
            if let Some(picture) = picture.take() {
                resizer.resize(picture, tensor);
            }
        })?;
        let resized = Instant::now();
        engine.invoke()?;
        let inferred = Instant::now();
        engine.read_outputs(&mut |tensors| layout.read(tensors, found))?;
        Ok(StageTimes {
            width,
            height,
            decode: Duration::ZERO,
            resize: resized - start,
            infer: inferred - resized,
            post_process: inferred.elapsed(),
        })
    }
}

fn limits(config: &DetectorConfig, labels: &Labels) -> Result<Limits, DetectError> {
    let find = |label: &str| {
        labels.find(label).ok_or_else(|| DetectError::UnknownLabel {
            label: label.into(),
            known: labels.list(),
        })
    };
    let mut limits = Limits::new(config.min_score);
    for special in &config.label_scores {
        limits.set(find(&special.label)?, special.score);
    }
    for label in &config.labels_wanted {
        limits.want(find(label)?);
    }
    Ok(limits)
}
