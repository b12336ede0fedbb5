//! Why a file is refused.

use super::flatbuffer::FlatbufferError;

/// Why a file is not a model that can be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// It does not carry the format's mark.
    #[error("not a TensorFlow Lite model: bytes 4 to 8 are not \"TFL3\"")]
    NotAModel,
    /// It cannot be followed.
    #[error("damaged model: {0}")]
    Damaged(#[from] FlatbufferError),
    /// It can be followed, but contradicts itself.
    #[error("damaged model: {0}")]
    Inconsistent(String),
    /// It uses something that no runtime here is given.
    #[error("unsupported model: {0}")]
    Unsupported(String),
}

/// A file that contradicts itself.
pub fn inconsistent(text: impl Into<String>) -> ModelError {
    ModelError::Inconsistent(text.into())
}
