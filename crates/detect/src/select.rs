//! Which model and which engine: what the user says, or else the fastest pair on this machine.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::config::{DetectorConfig, EngineChoice};
use super::engine::{Engine, EngineError, HAS_TFLITE, default_threads, litert, open};
use super::error::DetectError;
use super::model::Model;
use super::trial::{self, Outcome, Trial};

/// Our models, the faster one first. The int8 one is shipped; `scripts/build-model --fp16` makes the other.
const MODELS: [&str; 2] = [
    "ssdlite_mobilenet_v2_coco_int8.tflite",
    "ssdlite_mobilenet_v2_coco_fp16.tflite",
];

/// Labels of our models.
const LABELS: &str = "ssdlite_mobilenet_v2_coco.labels.txt";

/// Where packages put models.
const MODEL_DIR: &str = "/usr/share/cv-agent/models";

/// Where packages put LiteRT.
const LIBRARY_DIR: &str = "/usr/lib/cv-agent";

/// TensorFlow Lite 1.15 has fast integer code for ARM only: elsewhere it takes the float model.
const TFLITE_PREFERS_FLOAT: bool = !cfg!(any(target_arch = "aarch64", target_arch = "arm"));

/// On x86 LiteRT is 10 times faster and more, so that there is nothing to measure.
const LITERT_IS_FASTER: bool = cfg!(target_arch = "x86_64");

/// A model file that was read and checked.
#[derive(Debug)]
pub struct ModelFile {
    /// Where it lies.
    pub path: PathBuf,
    /// All of it.
    pub bytes: Vec<u8>,
    /// What it says.
    pub model: Model,
}

impl ModelFile {
    /// Reads and checks a model.
    ///
    /// # Errors
    ///
    /// [`DetectError::Read`] or [`DetectError::Model`].
    pub fn read(path: &Path) -> Result<Self, DetectError> {
        let bytes = read(path)?;
        let model = Model::parse(&bytes).map_err(|source| DetectError::Model {
            file: path.into(),
            source,
        })?;
        Ok(Self {
            path: path.into(),
            bytes,
            model,
        })
    }

    /// File name without its ending.
    #[must_use]
    pub fn name(&self) -> String {
        let stem = self.path.file_stem().unwrap_or(self.path.as_os_str());
        stem.to_string_lossy().into_owned()
    }

    /// The labels that belong to one of our models and lie beside it.
    #[must_use]
    pub fn own_labels(&self) -> Option<PathBuf> {
        let name = self.path.file_name()?;
        MODELS
            .iter()
            .any(|ours| name == *ours)
            .then(|| self.path.with_file_name(LABELS))
    }
}

/// Reads a file that is at most 256 MiB large.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, DetectError> {
    const MAX_BYTES: u64 = 256 << 20;
    let read = || {
        let len = std::fs::metadata(path)?.len();
        if len > MAX_BYTES {
            return Err(std::io::Error::other(format!(
                "it has {len} bytes, expected at most {MAX_BYTES}"
            )));
        }
        std::fs::read(path)
    };
    read().map_err(|source| DetectError::Read {
        file: path.into(),
        source,
    })
}

/// A model in an engine, and why this one.
pub struct Selected {
    /// The model.
    pub file: ModelFile,
    /// Ready to run it.
    pub engine: Box<dyn Engine>,
    /// For the log.
    pub reason: String,
}

