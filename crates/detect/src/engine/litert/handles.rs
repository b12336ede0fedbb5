//! What belongs to LiteRT, and is given back to it.

use std::ptr;

use edgefirst_tflite_sys::litert as sys;

use super::library::Runtime;
use crate::model::ElementType;

/// The memory of one input or output.
#[derive(Clone, Copy)]
pub struct Buffer {
    pub handle: sys::TensorBuffer,
    pub element: ElementType,
    /// Bytes of the tensor, at most those of the buffer.
    pub bytes: usize,
}

/// What LiteRT made for a model; given back when it is dropped.
pub struct Handles {
    pub runtime: &'static Runtime,
    pub model: sys::Model,
    pub options: sys::Options,
    pub compiled: sys::CompiledModel,
    pub buffers: Vec<sys::TensorBuffer>,
}

impl Drop for Handles {
    fn drop(&mut self) {
        let call = &self.runtime.call;
        // SAFETY: each handle was created by this runtime, is given back once, and nothing that
        // uses it is left when its turn comes.
        unsafe {
            for &buffer in &self.buffers {
                (call.destroy_tensor_buffer)(buffer);
            }
            if !self.compiled.is_null() {
                (call.destroy_compiled_model)(self.compiled);
            }
            if !self.options.is_null() {
                (call.destroy_options)(self.options);
            }
            if !self.model.is_null() {
                (call.destroy_model)(self.model);
            }
        }
    }
}

impl Handles {
    /// Gives the options back, which nobody reads any more once the model is compiled.
    pub fn drop_options(&mut self) {
        if !self.options.is_null() {
            // SAFETY: the options were created by this runtime and are given back once.
            unsafe { (self.runtime.call.destroy_options)(self.options) };
            self.options = ptr::null_mut();
        }
    }
}
