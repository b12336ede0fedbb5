//! Reads `.tflite` files: nothing else sees a model before it was checked here.

mod archive;
mod element;
mod file;
mod flatbuffer;
mod flexbuffer;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod metadata;
mod operators;
mod validate;

pub use element::ElementType;
pub use file::{Model, ModelError, Quantization, Tensor};
pub use metadata::{Metadata, packed_labels};
pub use operators::POST_PROCESS;

/// Numbers of operators in the format's list.
#[allow(missing_docs)]
pub mod builtin {
    pub const CONCATENATION: i32 = 2;
    pub const CONV_2D: i32 = 3;
    pub const DEPTHWISE_CONV_2D: i32 = 4;
    pub const DEQUANTIZE: i32 = 6;
    pub const FULLY_CONNECTED: i32 = 9;
    pub const LOGISTIC: i32 = 14;
    pub const RESHAPE: i32 = 22;
    pub const SOFTMAX: i32 = 25;
    pub const CUSTOM: i32 = 32;
    pub const SQUEEZE: i32 = 43;
    pub const TRANSPOSE_CONV: i32 = 67;
    pub const QUANTIZE: i32 = 114;
}
