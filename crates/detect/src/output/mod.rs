//! From output tensors to detections: which tensor means what, and what is made of it.
//!
//! Values of a model's outputs are not to be trusted: they may be no numbers, counts may be huge
//! and classes out of range.

mod anchors;
mod layout;
mod nms;
mod postprocessed;
mod raw;

pub use layout::{Facts, Layout, LayoutError, OutputInfo};
pub use nms::iou;

use super::Detection;
use super::engine::TensorRef;
use super::model::Quantization;

/// Smallest score of each class.
#[derive(Clone, Debug)]
pub struct Limits {
    general: f32,
    /// By class; overrides `general`.
    special: Vec<Option<f32>>,
    /// Report only these, if there are any.
    wanted: Vec<u32>,
}

impl Limits {
    /// The same for all classes.
    #[must_use]
    pub fn new(min_score: f32) -> Self {
        Self {
            general: min_score,
            special: Vec::new(),
            wanted: Vec::new(),
        }
    }

    /// Sets the smallest score of one class.
    pub fn set(&mut self, class: u32, min_score: f32) {
        let class = class as usize;
        if class >= self.special.len() {
            self.special.resize(class + 1, None);
        }
        if let Some(slot) = self.special.get_mut(class) {
            *slot = Some(min_score);
        }
    }

    /// Adds a class to those that are reported alone.
    pub fn want(&mut self, class: u32) {
        self.wanted.push(class);
    }

    /// The smallest score of a class; above 1 if it is not reported.
    #[must_use]
    pub fn min_score(&self, class: u32) -> f32 {
        if !self.wanted.is_empty() && !self.wanted.contains(&class) {
            return f32::INFINITY;
        }
        let special = self.special.get(class as usize).copied().flatten();
        special.unwrap_or(self.general)
    }
}

/// Reads real numbers from a tensor, quantised or not.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    values: TensorRef<'a>,
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

    fn real(&self, integer: f32) -> f32 {
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
fn class_of(number: f32, offset: i32) -> Option<u32> {
    let number = number.round();
    // False for what is not a number.
    if !(0.0..1e6).contains(&number) {
        return None;
    }
    u32::try_from((number as i32).checked_add(offset)?).ok()
}

/// Cuts boxes to the picture and drops what lies outside.
fn cut(found: &mut Vec<Detection>) {
    found.retain_mut(|found| {
        for corner in &mut found.bounding_box {
            *corner = corner.clamp(0.0, 1.0);
        }
        let [ymin, xmin, ymax, xmax] = found.bounding_box;
        ymin < ymax && xmin < xmax
    });
}
