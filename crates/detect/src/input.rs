//! From RGB to the input tensor: one bilinear resize that writes the tensor's own type.
//!
//! The picture is stretched to the model's size without keeping its aspect ratio. Output pixel
//! `x` samples the source at `(x + 0.5) * source / target - 0.5`, clamped to the first and last
//! pixel; the two nearest pixels are weighted by distance, without any smoothing beyond them.
//! Weights are rounded to 1/256 between rows and 1/2048 between columns, which the processor's
//! 16-bit lanes allow; values are not rounded before the tensor's type is. This is what
//! `cv2.resize(..., INTER_LINEAR)` computes, but for its rounding to whole steps.

use super::engine::TensorMut;
use super::model::{ElementType, Model, Quantization, Tensor};
use cv_picture::Rgb;

/// Largest side of an input, in pixels.
const MAX_SIDE: usize = 4096;

/// What the input tensor of an image model looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputFormat {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// float32, uint8 or int8.
    pub element: ElementType,
    /// For red, green and blue: the tensor's value is `pixel * scale + offset`, with a pixel of 0
    /// to 255.
    pub channels: [Linear; 3],
}

/// A linear function of a pixel's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    /// What the value is multiplied by.
    pub scale: f32,
    /// What is added then.
    pub offset: f32,
}

/// How nearly all SSD models were trained to see pixels: `(pixel - mean) / deviation`, -1 to 1.
const USUAL: (f32, f32) = (127.5, 127.5);

impl InputFormat {
    /// Understands a model's only input.
    ///
    /// A float input takes normalised pixels: by the mean and deviation of each channel if the model
    /// says so, else -1 to 1. An integer input takes the same in terms of its quantisation, if the
    /// model names a normalisation or the quantisation is that of -1 to 1; otherwise it takes the
    /// pixels themselves (less 128 if signed), as everybody feeds such models.
    ///
    /// # Errors
    ///
    /// What was found and what was expected.
    pub fn of(model: &Model, normalization: Option<[(f32, f32); 3]>) -> Result<Self, String> {
        let inputs: Vec<&Tensor> = model
            .inputs
            .iter()
            .filter_map(|&index| model.tensors.get(index))
            .collect();
        let &[tensor] = inputs.as_slice() else {
            return Err(format!("it has {} inputs, expected 1", inputs.len()));
        };
        let &[1, height, width, 3] = tensor.shape.as_slice() else {
            return Err(format!(
                "its input is {}, expected [1, height, width, 3]",
                tensor.describe()
            ));
        };
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(format!(
                "its input is {}, expected sides of 1 to {MAX_SIDE}",
                tensor.describe()
            ));
        }
        let raw_offset = match tensor.element {
            ElementType::F32 => None,
            ElementType::U8 => Some(0.0),
            ElementType::I8 => Some(-128.0),
            _ => {
                return Err(format!(
                    "its input is {}, expected float32, uint8 or int8",
                    tensor.describe()
                ));
            }
        };
        let by_quantization = normalization.is_some()
            || tensor
                .quantization
                .is_some_and(|quantization| is_usual(tensor.element, quantization));
        let channel = |(mean, deviation): (f32, f32)| match (raw_offset, tensor.quantization) {
            (None, _) => Linear {
                scale: 1.0 / deviation,
                offset: -mean / deviation,
            },
            (Some(_), Some(Quantization { scale, zero_point })) if by_quantization => {
                let step = deviation * scale;
                Linear {
                    scale: 1.0 / step,
                    offset: zero_point as f32 - mean / step,
                }
            }
            (Some(offset), _) => Linear { scale: 1.0, offset },
        };
        let channels = normalization.unwrap_or([USUAL; 3]).map(channel);
        if !channels
            .iter()
            .all(|channel| channel.scale.is_normal() && channel.offset.is_finite())
        {
            return Err(format!(
                "its normalization ({normalization:?}) and quantization ({:?}) make no sense",
                tensor.quantization
            ));
        }
        Ok(Self {
            width,
            height,
            element: tensor.element,
            channels,
        })
    }
}

/// Whether a quantised input covers -1 to 1, to half a step.
fn is_usual(element: ElementType, quantization: Quantization) -> bool {
    let least = if element == ElementType::I8 { -128 } else { 0 };
    let Quantization { scale, zero_point } = quantization;
    let real = |integer: i32| scale * (integer - zero_point) as f32;
    let near = |real: f32, wanted: f32| (real - wanted).abs() < 0.51 * scale;
    near(real(least), -1.0) && near(real(least + 255), 1.0)
}