/// Loads what the user asked for, or the fastest pair that works.
///
/// # Errors
///
/// [`DetectError`] with every place and engine that was tried.
pub fn select(config: &DetectorConfig) -> Result<Selected, DetectError> {
    let library = find_litert(config.litert_lib.as_deref());
    if config.engine == EngineChoice::LiteRt
        && let Err(searched) = &library
    {
        return Err(DetectError::NoLiteRt(searched.clone()));
    }
    let engines = match config.engine {
        EngineChoice::TfLite if !HAS_TFLITE => return Err(DetectError::NoTfLite),
        EngineChoice::TfLite => vec![EngineChoice::TfLite],
        EngineChoice::Auto if HAS_TFLITE => vec![EngineChoice::LiteRt, EngineChoice::TfLite],
        EngineChoice::Auto | EngineChoice::LiteRt => vec![EngineChoice::LiteRt],
    };
    let threads = config.threads.unwrap_or_else(default_threads);
    // Our own models are known to run.
    let trial = config.model.is_some().then(|| {
        let named = config.trial.clone();
        named.or_else(trial::own_program)
    });
    let mut loader = Loader {
        library,
        threads,
        asked: config.engine != EngineChoice::Auto,
        trial: trial.flatten(),
        reasons: Vec::new(),
    };
    if let Some(path) = &config.model {
        let file = ModelFile::read(path)?;
        return match loader.fastest(&file, &engines) {
            Some((engine, reason)) => Ok(Selected {
                file,
                engine,
                reason,
            }),
            None => Err(DetectError::NoEngine {
                file: file.path,
                reasons: loader.reasons,
            }),
        };
    }
    let mut models = own_models(config)?;
    if engines == [EngineChoice::TfLite] && TFLITE_PREFERS_FLOAT {
        models.reverse();
    }
    // LiteRT with each model before TensorFlow Lite with each, where that is the order of speed.
    let rounds: Vec<Vec<EngineChoice>> = if LITERT_IS_FASTER {
        engines.iter().map(|&engine| vec![engine]).collect()
    } else {
        vec![engines]
    };
    for engines in rounds {
        if engines == [EngineChoice::TfLite] && TFLITE_PREFERS_FLOAT {
            models.sort_by_key(|path| path.ends_with(MODELS[0]));
        }
        for path in &models {
            let file = ModelFile::read(path)?;
            if let Some((engine, reason)) = loader.fastest(&file, &engines) {
                return Ok(Selected {
                    file,
                    engine,
                    reason,
                });
            }
        }
    }
    Err(DetectError::NoEngine {
        file: models.into_iter().next().unwrap_or_default(),
        reasons: loader.reasons,
    })
}

/// Those of our models that are installed, at least one.
fn own_models(config: &DetectorConfig) -> Result<Vec<PathBuf>, DetectError> {
    let dirs = model_dirs(config.models_dir.as_deref());
    let models: Vec<PathBuf> = MODELS
        .iter()
        .filter_map(|name| {
            dirs.iter()
                .map(|dir| dir.join(name))
                .find(|path| path.is_file())
        })
        .collect();
    match models.is_empty() {
        true => Err(DetectError::NoModel(dirs)),
        false => Ok(models),
    }
}

/// The model that is shipped.
///
/// # Errors
///
/// [`DetectError::NoModel`] if it is not installed.
pub fn own_model(config: &DetectorConfig) -> Result<PathBuf, DetectError> {
    own_models(config).map(|models| models.into_iter().next().unwrap_or_default())
}

/// Loads models into engines and remembers what failed.
struct Loader {
    library: Result<PathBuf, Vec<PathBuf>>,
    threads: usize,
    /// Whether the user named the engine.
    asked: bool,
    /// Program that tries a model before it is loaded here.
    trial: Option<PathBuf>,
    reasons: Vec<String>,
}

impl Loader {
    fn load(&mut self, file: &ModelFile, engine: EngineChoice) -> Option<Box<dyn Engine>> {
        if let Err(reason) = self.attempt(file, engine) {
            self.failed(file, reason);
            return None;
        }
        let library = self.library.as_deref().ok();
        let loaded = open(engine, library, &file.bytes, &file.model, self.threads);
        match loaded {
            Ok(engine) => Some(engine),
            Err(err) => {
                self.failed(file, err.to_string());
                None
            }
        }
    }

