//! TensorFlow Lite 1.15, linked into the program; the only file that names the `tflite` crate.
//!
//! It has no delegates, knows operators only in the versions of its time, and wants every buffer
//! inline. All of the crate that is used here is safe.

use ::tflite::ops::builtin::BuiltinOpResolver;
use ::tflite::{FlatBufferModel, Interpreter, InterpreterBuilder, TensorIndex};

use super::interface::{Engine, EngineError, MAX_OUTPUTS};
use super::tensor::{TensorMut, TensorRef};
use crate::model::{ElementType, Model};

const NAME: &str = "tflite";

/// Newest operator that TensorFlow Lite 1.15 knows.
const LAST_BUILTIN: i32 = 121;

/// A model in TensorFlow Lite's interpreter.
pub struct TfLite {
    interpreter: Interpreter<'static, BuiltinOpResolver>,
    input: (TensorIndex, ElementType),
    outputs: Vec<(TensorIndex, ElementType)>,
    output_shapes: Vec<Vec<usize>>,
    threads: usize,
}

impl TfLite {
    /// Loads a model that was read from `file`.
    ///
    /// # Errors
    ///
    /// [`EngineError::Load`] if this runtime is too old for it or refuses it.
    pub fn load(file: &[u8], model: &Model, threads: usize) -> Result<Self, EngineError> {
        check(model).map_err(load_error)?;
        let refused = |err: ::tflite::Error| load_error(err.to_string());
        let flat = FlatBufferModel::build_from_buffer(file.to_vec()).map_err(refused)?;
        let builder =
            InterpreterBuilder::new(flat, BuiltinOpResolver::default()).map_err(refused)?;
        // `set_num_threads` would do as well, but prints to standard output.
        let count = i32::try_from(threads).unwrap_or(1);
        let interpreter = builder.build_with_threads(count).map_err(refused)?;
        let find = |tensors: &[TensorIndex], expected: &[usize], what: &str| {
            let found = tensors.iter().map(|&index| usize::try_from(index).ok());
            if !found.eq(expected.iter().map(|&index| Some(index))) {
                return Err(load_error(format!(
                    "its {what} are tensors {tensors:?}, expected {expected:?}"
                )));
            }
            Ok(tensors
                .iter()
                .zip(expected)
                .filter_map(|(&index, &at)| Some((index, model.tensors.get(at)?.element)))
                .collect::<Vec<_>>())
        };
        let inputs = find(interpreter.inputs(), &model.inputs, "inputs")?;
        let outputs = find(interpreter.outputs(), &model.outputs, "outputs")?;
        let &[input] = inputs.as_slice() else {
            return Err(load_error(format!(
                "it has {} inputs, expected 1",
                inputs.len()
            )));
        };
        let output_shapes = outputs
            .iter()
            .map(|&(index, _)| Some(interpreter.tensor_info(index)?.dims))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| load_error("an output is missing"))?;
        let expected = model
            .tensors
            .get(model.inputs.first().copied().unwrap_or_default())
            .and_then(|tensor| tensor.element.bytes(tensor.count()));
        let actual = interpreter.tensor_buffer(input.0).map(<[u8]>::len);
        if actual != expected {
            return Err(load_error(format!(
                "its input takes {actual:?} bytes, expected {expected:?}"
            )));
        }
        Ok(Self {
            interpreter,
            input,
            outputs,
            output_shapes,
            threads,
        })
    }
}

/// Whether this runtime can read the model at all.
fn check(model: &Model) -> Result<(), String> {
    if model.offset_buffers {
        return Err("its buffers are stored by offset, which needs LiteRT".into());
    }
    for code in &model.codes {
        if code.builtin != i32::from(code.old_builtin) || code.builtin > LAST_BUILTIN {
            return Err(format!(
                "operator {} is newer than TensorFlow Lite 1.15, it needs LiteRT",
                code.name()
            ));
        }
    }
    Ok(())
}

fn load_error(reason: impl Into<String>) -> EngineError {
    EngineError::Load {
        engine: NAME,
        reason: reason.into(),
    }
}

fn run_error(reason: impl Into<String>) -> EngineError {
    EngineError::Run {
        engine: NAME,
        reason: reason.into(),
    }
}

impl Engine for TfLite {
    fn name(&self) -> &'static str {
        NAME
    }

    fn accelerator(&self) -> String {
        match self.threads {
            1 => "CPU (1 thread)".into(),
            threads => format!("CPU ({threads} threads)"),
        }
    }

    fn output_shapes(&self) -> &[Vec<usize>] {
        &self.output_shapes
    }

    fn write_input(&mut self, write: &mut dyn FnMut(TensorMut<'_>)) -> Result<(), EngineError> {
        let (index, element) = self.input;
        let tensor = self
            .interpreter
            .tensor_buffer_mut(index)
            .and_then(|bytes| TensorMut::new(element, bytes))
            .ok_or_else(|| run_error("the input tensor cannot be written"))?;
        write(tensor);
        Ok(())
    }

    fn invoke(&mut self) -> Result<(), EngineError> {
        self.interpreter
            .invoke()
            .map_err(|err| run_error(err.to_string()))
    }

    fn read_outputs(&mut self, read: &mut dyn FnMut(&[TensorRef<'_>])) -> Result<(), EngineError> {
        let mut tensors = [TensorRef::U8(&[]); MAX_OUTPUTS];
        for (slot, &(index, element)) in tensors.iter_mut().zip(&self.outputs) {
            *slot = self
                .interpreter
                .tensor_buffer(index)
                .and_then(|bytes| TensorRef::new(element, bytes))
                .ok_or_else(|| run_error("an output tensor cannot be read"))?;
        }
        read(tensors.get(..self.outputs.len()).unwrap_or_default());
        Ok(())
    }
}
