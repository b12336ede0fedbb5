//! The operations on files that recording needs, so that tests can make each of them fail.

use std::fs;
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// A file that is being written at its end.
pub trait DiskFile: Send {
    /// Appends `parts`, all of them.
    ///
    /// # Errors
    ///
    /// The system's error; some of the bytes may have been written.
    fn append(&mut self, parts: &[&[u8]]) -> io::Result<()>;
    /// Returns once everything that was appended would survive a power cut.
    ///
    /// # Errors
    ///
    /// The system's error.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to `length` bytes.
    ///
    /// # Errors
    ///
    /// The system's error.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// What the archive asks of a file system. Paths are absolute or relative to the process.
pub trait Disk: Send + Sync + 'static {
    /// Makes a folder and those above it; each new one survives a power cut.
    ///
    /// # Errors
    ///
    /// The system's error, as for all methods of this trait.
    fn create_folders(&self, path: &Path) -> io::Result<()>;
    /// Creates a file that must not exist.
    ///
    /// # Errors
    ///
    /// The system's error.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file to append to it.
    ///
    /// # Errors
    ///
    /// The system's error.
    fn open_end(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Makes the names in a folder survive a power cut.
    ///
    /// # Errors
    ///
    /// The system's error.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, replacing what has that name.
    ///
    /// # Errors
    ///
    /// The system's error.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// The system's error.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder if it is empty.
    ///
    /// # Errors
    ///
    /// The system's error; also if it is not empty.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// The whole content of a small file.
    ///
    /// # Errors
    ///
    /// The system's error.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// `length` bytes at `offset`.
    ///
    /// # Errors
    ///
    /// The system's error; `UnexpectedEof` if the file is shorter.
    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>>;
    /// Length of a file in bytes.
    ///
    /// # Errors
    ///
    /// The system's error.
    fn length(&self, path: &Path) -> io::Result<u64>;
    /// Names in a folder, sorted; empty if it is not there or no folder.
    ///
    /// # Errors
    ///
    /// The system's error.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Bytes that this process may still write below `path`.
    ///
    /// # Errors
    ///
    /// The system's error.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Tells one file from another that later has the same name: device and file number.
    ///
    /// # Errors
    ///
    /// The system's error.
    fn identity(&self, path: &Path) -> io::Result<(u64, u64)>;
}

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

struct RealFile(fs::File);

impl DiskFile for RealFile {
    fn append(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut left = slices.as_mut_slice();
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match self.0.write_vectored(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}

impl Disk for RealDisk {
    fn create_folders(&self, path: &Path) -> io::Result<()> {
        let mut missing = Vec::new();
        let mut at = path;
        while !at.as_os_str().is_empty() && !at.is_dir() {
            missing.push(at.to_owned());
            at = at.parent().unwrap_or(Path::new(""));
        }
        for folder in missing.iter().rev() {
            match fs::create_dir(folder) {
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
            self.sync_folder(folder.parent().unwrap_or(Path::new("")))?;
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = fs::OpenOptions::new();
        let file = options.append(true).create_new(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open_end(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = fs::OpenOptions::new().append(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        fs::File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        fs::File::open(path)?.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(err)
                if matches!(
                    err.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(Vec::new());
            }
            Err(err) => return Err(err),
        };
        let mut names = Vec::new();
        for entry in entries {
            // Whatever the archive has written has a name in UTF-8.
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn identity(&self, path: &Path) -> io::Result<(u64, u64)> {
        let metadata = fs::metadata(path)?;
        Ok((metadata.dev(), metadata.ino()))
    }
}

/// Creates or replaces a small file so that either the old or the new content is there after a
/// power cut.
///
/// # Errors
///
/// The system's error.
pub(crate) fn replace_file(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    disk.remove(&temporary)?;
    let mut file = disk.create(&temporary)?;
    file.append(&[content])?;
    file.sync()?;
    drop(file);
    disk.rename(&temporary, path)?;
    disk.sync_folder(path.parent().unwrap_or(Path::new("")))
}
