//! Files packed at the end of a model as a zip archive: labels, mostly.

use std::borrow::Cow;

/// Largest file that is unpacked, in bytes.
const MAX_FILE: usize = 1 << 20;

/// Most files that are listed.
const MAX_FILES: usize = 100;

/// Longest comment behind an archive, by the format.
const MAX_COMMENT: usize = 0xffff;

/// Mark and size of the record at the end of an archive.
const END: (&[u8], usize) = (b"PK\x05\x06", 22);

/// Mark and size of an entry of the directory.
const ENTRY: (&[u8], usize) = (b"PK\x01\x02", 46);

/// Mark and size of the header before a file.
const LOCAL: (&[u8], usize) = (b"PK\x03\x04", 30);

/// A packed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed<'a> {
    /// Path inside the archive.
    pub name: &'a str,
    /// As packed.
    data: &'a [u8],
    /// 0: stored, 8: deflated.
    method: u16,
    /// Bytes when unpacked.
    pub size: usize,
}

/// Lists the files of an archive at the end of `bytes`; none if there is no archive or it is broken.
#[must_use]
pub fn list(bytes: &[u8]) -> Vec<Packed<'_>> {
    read(bytes).unwrap_or_default()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(usize::from(u16::from_le_bytes(field)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u32::from_le_bytes(field) as usize)
}

fn read(bytes: &[u8]) -> Option<Vec<Packed<'_>>> {
    let first = bytes.len().saturating_sub(END.1 + MAX_COMMENT);
    let tail = bytes.get(first..)?;
    let end = first + tail.windows(4).rposition(|mark| mark == END.0)?;
    let count = u16_at(bytes, end + 10)?;
    let size = u32_at(bytes, end + 12)?;
    let directory = end.checked_sub(size)?;
    // Offsets count from the start of the archive, which some writers take for that of the file.
    let start = directory.checked_sub(u32_at(bytes, end + 16)?)?;

    let mut files = Vec::new();
    let mut at = directory;
    for _ in 0..count.min(MAX_FILES) {
        if bytes.get(at..at + 4)? != ENTRY.0 {
            return None;
        }
        let name_len = u16_at(bytes, at + 28)?;
        let name_at = at + ENTRY.1;
        let packed_size = u32_at(bytes, at + 20)?;
        let header = start.checked_add(u32_at(bytes, at + 42)?)?;
        if bytes.get(header..header.checked_add(4)?)? != LOCAL.0 {
            return None;
        }
        let data = header + LOCAL.1 + u16_at(bytes, header + 26)? + u16_at(bytes, header + 28)?;
        files.push(Packed {
            name: std::str::from_utf8(bytes.get(name_at..name_at + name_len)?).ok()?,
            data: bytes.get(data..data.checked_add(packed_size)?)?,
            method: u16_at(bytes, at + 10)? as u16,
            size: u32_at(bytes, at + 24)?,
        });
        at = name_at + name_len + u16_at(bytes, at + 30)? + u16_at(bytes, at + 32)?;
    }
    Some(files)
}

impl<'a> Packed<'a> {
    /// Unpacks the file; `None` if it is too large, broken, or packed in another way.
    #[must_use]
    pub fn unpack(&self) -> Option<Cow<'a, [u8]>> {
        if self.size > MAX_FILE {
            return None;
        }
        let data = match self.method {
            0 => Cow::Borrowed(self.data),
            8 => miniz_oxide::inflate::decompress_to_vec_with_limit(self.data, self.size)
                .ok()?
                .into(),
            _ => return None,
        };
        (data.len() == self.size).then_some(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive with `a.txt` ("hello hello", stored) and `b.txt` ("hi hi hi hi hi hi", deflated).
    fn archive() -> Vec<u8> {
        let deflated = miniz_oxide::deflate::compress_to_vec(b"hi hi hi hi hi hi", 6);
        let files: [(&str, u8, &[u8], usize); 2] = [
            ("a.txt", 0, b"hello hello", 11),
            ("b.txt", 8, &deflated, 17),
        ];
        let (mut out, mut directory) = (b"something before it".to_vec(), Vec::new());
        let start = out.len();
        for (name, method, data, size) in files {
            let offset = out.len() - start;
            let mut middle = vec![20, 0, 0, 0, method, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            middle.extend((data.len() as u32).to_le_bytes());
            middle.extend((size as u32).to_le_bytes());
            middle.extend((name.len() as u16).to_le_bytes());
            middle.extend([0, 0]);
            out.extend(LOCAL.0);
            out.extend(&middle);
            out.extend(name.as_bytes());
            out.extend(data);
            directory.extend(ENTRY.0);
            directory.extend([20, 0]);
            directory.extend(&middle);
            directory.extend([0; 10]);
            directory.extend((offset as u32).to_le_bytes());
            directory.extend(name.as_bytes());
        }
        let offset = out.len() - start;
        out.extend(&directory);
        out.extend(END.0);
        out.extend([0, 0, 0, 0, 2, 0, 2, 0]);
        out.extend((directory.len() as u32).to_le_bytes());
        out.extend((offset as u32).to_le_bytes());
        out.extend([0, 0]);
        out
    }

    #[test]
    fn stored_and_deflated_files_are_unpacked() {
        let bytes = archive();
        let files = list(&bytes);
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].name, "a.txt");
        assert_eq!(files[0].unpack().unwrap(), &b"hello hello"[..]);
        assert_eq!(files[1].unpack().unwrap(), &b"hi hi hi hi hi hi"[..]);
    }

    #[test]
    fn damaged_archives_are_survived() {
        let bytes = archive();
        assert_eq!(list(b""), []);
        assert_eq!(list(b"no archive at all, but long enough to be one"), []);
        for end in 0..bytes.len() {
            assert!(list(&bytes[..end]).len() <= 2);
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 8, 0x7f, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                for file in list(&damaged) {
                    assert!(file.unpack().is_none_or(|data| data.len() == file.size));
                }
            }
        }
    }
}
