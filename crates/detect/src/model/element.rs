//! Types of numbers in tensors.

use std::ops::RangeInclusive;

/// Type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ElementType {
    F32,
    F16,
    I32,
    U8,
    I64,
    Text,
    Bool,
    I16,
    I8,
    F64,
    U32,
    U16,
    I4,
}

impl ElementType {
    pub(super) fn from_code(code: i8) -> Option<Self> {
        Some(match code {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::I32,
            3 => Self::U8,
            4 => Self::I64,
            5 => Self::Text,
            6 => Self::Bool,
            7 => Self::I16,
            9 => Self::I8,
            10 => Self::F64,
            15 => Self::U32,
            16 => Self::U16,
            17 => Self::I4,
            _ => return None,
        })
    }

    /// Bytes that `count` elements take; `None` for texts, whose length varies, or if too many.
    #[must_use]
    pub fn bytes(self, count: usize) -> Option<usize> {
        match self {
            Self::Text => None,
            Self::I4 => Some(count.div_ceil(2)),
            Self::U8 | Self::I8 | Self::Bool => Some(count),
            Self::F16 | Self::I16 | Self::U16 => count.checked_mul(2),
            Self::F32 | Self::I32 | Self::U32 => count.checked_mul(4),
            Self::I64 | Self::F64 => count.checked_mul(8),
        }
    }

    /// Integers that may stand for 0.
    pub(super) fn zero_points(self) -> RangeInclusive<i64> {
        match self {
            Self::U8 => 0..=255,
            Self::I8 => -128..=127,
            Self::I4 => -8..=7,
            Self::U16 => 0..=0xffff,
            Self::I16 => -0x8000..=0x7fff,
            _ => i64::from(i32::MIN)..=i64::from(i32::MAX),
        }
    }

    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::I32 => "int32",
            Self::U8 => "uint8",
            Self::I64 => "int64",
            Self::Text => "string",
            Self::Bool => "bool",
            Self::I16 => "int16",
            Self::I8 => "int8",
            Self::F64 => "float64",
            Self::U32 => "uint32",
            Self::U16 => "uint16",
            Self::I4 => "int4",
        }
    }
}