    /// Remembers why an engine does not run a model; that LiteRT is missing is one reason for all.
    fn failed(&mut self, file: &ModelFile, reason: String) {
        log::debug!("{}: {reason}", file.path.display());
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// Tries the model in a process of its own, if that is wanted.
    fn attempt(&self, file: &ModelFile, engine: EngineChoice) -> Result<(), String> {
        let unruled = &file.model.unruled;
        let library = self.library.as_deref();
        let Some(program) = &self.trial else {
            return match unruled.as_slice() {
                [] => Ok(()),
                _ => Err(untried(unruled, "only the agent's own program can try")),
            };
        };
        if engine == EngineChoice::LiteRt && library.is_err() {
            // Loading says so.
            return Ok(());
        }
        let trial = Trial {
            program,
            engine,
            library: library.ok(),
            threads: self.threads,
            file: &file.bytes,
        };
        match trial.run() {
            Ok(Outcome::Works { .. }) => {
                if !unruled.is_empty() {
                    log::info!(
                        "No rule for {}; the engine ran the model in a process of its own",
                        unruled.join(", ")
                    );
                }
                Ok(())
            }
            Ok(Outcome::Fails(reason)) if engine == EngineChoice::LiteRt => {
                Err(format!("LiteRT {reason}"))
            }
            Ok(Outcome::Fails(reason)) => Err(format!("tflite {reason}")),
            Err(err) if !unruled.is_empty() => Err(untried(unruled, &err.to_string())),
            Err(err) => {
                log::warn!("Cannot try the model in a process of its own: {err}");
                Ok(())
            }
        }
    }

    /// The fastest of `engines` that runs the model, and why it is.
    fn fastest(
        &mut self,
        file: &ModelFile,
        engines: &[EngineChoice],
    ) -> Option<(Box<dyn Engine>, String)> {
        let mut loaded: Vec<Box<dyn Engine>> = Vec::new();
        for &engine in engines {
            loaded.extend(self.load(file, engine));
            if LITERT_IS_FASTER && !loaded.is_empty() {
                break;
            }
        }
        if loaded.len() < 2 {
            let engine = loaded.pop()?;
            let reason = if self.asked {
                "asked for".to_owned()
            } else if LITERT_IS_FASTER && engine.name() == litert::NAME {
                "the fastest on this kind of processor".to_owned()
            } else {
                self.reasons.join("; ")
            };
            return Some((engine, reason));
        }
        let mut timed: Vec<(Duration, Box<dyn Engine>)> = loaded
            .into_iter()
            .filter_map(|mut engine| Some((time(engine.as_mut()).ok()?, engine)))
            .collect();
        timed.sort_by_key(|(time, _)| *time);
        let reason = timed
            .iter()
            .map(|(time, engine)| {
                format!("{} takes {:.1} ms", engine.name(), time.as_secs_f32() * 1e3)
            })
            .collect::<Vec<_>>()
            .join(", ");
        let (_, engine) = timed.into_iter().next()?;
        Some((engine, reason))
    }
}

/// Why a model is refused that could harm us and was not tried.
fn untried(unruled: &[String], reason: &str) -> String {
    format!(
        "there is no rule for {}, so the model has to run in a process of its own first: {reason}",
        unruled.join(", ")
    )
}

/// Time of one inference, after one to warm up.
fn time(engine: &mut dyn Engine) -> Result<Duration, EngineError> {
    engine.invoke()?;
    let start = Instant::now();
    engine.invoke()?;
    Ok(start.elapsed())
}

/// Where our models may lie: as the user says, or beside the program and above it (as in a source
/// tree), or where packages put them.
fn model_dirs(named: Option<&Path>) -> Vec<PathBuf> {
    if let Some(dir) = named {
        return vec![dir.into()];
    }
    let program = std::env::current_exe().unwrap_or_default();
    program
        .ancestors()
        .skip(1)
        .take(3)
        .map(|dir| dir.join("models"))
        .chain([MODEL_DIR.into()])
        .collect()
}

/// LiteRT's library, or where it was looked for.
///
/// # Errors
///
/// The places, if it is in none of them.
pub fn find_litert(named: Option<&Path>) -> Result<PathBuf, Vec<PathBuf>> {
    let places = match named {
        Some(path) => vec![path.to_owned()],
        None => {
            let program = std::env::current_exe().unwrap_or_default();
            let cache = std::env::var_os("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
            [
                program.parent().map(|dir| dir.join(litert::LIBRARY)),
                Some(Path::new(LIBRARY_DIR).join(litert::LIBRARY)),
                cache.map(|cache| {
                    cache
                        .join("cv-agent/litert")
                        .join(std::env::consts::ARCH)
                        .join(litert::LIBRARY)
                }),
            ]
            .into_iter()
            .flatten()
            .collect()
        }
    };
    places
        .iter()
        .find(|path| path.is_file())
        .cloned()
        .ok_or(places)
}
