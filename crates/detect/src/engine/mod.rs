//! The runtimes that execute a model, behind one small trait.
//!
//! Each engine is one module, which alone names its crate. A model reaches them only after
//! [`crate::model::Model::parse`] accepted it.
#![allow(unsafe_code)]

pub mod litert;
pub mod tflite;

use super::model::ElementType;

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

/// Values of an output tensor; not to be trusted.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum TensorRef<'a> {
    F32(&'a [f32]),
    U8(&'a [u8]),
    I8(&'a [i8]),
    I32(&'a [i32]),
    I64(&'a [i64]),
}

/// Values of the input tensor.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum TensorMut<'a> {
    F32(&'a mut [f32]),
    U8(&'a mut [u8]),
    I8(&'a mut [i8]),
}

impl<'a> TensorRef<'a> {
    /// Views a tensor's bytes as its type; `None` if that type is not read here or the bytes are
    /// not aligned for it.
    fn new(element: ElementType, bytes: &'a [u8]) -> Option<Self> {
        Some(match element {
            ElementType::F32 => Self::F32(cast(bytes)?),
            ElementType::U8 => Self::U8(bytes),
            ElementType::I8 => Self::I8(cast(bytes)?),
            ElementType::I32 => Self::I32(cast(bytes)?),
            ElementType::I64 => Self::I64(cast(bytes)?),
            _ => return None,
        })
    }
}

impl<'a> TensorMut<'a> {
    /// As [`TensorRef::new`].
    fn new(element: ElementType, bytes: &'a mut [u8]) -> Option<Self> {
        Some(match element {
            ElementType::F32 => Self::F32(cast_mut(bytes)?),
            ElementType::U8 => Self::U8(bytes),
            ElementType::I8 => Self::I8(cast_mut(bytes)?),
            _ => return None,
        })
    }
}

/// Numbers for which every pattern of bits is a value.
trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for i8 {}
impl Plain for i32 {}
impl Plain for i64 {}

fn cast<T: Plain>(bytes: &[u8]) -> Option<&[T]> {
    // SAFETY: `T` is `Plain`, so any bytes make valid values; `align_to` takes care of alignment.
    let (head, values, tail) = unsafe { bytes.align_to::<T>() };
    (head.is_empty() && tail.is_empty()).then_some(values)
}

fn cast_mut<T: Plain>(bytes: &mut [u8]) -> Option<&mut [T]> {
    // SAFETY: as in `cast`; and any value of `T` leaves valid bytes behind.
    let (head, values, tail) = unsafe { bytes.align_to_mut::<T>() };
    (head.is_empty() && tail.is_empty()).then_some(values)
}

/// How many threads `auto` means: one per core, at most four, beyond which SSDs gain little.
#[must_use]
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4))
}
