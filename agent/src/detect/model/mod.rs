//! Reads `.tflite` files: nothing else sees a model before it was checked here.

mod file;
mod flatbuffer;
mod validate;

pub use file::{ElementType, Model, ModelError, Quantization, Tensor};

/// Numbers of operators in the format's list.
#[allow(missing_docs)]
pub mod builtin {
    pub const CONCATENATION: i32 = 2;
    pub const DEQUANTIZE: i32 = 6;
    pub const LOGISTIC: i32 = 14;
    pub const RESHAPE: i32 = 22;
    pub const SOFTMAX: i32 = 25;
    pub const SQUEEZE: i32 = 43;
    pub const QUANTIZE: i32 = 114;
}
