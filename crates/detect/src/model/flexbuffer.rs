//! Reads the options of custom operators: a FlexBuffers map of plain values.
//!
//! The runtimes read it without any checks, so nothing but a map that was read here whole reaches
//! them.

/// A plain value of a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Also for unsigned numbers and truth values.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
}

impl Value {
    /// As a number with a fraction.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// Types of FlexBuffers that are read here.
mod kind {
    pub const INT: u8 = 1;
    pub const UINT: u8 = 2;
    pub const FLOAT: u8 = 3;
    pub const INDIRECT_INT: u8 = 6;
    pub const INDIRECT_UINT: u8 = 7;
    pub const INDIRECT_FLOAT: u8 = 8;
    pub const MAP: u8 = 9;
    pub const BOOL: u8 = 26;
}

/// Most entries of a map.
const MAX_ENTRIES: usize = 64;

/// Reads a map of names and plain values; `None` if it is anything else or broken.
#[must_use]
pub fn read_map(bytes: &[u8]) -> Option<Vec<(&str, Value)>> {
    let reader = Reader { bytes };
    let width_at = bytes.len().checked_sub(1)?;
    let root_width = usize::from(*bytes.get(width_at)?);
    let type_at = width_at.checked_sub(1)?;
    let root_type = *bytes.get(type_at)?;
    if root_type >> 2 != kind::MAP || !matches!(root_width, 1 | 2 | 4 | 8) {
        return None;
    }
    let root_at = type_at.checked_sub(root_width)?;
    let values_at = reader.indirect(root_at, root_width)?;
    let width = 1_usize << (root_type & 3);

    let size = usize::try_from(reader.uint(values_at.checked_sub(width)?, width)?).ok()?;
    if size > MAX_ENTRIES {
        return None;
    }
    let keys_at = reader.indirect(values_at.checked_sub(3 * width)?, width)?;
    let keys_width =
        usize::try_from(reader.uint(values_at.checked_sub(2 * width)?, width)?).ok()?;
    if !matches!(keys_width, 1 | 2 | 4 | 8)
        || reader.uint(keys_at.checked_sub(keys_width)?, keys_width)? != size as u64
    {
        return None;
    }
    let types_at = values_at + size * width;
    (0..size)
        .map(|index| {
            let key = reader.text(reader.indirect(keys_at + index * keys_width, keys_width)?)?;
            let value_type = *bytes.get(types_at + index)?;
            let value = reader.value(values_at + index * width, width, value_type)?;
            Some((key, value))
        })
        .collect()
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn uint(&self, at: usize, width: usize) -> Option<u64> {
        let mut value = [0; 8];
        let bytes = self.bytes.get(at..at.checked_add(width)?)?;
        value.get_mut(..width)?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(value))
    }

    fn int(&self, at: usize, width: usize) -> Option<i64> {
        let unused = 64 - 8 * width as u32;
        Some((self.uint(at, width)? << unused) as i64 >> unused)
    }

    fn float(&self, at: usize, width: usize) -> Option<f64> {
        let bits = self.uint(at, width)?;
        match width {
            4 => Some(f64::from(f32::from_bits(bits as u32))),
            8 => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// Follows an offset, which points backwards.
    fn indirect(&self, at: usize, width: usize) -> Option<usize> {
        at.checked_sub(usize::try_from(self.uint(at, width)?).ok()?)
    }

    fn text(&self, at: usize) -> Option<&'a str> {
        let bytes = self.bytes.get(at..)?;
        let end = bytes.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(bytes.get(..end)?).ok()
    }

    fn value(&self, at: usize, width: usize, value_type: u8) -> Option<Value> {
        let inner = 1_usize << (value_type & 3);
        Some(match value_type >> 2 {
            kind::INT => Value::Int(self.int(at, width)?),
            kind::UINT | kind::BOOL => Value::Int(i64::try_from(self.uint(at, width)?).ok()?),
            kind::FLOAT => Value::Float(self.float(at, width)?),
            kind::INDIRECT_INT => Value::Int(self.int(self.indirect(at, width)?, inner)?),
            kind::INDIRECT_UINT => {
                Value::Int(i64::try_from(self.uint(self.indirect(at, width)?, inner)?).ok()?)
            }
            kind::INDIRECT_FLOAT => Value::Float(self.float(self.indirect(at, width)?, inner)?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"a": 300, "b": 1.5, "c": true}` as the FlexBuffers library writes it.
    #[rustfmt::skip]
    const MAP: [u8; 42] = [
        b'a', 0, b'b', 0, b'c', 0, // keys
        3, 7, 6, 5, // their number, and offsets back to them
        0, 0, 5, 0, 0, 0, 1, 0, 0, 0, // padding, offset to the keys and width of their offsets
        3, 0, 0, 0, 44, 1, 0, 0, 0, 0, 192, 63, 1, 0, 0, 0, // number of values, values
        6, 14, 106, // types
        15, 38, 1, // root: offset back to the values, type and width
    ];

    #[test]
    fn a_map_is_read_whole() {
        assert_eq!(
            read_map(&MAP).unwrap(),
            [
                ("a", Value::Int(300)),
                ("b", Value::Float(1.5)),
                ("c", Value::Int(1))
            ]
        );
    }

    #[test]
    fn damaged_maps_are_refused_or_read_within_bounds() {
        let bytes = MAP;
        for end in 0..bytes.len() {
            assert_eq!(read_map(&bytes[..end]), None, "cut at {end}");
        }
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut damaged = bytes;
                damaged[at] = value;
                let _ = read_map(&damaged);
            }
        }
    }
}
