//! A loaded model: its inputs and outputs as memory, and the inference.

use std::path::Path;
use std::ptr;

use edgefirst_tflite_sys::litert::{self as sys, LiteRtFunctions};

use super::NAME;
use super::compile::{Compiled, check_names, compile};
use super::handles::Buffer;
use super::library::Runtime;
use super::status::check;
use crate::engine::interface::{Engine, EngineError, MAX_OUTPUTS};
use crate::engine::tensor::{TensorMut, TensorRef};
use crate::model::Model;

/// A model in LiteRT.
pub struct LiteRt {
    compiled: Compiled,
    threads: usize,
}

// SAFETY: the handles have no thread affinity, and `&mut self` is needed for whatever changes them.
unsafe impl Send for LiteRt {}

impl LiteRt {
    /// Loads a model that was read from `file` with the library at `library`.
    ///
    /// # Errors
    ///
    /// [`EngineError::Library`] if the library cannot be used, [`EngineError::Load`] if it refuses
    /// the model.
    pub fn load(
        library: &Path,
        file: &[u8],
        model: &Model,
        threads: usize,
    ) -> Result<Self, EngineError> {
        let runtime = Runtime::open(library)?;
        check_names(model).map_err(load_error)?;
        let compiled = compile(runtime, file.into(), model, threads).map_err(load_error)?;
        Ok(Self { compiled, threads })
    }
}

fn load_error(reason: impl Into<String>) -> EngineError {
    EngineError::Load {
        engine: NAME,
        reason: reason.into(),
    }
}

/// A buffer mapped into our memory; unmapped on drop.
struct Mapping<'a> {
    call: &'a LiteRtFunctions,
    buffer: Buffer,
    address: *mut u8,
}

impl<'a> Mapping<'a> {
    fn new(
        call: &'a LiteRtFunctions,
        buffer: Buffer,
        mode: sys::TensorBufferLockMode,
    ) -> Result<Self, EngineError> {
        let mut address = ptr::null_mut();
        // SAFETY: the buffer is live, the out-parameter is valid.
        let status = unsafe { (call.lock_tensor_buffer)(buffer.handle, &raw mut address, mode) };
        check(status, "LiteRtLockTensorBuffer").map_err(run_error)?;
        let mapping = Self {
            call,
            buffer,
            address: address.cast(),
        };
        if mapping.address.is_null() {
            return Err(run_error("LiteRtLockTensorBuffer gives no address"));
        }
        Ok(mapping)
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the lock gave the address of the whole buffer, of which `create_buffer` checked
        // that it holds the tensor; it stays there, unwritten, until the mapping is dropped.
        unsafe { std::slice::from_raw_parts(self.address, self.buffer.bytes) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; and a buffer is mapped once at a time, by `&mut self` methods.
        unsafe { std::slice::from_raw_parts_mut(self.address, self.buffer.bytes) }
    }
}

impl Drop for Mapping<'_> {
    fn drop(&mut self) {
        // SAFETY: the buffer was locked by `new` and is unlocked once.
        // Nothing can be done about a failure; the next lock reports it.
        let _ = unsafe { (self.call.unlock_tensor_buffer)(self.buffer.handle) };
    }
}

fn run_error(reason: impl Into<String>) -> EngineError {
    EngineError::Run {
        engine: NAME,
        reason: reason.into(),
    }
}

impl Engine for LiteRt {
    fn name(&self) -> &'static str {
        NAME
    }

    fn accelerator(&self) -> String {
        match self.threads {
            1 => "XNNPACK (1 thread)".into(),
            threads => format!("XNNPACK ({threads} threads)"),
        }
    }

    fn output_shapes(&self) -> &[Vec<usize>] {
        &self.compiled.output_shapes
    }

    fn write_input(&mut self, write: &mut dyn FnMut(TensorMut<'_>)) -> Result<(), EngineError> {
        let mode = sys::kLiteRtTensorBufferLockModeWrite;
        let mut mapping = Mapping::new(
            &self.compiled.handles.runtime.call,
            self.compiled.input,
            mode,
        )?;
        let element = self.compiled.input.element;
        let tensor = TensorMut::new(element, mapping.bytes_mut())
            .ok_or_else(|| run_error("the input tensor cannot be written"))?;
        write(tensor);
        Ok(())
    }

    fn invoke(&mut self) -> Result<(), EngineError> {
        // SAFETY: the compiled model and its buffers are live, none is mapped (mappings end within
        // the methods that make them), and there are as many as its signature has.
        let status = unsafe {
            (self.compiled.handles.runtime.call.run_compiled_model)(
                self.compiled.handles.compiled,
                0,
                1,
                &raw mut self.compiled.input.handle,
                self.compiled.output_handles.len(),
                self.compiled.output_handles.as_mut_ptr(),
            )
        };
        check(status, "LiteRtRunCompiledModel").map_err(run_error)
    }

    fn read_outputs(&mut self, read: &mut dyn FnMut(&[TensorRef<'_>])) -> Result<(), EngineError> {
        let mode = sys::kLiteRtTensorBufferLockModeRead;
        let mut mappings: [Option<Mapping<'_>>; MAX_OUTPUTS] = [const { None }; MAX_OUTPUTS];
        for (mapping, &buffer) in mappings.iter_mut().zip(&self.compiled.outputs) {
            *mapping = Some(Mapping::new(
                &self.compiled.handles.runtime.call,
                buffer,
                mode,
            )?);
        }
        let mut tensors = [TensorRef::U8(&[]); MAX_OUTPUTS];
        for (tensor, mapping) in tensors.iter_mut().zip(mappings.iter().flatten()) {
            *tensor = TensorRef::new(mapping.buffer.element, mapping.bytes())
                .ok_or_else(|| run_error("an output tensor cannot be read"))?;
        }
        read(
            tensors
                .get(..self.compiled.outputs.len())
                .unwrap_or_default(),
        );
        Ok(())
    }
}
