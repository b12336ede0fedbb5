//! A bounds-checked reader of FlatBuffers, as far as `.tflite` files need it.
//!
//! The runtimes read a model without any checks, so whatever they follow is followed here first.
//! All positions are absolute, all numbers little-endian.

/// Why a file cannot be read as a FlatBuffer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlatbufferError {
    /// Something points outside of the file.
    #[error("{what} at byte {at} lies outside of the file ({len} bytes)")]
    Outside {
        /// What was to be read.
        what: &'static str,
        /// Where, as far as that can be said.
        at: usize,
        /// Size of the file.
        len: usize,
    },
    /// A number is stored where the format does not allow it.
    #[error("{what} at byte {at} is not aligned")]
    Unaligned {
        /// What was to be read.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// A text is not UTF-8 or not terminated.
    #[error("{what} at byte {at} is not a text")]
    NotText {
        /// What was to be read.
        what: &'static str,
        /// Where.
        at: usize,
    },
}

type Result<T> = std::result::Result<T, FlatbufferError>;

/// A table: optional fields, found through its vtable.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    bytes: &'a [u8],
    /// Name used in errors.
    what: &'static str,
    at: usize,
    vtable: usize,
    vtable_len: usize,
    len: usize,
}

/// A vector of plain values or of offsets.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a> {
    bytes: &'a [u8],
    /// Position of the first element.
    at: usize,
    /// Position behind the last.
    end: usize,
    /// Number of elements.
    pub len: usize,
}

fn read<const N: usize>(bytes: &[u8], what: &'static str, at: usize) -> Result<[u8; N]> {
    at.checked_add(N)
        .and_then(|end| bytes.get(at..end))
        .and_then(|slice| slice.try_into().ok())
        .ok_or(FlatbufferError::Outside {
            what,
            at,
            len: bytes.len(),
        })
}

fn read_u32(bytes: &[u8], what: &'static str, at: usize) -> Result<u32> {
    read(bytes, what, at).map(u32::from_le_bytes)
}

fn aligned(what: &'static str, at: usize, align: usize) -> Result<()> {
    if at.is_multiple_of(align) {
        Ok(())
    } else {
        Err(FlatbufferError::Unaligned { what, at })
    }
}

/// Follows the offset stored at `at`.
fn follow(bytes: &[u8], what: &'static str, at: usize) -> Result<usize> {
    aligned(what, at, 4)?;
    let offset = read_u32(bytes, what, at)? as usize;
    at.checked_add(offset)
        .filter(|&to| offset != 0 && to < bytes.len())
        .ok_or(FlatbufferError::Outside {
            what,
            at,
            len: bytes.len(),
        })
}

impl<'a> Table<'a> {
    /// The root table of a file.
    pub fn root(bytes: &'a [u8], what: &'static str) -> Result<Self> {
        Self::at(bytes, what, follow(bytes, what, 0)?)
    }

    fn at(bytes: &'a [u8], what: &'static str, at: usize) -> Result<Self> {
        aligned(what, at, 4)?;
        let outside = FlatbufferError::Outside {
            what,
            at,
            len: bytes.len(),
        };
        let back = i64::from(i32::from_le_bytes(read(bytes, what, at)?));
        let vtable = i64::try_from(at)
            .ok()
            .and_then(|at| usize::try_from(at - back).ok())
            .ok_or(outside.clone())?;
        aligned(what, vtable, 2)?;
        let vtable_len = usize::from(u16::from_le_bytes(read(bytes, what, vtable)?));
        let len = usize::from(u16::from_le_bytes(read(bytes, what, vtable + 2)?));
        if vtable_len < 4
            || !vtable_len.is_multiple_of(2)
            || vtable + vtable_len > bytes.len()
            || len < 4
            || at + len > bytes.len()
        {
            return Err(outside);
        }
        Ok(Self {
            bytes,
            what,
            at,
            vtable,
            vtable_len,
            len,
        })
    }

    /// Position of a field of `size` bytes, if it is there.
    fn field(&self, slot: usize, size: usize) -> Result<Option<usize>> {
        let entry = 4 + 2 * slot;
        if entry + 2 > self.vtable_len {
            return Ok(None);
        }
        let offset = usize::from(u16::from_le_bytes(read(
            self.bytes,
            self.what,
            self.vtable + entry,
        )?));
        if offset == 0 {
            return Ok(None);
        }
        let at = self.at + offset;
        if offset < 4 || offset + size > self.len {
            return Err(FlatbufferError::Outside {
                what: self.what,
                at,
                len: self.bytes.len(),
            });
        }
        aligned(self.what, at, size)?;
        Ok(Some(at))
    }

    fn scalar<const N: usize>(&self, slot: usize) -> Result<Option<[u8; N]>> {
        match self.field(slot, N)? {
            Some(at) => read(self.bytes, self.what, at).map(Some),
            None => Ok(None),
        }
    }

    /// A byte, or `default` if it is absent.
    pub fn u8(&self, slot: usize, default: u8) -> Result<u8> {
        Ok(self.scalar::<1>(slot)?.map_or(default, |[byte]| byte))
    }

