//! What every engine offers, and how it fails.

use super::tensor::{TensorMut, TensorRef};

/// Most inputs and outputs of a model, together small enough to be handled on the stack.
pub const MAX_OUTPUTS: usize = 8;

/// Why an engine cannot load or run a model.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// LiteRT's library was not found or cannot be used.
    #[error("{0}")]
    Library(String),
    /// The runtime refuses the model.
    #[error("{engine} cannot load the model: {reason}")]
    Load {
        /// Name of the engine.
        engine: &'static str,
        /// What it said, or what is missing.
        reason: String,
    },
    /// Inference failed.
    #[error("{engine} failed: {reason}")]
    Run {
        /// Name of the engine.
        engine: &'static str,
        /// What it said.
        reason: String,
    },
}

/// A loaded model that can be run.
pub trait Engine: Send {
    /// `LiteRT` or `tflite`.
    fn name(&self) -> &'static str;

    /// What it computes on, for example `XNNPACK (2 threads)`.
    fn accelerator(&self) -> String;

    /// Shapes of the outputs as the runtime worked them out, in the model's order.
    fn output_shapes(&self) -> &[Vec<usize>];

    /// Lets `write` fill the input tensor in place.
    ///
    /// # Errors
    ///
    /// [`EngineError::Run`] if the tensor cannot be reached.
    fn write_input(&mut self, write: &mut dyn FnMut(TensorMut<'_>)) -> Result<(), EngineError>;

    /// Runs the model.
    ///
    /// # Errors
    ///
    /// [`EngineError::Run`].
    fn invoke(&mut self) -> Result<(), EngineError>;

    /// Lets `read` see the output tensors in place, in the model's order.
    ///
    /// # Errors
    ///
    /// [`EngineError::Run`] if a tensor cannot be reached.
    fn read_outputs(&mut self, read: &mut dyn FnMut(&[TensorRef<'_>])) -> Result<(), EngineError>;
}

/// How many threads `auto` means: one per core, at most four, beyond which SSDs gain little.
#[must_use]
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4))
}
