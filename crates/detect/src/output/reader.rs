//! Numbers from tensors that are not to be trusted.

use crate::engine::TensorRef;
use crate::model::Quantization;

/// Reads real numbers from a tensor, quantised or not.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// As they are stored.
    pub values: TensorRef<'a>,
    scale: f32,
    zero_point: f32,
}

impl<'a> Reader<'a> {
    /// Integers without quantisation are taken as they are.
    #[must_use]
    pub fn new(values: TensorRef<'a>, quantization: Option<Quantization>) -> Self {
        let (scale, zero_point) = quantization.map_or((1.0, 0.0), |quantization| {
            (quantization.scale, quantization.zero_point as f32)
        });
        Self {
            values,
            scale,
            zero_point,
        }
    }

    /// What a stored integer stands for.
    #[must_use]
    pub fn real(&self, integer: f32) -> f32 {
        (integer - self.zero_point) * self.scale
    }

    /// The value at an index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<f32> {
        Some(match self.values {
            TensorRef::F32(values) => *values.get(index)?,
            TensorRef::U8(values) => self.real(f32::from(*values.get(index)?)),
            TensorRef::I8(values) => self.real(f32::from(*values.get(index)?)),
            TensorRef::I32(values) => self.real(*values.get(index)? as f32),
            TensorRef::I64(values) => self.real(*values.get(index)? as f32),
        })
    }

    /// Row `index` of a tensor with four columns.
    #[must_use]
    pub fn quad(&self, index: usize) -> Option<[f32; 4]> {
        let first = index.checked_mul(4)?;
        Some([
            self.get(first)?,
            self.get(first + 1)?,
            self.get(first + 2)?,
            self.get(first + 3)?,
        ])
    }
}

/// The class that a model's number means, in terms of the labels; `None` if it is none.
pub fn class_of(number: f32, offset: i32) -> Option<u32> {
    let number = number.round();
    // False for what is not a number.
    if !(0.0..1e6).contains(&number) {
        return None;
    }
    u32::try_from((number as i32).checked_add(offset)?).ok()
}