impl InputFormat {
    /// What becomes of a pixel, for people.
    #[must_use]
    pub fn describe(&self, named: bool) -> String {
        let Self {
            width,
            height,
            channels,
            ..
        } = self;
        let each = |value: fn(&Linear) -> f32| channels.iter().map(value).collect::<Vec<_>>();
        format!(
            "stretched to {width}x{height}, red, green and blue times {:?} plus {:?} ({})",
            each(|channel| channel.scale),
            each(|channel| channel.offset),
            if named {
                "as its metadata says"
            } else {
                "as usual"
            }
        )
    }
}

/// What a weight of 1 is between rows: 255 times this still fits 16 bits.
const ROW_ONE: u16 = 1 << 8;

/// What a weight of 1 is between columns.
const COLUMN_ONE: u32 = 1 << 11;

/// What a step of a pixel's value is after both.
const STEP: u32 = ROW_ONE as u32 * COLUMN_ONE;

/// Where an output pixel lies between two source pixels of a row.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Position of the left pixel's first value in a row.
    left: usize,
    /// Position of the right pixel's first value.
    right: usize,
    /// Weight of the right pixel, in [`COLUMN_ONE`]s.
    weight: u32,
}

/// Resizes pictures into an input tensor, with buffers that it keeps.
#[derive(Debug)]
pub struct Resizer {
    format: InputFormat,
    /// For each output column; made for `source_width`.
    columns: Vec<Sample>,
    /// Two source rows blended into one, in [`ROW_ONE`]s.
    row: Vec<u16>,
    /// Width of the source that the buffers fit.
    source_width: usize,
}

impl Resizer {
    /// A resizer for one kind of input.
    #[must_use]
    pub fn new(format: InputFormat) -> Self {
        Self {
            format,
            columns: Vec::new(),
            row: Vec::new(),
            source_width: 0,
        }
    }

    /// Fills the tensor, which has the format's type and size.
    ///
    /// A tensor of another type or size is left as it is: the engine was checked at load.
    pub fn resize(&mut self, picture: Rgb<'_>, tensor: TensorMut<'_>) {
        if picture.width != self.source_width {
            self.source_width = picture.width;
            self.row.resize(picture.width * 3, 0);
            let width = self.format.width;
            self.columns.clear();
            self.columns.extend((0..width).map(|x| {
                let (left, right, weight) = sample(x, picture.width, width);
                Sample {
                    left: left * 3,
                    right: right * 3,
                    weight: (weight * COLUMN_ONE as f32).round() as u32,
                }
            }));
        }
        let channels = self.format.channels;
        let real = channels.map(|channel| Linear {
            scale: channel.scale / STEP as f32,
            offset: channel.offset,
        });
        match tensor {
            TensorMut::F32(values) => {
                self.fill(picture, values, |value, c| real[c].at(value));
            }
            TensorMut::U8(values) => match fixed_offsets(channels) {
                // A cast saturates, and takes the place of rounding after adding a half.
                None => self.fill(picture, values, |value, c| (real[c].at(value) + 0.5) as u8),
                Some(offsets) => self.fill(picture, values, |value, c| {
                    ((value as i32 + offsets[c]) >> STEP.ilog2()).clamp(0, 255) as u8
                }),
            },
            TensorMut::I8(values) => match fixed_offsets(channels) {
                None => self.fill(picture, values, |value, c| {
                    ((real[c].at(value) + 128.5) as u8).wrapping_sub(128) as i8
                }),
                Some(offsets) => self.fill(picture, values, |value, c| {
                    ((value as i32 + offsets[c]) >> STEP.ilog2()).clamp(-128, 127) as i8
                }),
            },
        }
    }

    /// Hands each value of the resized picture to `convert`, in [`STEP`]s, with its channel.
    fn fill<T>(&mut self, picture: Rgb<'_>, values: &mut [T], convert: impl Fn(u32, usize) -> T) {
        let InputFormat { width, height, .. } = self.format;
        let stride = picture.width * 3;
        for (y, line) in values.chunks_exact_mut(width * 3).take(height).enumerate() {
            let (top, bottom, weight) = sample(y, picture.height, height);
            let source = |y: usize| picture.pixels.get(y * stride..(y + 1) * stride);
            let (Some(top), Some(bottom)) = (source(top), source(bottom)) else {
                return;
            };
            let below = (weight * f32::from(ROW_ONE)).round() as u16;
            let above = ROW_ONE - below;
            for ((value, &top), &bottom) in self.row.iter_mut().zip(top).zip(bottom) {
                *value = u16::from(top) * above + u16::from(bottom) * below;
            }
            for (pixel, sample) in line.as_chunks_mut::<3>().0.iter_mut().zip(&self.columns) {
                let at = |at: usize| self.row.get(at..at + 3).unwrap_or(&[0; 3]);
                let (left, right) = (at(sample.left), at(sample.right));
                let (near, far) = (COLUMN_ONE - sample.weight, sample.weight);
                for (channel, ((value, &left), &right)) in
                    pixel.iter_mut().zip(left).zip(right).enumerate()
                {
                    *value = convert(u32::from(left) * near + u32::from(right) * far, channel);
                }
            }
        }
    }
}

