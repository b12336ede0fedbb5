//! What searches pictures: a model in one of our engines, or a program of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cv_picture::{Frame, Rgb, RgbDecoder, encode};
use cv_protocol::Timestamp;

use super::config::{DetectorChoice, DetectorConfig};
use super::detection::Detection;
use super::error::DetectError;
use super::exec::Program;
use super::labels::Labels;
use super::loaded::{DetectorInfo, LoadedModel, StageTimes};

/// Quality of pictures that are encoded for a program of its own, 1 to 100.
const QUALITY: u8 = 95;

/// Searches pictures for objects.
pub struct Detector {
    info: DetectorInfo,
    labels: Arc<Labels>,
    decoder: RgbDecoder,
    backend: Backend,
    /// Number of the next picture that brings none.
    number: u64,
}

enum Backend {
    Model(LoadedModel),
    Program(Program),
}

/// What the caller has to say while a frame is searched.
pub struct Asked<'a> {
    /// Looks at the decoded frame and says whether it is to be searched.
    pub look: Option<&'a mut dyn FnMut(Rgb<'_>) -> bool>,
    /// Whether to wait on for a detector that is slow; asked some times a second.
    pub go_on: &'a mut dyn FnMut() -> bool,
}

impl Detector {
    /// Loads what the settings name and allocates every buffer.
    ///
    /// # Errors
    ///
    /// [`DetectError`] that names the file or command and what was expected of it.
    pub fn load(config: &DetectorConfig) -> Result<Self, DetectError> {
        let (backend, info, labels) = match &config.detector {
            DetectorChoice::Model => {
                let (model, info, labels) = LoadedModel::load(config)?;
                (Backend::Model(model), info, labels)
            }
            DetectorChoice::Exec(command) => {
                let (program, hello) =
                    Program::start(command, config).map_err(|reason| DetectError::Program {
                        command: command.clone(),
                        reason,
                    })?;
                let info = DetectorInfo {
                    model: hello.model,
                    engine: hello.engine,
                    accelerator: hello.accelerator,
                    labels: 0,
                };
                log::info!("Detector: `{command}`");
                log::info!("Loaded model: {}", info.model);
                log::info!("Engine: {}", info.engine);
                log::info!("Accelerator: {}", info.accelerator);
                (Backend::Program(program), info, Labels::default())
            }
        };
        Ok(Self {
            info,
            labels: Arc::new(labels),
            decoder: RgbDecoder::new(),
            backend,
            number: 0,
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
        let still = (self.next_number(), Timestamp::now());
        let mut patient = || true;
        let asked = Asked {
            // So that the size is known.
            look: Some(&mut |_| true),
            go_on: &mut patient,
        };
        let times = self.search(jpeg, still, asked, found)?;
        Ok(times.unwrap_or_default())
    }

    /// Searches the frame of a camera, if the caller wants that once it has seen it; `None` if not.
    ///
    /// # Errors
    ///
    /// [`DetectError`]; the detector can be used on.
    pub fn detect_frame(
        &mut self,
        frame: Frame,
        asked: Asked<'_>,
        found: &mut Vec<Detection>,
    ) -> Result<Option<StageTimes>, DetectError> {
        self.search(frame.jpeg, (frame.seq, frame.captured_at), asked, found)
    }

    fn search(
        &mut self,
        jpeg: impl AsRef<[u8]>,
        picture: (u64, Timestamp),
        asked: Asked<'_>,
        found: &mut Vec<Detection>,
    ) -> Result<Option<StageTimes>, DetectError> {
        found.clear();
        let start = Instant::now();
        match &mut self.backend {
            Backend::Model(model) => {
                let picture = self.decoder.decode(jpeg.as_ref())?;
                // It may be a buffer of the camera, which is not to wait for the inference.
                drop(jpeg);
                let decode = start.elapsed();
                if !asked.look.is_none_or(|look| look(picture)) {
                    return Ok(None);
                }
                let times = model.search(picture, found)?;
                Ok(Some(StageTimes { decode, ..times }))
            }
            Backend::Program(program) => {
                let (mut width, mut height) = (0, 0);
                if let Some(look) = asked.look {
                    let decoded = self.decoder.decode(jpeg.as_ref())?;
                    (width, height) = (decoded.width, decoded.height);
                    if !look(decoded) {
                        return Ok(None);
                    }
                }
                let decode = start.elapsed();
                // As above: the copy goes to the program.
                let bytes = jpeg.as_ref().to_vec();
                drop(jpeg);
                let labels = Arc::make_mut(&mut self.labels);
                program
                    .detect(bytes, picture, labels, asked.go_on, found)
                    .map_err(DetectError::Away)?;
                Ok(Some(StageTimes {
                    width,
                    height,
                    decode,
                    infer: start.elapsed() - decode,
                    ..StageTimes::default()
                }))
            }
        }
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
        if let Backend::Model(model) = &mut self.backend {
            found.clear();
            return model.search(picture, found);
        }
        let Rgb {
            pixels,
            width,
            height,
        } = picture;
        let jpeg = encode(pixels, width, height, QUALITY)
            .map_err(|err| DetectError::Away(err.to_string()))?;
        Ok(StageTimes {
            decode: Duration::ZERO,
            ..self.detect(jpeg, found)?
        })
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }
}
