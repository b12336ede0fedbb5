//! The archive's folder: who may write, and what is removed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::disk::Disk;
use crate::error::ArchiveError;

/// Held by the one process that writes.
const LOCK_FILE: &str = "lock";

/// Makes this process the one that writes, for as long as the file is open.
pub(crate) fn lock(dir: &Path) -> Result<fs::File, ArchiveError> {
    let path = dir.join(LOCK_FILE);
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(ArchiveError::file("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(ArchiveError::InUse {
            path: dir.to_owned(),
        }),
        Err(fs::TryLockError::Error(err)) => Err(ArchiveError::file("lock", &path)(err)),
    }
}

/// Unlinks files below the archive's folder, and the folders that become empty.
pub(crate) fn remove_files(
    disk: &dyn Disk,
    root: &Path,
    files: &[String],
) -> Result<(), ArchiveError> {
    let mut folders = BTreeSet::new();
    for file in files {
        let path = root.join(file);
        disk.remove(&path)
            .map_err(ArchiveError::file("remove", &path))?;
        folders.extend(path.parent().map(Path::to_owned));
    }
    for hour in folders {
        // The names are gone for good before the note that they have to go.
        let _ = disk.sync_folder(&hour);
        // Fails while there is something in it.
        if disk.remove_folder(&hour).is_ok()
            && let Some(day) = hour.parent()
        {
            let _ = disk.remove_folder(day);
        }
    }
    Ok(())
}