impl Linear {
    /// The function's value; the argument is below 2^31.
    fn at(self, value: u32) -> f32 {
        // Signed numbers convert faster.
        (value as i32) as f32 * self.scale + self.offset
    }
}

/// Offsets in [`STEP`]s, with a half to round, where pixels are not scaled; `None` where they are.
fn fixed_offsets(channels: [Linear; 3]) -> Option<[i32; 3]> {
    let plain = |channel: &Linear| channel.scale == 1.0 && channel.offset.abs() < 1000.0;
    let fixed = |channel: Linear| ((channel.offset + 0.5) * STEP as f32) as i32;
    channels.iter().all(plain).then(|| channels.map(fixed))
}

/// The two source pixels around output pixel `index`, and the weight of the second.
fn sample(index: usize, source: usize, target: usize) -> (usize, usize, f32) {
    let at = (index as f64 + 0.5) * source as f64 / target as f64 - 0.5;
    let at = at.clamp(0.0, (source - 1) as f64);
    let first = at as usize;
    (
        first,
        (first + 1).min(source - 1),
        (at - first as f64) as f32,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(width: usize, height: usize, element: ElementType) -> InputFormat {
        InputFormat {
            width,
            height,
            element,
            channels: [Linear {
                scale: 1.0,
                offset: 0.0,
            }; 3],
        }
    }

    #[test]
    fn same_size_is_a_copy() {
        let pixels: Vec<u8> = (0..4 * 2 * 3).map(|i| i * 7).collect();
        let picture = Rgb {
            pixels: &pixels,
            width: 4,
            height: 2,
        };
        let mut out = vec![0; pixels.len()];
        Resizer::new(format(4, 2, ElementType::U8)).resize(picture, TensorMut::U8(&mut out));
        assert_eq!(out, pixels);
    }

    #[test]
    fn samples_lie_at_the_centres_of_pixels() {
        // Two pixels to four: at -0.25 (clamped), 0.25, 0.75 and 1.25 (clamped).
        let pixels = [0, 0, 0, 100, 100, 100];
        let picture = Rgb {
            pixels: &pixels,
            width: 2,
            height: 1,
        };
        let mut out = vec![0.0; 12];
        Resizer::new(format(4, 1, ElementType::F32)).resize(picture, TensorMut::F32(&mut out));
        let firsts: Vec<f32> = out.iter().step_by(3).copied().collect();
        assert_eq!(firsts, [0.0, 25.0, 75.0, 100.0]);
    }

    #[test]
    fn signed_values_round_and_saturate() {
        let pixels = [0, 127, 255];
        let picture = Rgb {
            pixels: &pixels,
            width: 1,
            height: 1,
        };
        let mut out = [0_i8; 3];
        let mut wanted = format(1, 1, ElementType::I8);
        wanted.channels = [(1.0, -128.0); 3].map(|(scale, offset)| Linear { scale, offset });
        Resizer::new(wanted).resize(picture, TensorMut::I8(&mut out));
        assert_eq!(out, [-128, -1, 127]);
        wanted.channels = [(2.0, -200.0); 3].map(|(scale, offset)| Linear { scale, offset });
        Resizer::new(wanted).resize(picture, TensorMut::I8(&mut out));
        assert_eq!(out, [-128, 54, 127]);
    }

    #[test]
    fn a_resizer_follows_the_size_of_the_picture() {
        let mut resizer = Resizer::new(format(8, 8, ElementType::U8));
        for (width, height) in [(64, 48), (3, 5), (1, 1), (64, 47)] {
            let pixels = vec![77; width * height * 3];
            let picture = Rgb {
                pixels: &pixels,
                width,
                height,
            };
            let mut out = vec![0; 8 * 8 * 3];
            resizer.resize(picture, TensorMut::U8(&mut out));
            assert_eq!(out, vec![77; 8 * 8 * 3], "{width}x{height}");
        }
    }
}
