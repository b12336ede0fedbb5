//! A loaded model and the way of a picture through it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cv_picture::{Rgb, RgbDecoder};

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
    /// File name of the model without its ending.
    pub model: String,
    /// `LiteRT` or `tflite`.
    pub engine: &'static str,
    /// What the engine computes on, for example `XNNPACK (2 threads)`.
    pub accelerator: String,
    /// Number of classes.
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

/// A loaded model with all the buffers it needs.
pub struct Detector {
    info: DetectorInfo,
    labels: Arc<Labels>,
    decoder: RgbDecoder,
    resizer: Resizer,
    engine: Box<dyn Engine>,
    layout: Layout,
}

impl Detector {
    /// Loads model and labels and allocates every buffer.
    ///
    /// # Errors
    ///
    /// [`DetectError`] that names the file and what was expected of it.
    pub fn load(config: &DetectorConfig) -> Result<Self, DetectError> {
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
            engine: engine.name(),
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
        Ok(Self {
            info,
            labels: Arc::new(labels),
            decoder: RgbDecoder::new(),
            resizer: Resizer::new(format),
            engine,
            layout,
        })
    }

    /// What was loaded.
    #[must_use]
    pub fn info(&self) -> &DetectorInfo {
        &self.info
    }

    /// Names of the classes; a clone may be kept by whoever sends detections.
    #[must_use]
    pub fn labels(&self) -> &Arc<Labels> {
        &self.labels
    }

    /// Searches one JPEG picture; `found` is cleared and filled, highest score first.
    ///
    /// # Errors
    ///
    /// [`DetectError`]; the detector can be used on.
    pub fn detect(
        &mut self,
        jpeg: impl AsRef<[u8]>,
        found: &mut Vec<Detection>,
    ) -> Result<StageTimes, DetectError> {
        found.clear();
        let start = Instant::now();
        let picture = self.decoder.decode(jpeg.as_ref())?;
        // It may be a buffer of the camera, which is not to wait for the inference.
        drop(jpeg);
        let decoded = Instant::now();
        let times = search(
            &mut self.resizer,
            self.engine.as_mut(),
            &mut self.layout,
            picture,
            found,
        )?;
        Ok(StageTimes {
            decode: decoded - start,
            ..times
        })
    }

    /// Searches a picture that is decoded already; otherwise as [`Self::detect`].
    ///
    /// # Errors
    ///
    /// [`DetectError`]; the detector can be used on.
    pub fn detect_rgb(
        &mut self,
        picture: Rgb<'_>,
        found: &mut Vec<Detection>,
    ) -> Result<StageTimes, DetectError> {
        found.clear();
        search(
            &mut self.resizer,
            self.engine.as_mut(),
            &mut self.layout,
            picture,
            found,
        )
    }
}

/// Everything behind the decoder.
fn search(
    resizer: &mut Resizer,
    engine: &mut dyn Engine,
    layout: &mut Layout,
    picture: Rgb<'_>,
    found: &mut Vec<Detection>,
) -> Result<StageTimes, DetectError> {
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