    /// A signed byte, or `default` if it is absent.
    pub fn i8(&self, slot: usize, default: i8) -> Result<i8> {
        Ok(self.scalar(slot)?.map_or(default, i8::from_le_bytes))
    }

    /// A 32-bit number, or `default` if it is absent.
    pub fn u32(&self, slot: usize, default: u32) -> Result<u32> {
        Ok(self.scalar(slot)?.map_or(default, u32::from_le_bytes))
    }

    /// A signed 32-bit number, or `default` if it is absent.
    pub fn i32(&self, slot: usize, default: i32) -> Result<i32> {
        Ok(self.scalar(slot)?.map_or(default, i32::from_le_bytes))
    }

    /// A 64-bit number, or `default` if it is absent.
    pub fn u64(&self, slot: usize, default: u64) -> Result<u64> {
        Ok(self.scalar(slot)?.map_or(default, u64::from_le_bytes))
    }

    /// Another table, if it is there.
    pub fn table(&self, slot: usize, what: &'static str) -> Result<Option<Table<'a>>> {
        match self.field(slot, 4)? {
            Some(at) => Table::at(self.bytes, what, follow(self.bytes, what, at)?).map(Some),
            None => Ok(None),
        }
    }

    /// A vector whose elements have `size` bytes each, if it is there.
    pub fn vector(
        &self,
        slot: usize,
        size: usize,
        what: &'static str,
    ) -> Result<Option<Vector<'a>>> {
        match self.field(slot, 4)? {
            Some(at) => Vector::at(self.bytes, what, follow(self.bytes, what, at)?, size).map(Some),
            None => Ok(None),
        }
    }

    /// A text, if it is there.
    pub fn string(&self, slot: usize, what: &'static str) -> Result<Option<&'a str>> {
        let Some(at) = self.field(slot, 4)? else {
            return Ok(None);
        };
        let vector = Vector::at(self.bytes, what, follow(self.bytes, what, at)?, 1)?;
        let not_text = FlatbufferError::NotText {
            what,
            at: vector.at,
        };
        // The runtimes read it as a C string, which ends at the first 0.
        if self.bytes.get(vector.end) != Some(&0) || vector.bytes().contains(&0) {
            return Err(not_text);
        }
        std::str::from_utf8(vector.bytes())
            .map(Some)
            .map_err(|_| not_text)
    }

    /// The tables of a vector; none if it is absent.
    pub fn tables(
        &self,
        slot: usize,
        what: &'static str,
    ) -> Result<impl Iterator<Item = Result<Table<'a>>> + use<'a>> {
        let bytes = self.bytes;
        let offsets = self
            .vector(slot, 4, what)?
            .map_or(0..0, |vector| vector.at..vector.end);
        Ok(offsets
            .step_by(4)
            .map(move |at| Table::at(bytes, what, follow(bytes, what, at)?)))
    }

    /// The 32-bit numbers of a vector; none if it is absent.
    pub fn i32s(&self, slot: usize, what: &'static str) -> Result<Vec<i32>> {
        let vector = self.vector(slot, 4, what)?;
        Ok(vector.map_or_else(Vec::new, |vector| {
            let (words, _) = vector.bytes().as_chunks();
            words.iter().copied().map(i32::from_le_bytes).collect()
        }))
    }

    /// The floats of a vector; none if it is absent.
    pub fn f32s(&self, slot: usize, what: &'static str) -> Result<Vec<f32>> {
        let vector = self.vector(slot, 4, what)?;
        Ok(vector.map_or_else(Vec::new, |vector| {
            let (words, _) = vector.bytes().as_chunks();
            words.iter().copied().map(f32::from_le_bytes).collect()
        }))
    }

    /// The signed 64-bit numbers of a vector; none if it is absent.
    pub fn i64s(&self, slot: usize, what: &'static str) -> Result<Vec<i64>> {
        let vector = self.vector(slot, 8, what)?;
        Ok(vector.map_or_else(Vec::new, |vector| {
            let (words, _) = vector.bytes().as_chunks();
            words.iter().copied().map(i64::from_le_bytes).collect()
        }))
    }

    /// Checks a table of which only plain numbers will be read, whatever their number and size.
    ///
    /// # Errors
    ///
    /// If a field of eight bytes, the largest there is, would not lie in the file.
    pub fn check_numbers(&self) -> Result<()> {
        for slot in 0..(self.vtable_len - 4) / 2 {
            if let Some(at) = self.field(slot, 1)? {
                read::<8>(self.bytes, self.what, at)?;
            }
        }
        Ok(())
    }
}

impl<'a> Vector<'a> {
    fn at(bytes: &'a [u8], what: &'static str, at: usize, size: usize) -> Result<Self> {
        let len = read_u32(bytes, what, at)? as usize;
        let first = at + 4;
        aligned(what, at, 4)?;
        aligned(what, first, size.min(8))?;
        let end = len
            .checked_mul(size)
            .and_then(|size| size.checked_add(first));
        match end {
            Some(end) if end <= bytes.len() => Ok(Self {
                bytes,
                at: first,
                end,
                len,
            }),
            _ => Err(FlatbufferError::Outside {
                what,
                at,
                len: bytes.len(),
            }),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes.get(self.at..self.end).unwrap_or_default()
    }

    /// Position of the first element in the file.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }
}
