//! Values of tensors, viewed in place.

use crate::model::ElementType;

/// Values of an output tensor; not to be trusted.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum TensorRef<'a> {
    F32(&'a [f32]),
    U8(&'a [u8]),
    I8(&'a [i8]),
    I32(&'a [i32]),
    I64(&'a [i64]),
}

/// Values of the input tensor.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum TensorMut<'a> {
    F32(&'a mut [f32]),
    U8(&'a mut [u8]),
    I8(&'a mut [i8]),
}

impl<'a> TensorRef<'a> {
    /// Views a tensor's bytes as its type; `None` if that type is not read here or the bytes are
    /// not aligned for it.
    pub(super) fn new(element: ElementType, bytes: &'a [u8]) -> Option<Self> {
        Some(match element {
            ElementType::F32 => Self::F32(cast(bytes)?),
            ElementType::U8 => Self::U8(bytes),
            ElementType::I8 => Self::I8(cast(bytes)?),
            ElementType::I32 => Self::I32(cast(bytes)?),
            ElementType::I64 => Self::I64(cast(bytes)?),
            _ => return None,
        })
    }
}

impl<'a> TensorMut<'a> {
    /// As [`TensorRef::new`].
    pub(super) fn new(element: ElementType, bytes: &'a mut [u8]) -> Option<Self> {
        Some(match element {
            ElementType::F32 => Self::F32(cast_mut(bytes)?),
            ElementType::U8 => Self::U8(bytes),
            ElementType::I8 => Self::I8(cast_mut(bytes)?),
            _ => return None,
        })
    }
}

/// Numbers for which every pattern of bits is a value.
trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for i8 {}
impl Plain for i32 {}
impl Plain for i64 {}

fn cast<T: Plain>(bytes: &[u8]) -> Option<&[T]> {
    // SAFETY: `T` is `Plain`, so any bytes make valid values; `align_to` takes care of alignment.
    let (head, values, tail) = unsafe { bytes.align_to::<T>() };
    (head.is_empty() && tail.is_empty()).then_some(values)
}

fn cast_mut<T: Plain>(bytes: &mut [u8]) -> Option<&mut [T]> {
    // SAFETY: as in `cast`; and any value of `T` leaves valid bytes behind.
    let (head, values, tail) = unsafe { bytes.align_to_mut::<T>() };
    (head.is_empty() && tail.is_empty()).then_some(values)
}
