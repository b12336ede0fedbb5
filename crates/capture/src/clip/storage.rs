//! The bytes of a file: in memory if the file is small, otherwise read as they are needed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;

use crate::jpeg::MAX_PICTURE_LEN;

/// Storage of a file's bytes.
#[derive(Debug)]
pub enum Storage {
    /// The whole file in memory. Slices of it are handed out without a copy.
    Memory(Bytes),
    /// An open file and its length. Bytes are read when they are asked for.
    File(File, u64),
}

impl Storage {
    /// Opens `path`, and reads it into memory if it has at most `memory_limit` bytes.
    pub fn open(path: &Path, memory_limit: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        if len > memory_limit {
            return Ok(Self::File(file, len));
        }
        let whole = Self::File(file, len).read_up_to(0, len)?;
        Ok(Self::Memory(whole))
    }

    /// Number of bytes of the file.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, len) => *len,
        }
    }

    /// Returns `len` bytes from offset `at`, or fewer at the end of the file. Returns none if `len`
    /// exceeds the maximum length of a frame.
    pub fn read(&self, at: u64, len: u64) -> io::Result<Bytes> {
        if len > MAX_PICTURE_LEN as u64 {
            return Ok(Bytes::new());
        }
        self.read_up_to(at, len)
    }

    fn read_up_to(&self, at: u64, len: u64) -> io::Result<Bytes> {
        let begin = at.min(self.len());
        let end = at.saturating_add(len).min(self.len());
        let to_usize = |n| usize::try_from(n).map_err(|_| io::ErrorKind::FileTooLarge);
        match self {
            Self::Memory(bytes) => Ok(bytes.slice(to_usize(begin)?..to_usize(end)?)),
            Self::File(file, _) => {
                let mut bytes = vec![0; to_usize(end - begin)?];
                file.read_exact_at(&mut bytes, begin)?;
                Ok(bytes.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_storage_return_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        for limit in [0, 100] {
            let storage = Storage::open(&path, limit).unwrap();
            assert_eq!(matches!(storage, Storage::Memory(_)), limit > 0);
            assert_eq!(storage.len(), 10);
            assert_eq!(&storage.read(2, 3).unwrap()[..], b"234");
            assert_eq!(&storage.read(8, 9).unwrap()[..], b"89");
            assert_eq!(&storage.read(99, u64::MAX).unwrap()[..], b"");
        }
    }
}
