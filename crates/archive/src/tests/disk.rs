//! A disk that fails when it is told to, and forgets what was not synced when its power is cut.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::disk::{Disk, DiskFile, RealDisk};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Full,
    ReadOnly,
    Broken,
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Full => io::ErrorKind::StorageFull.into(),
            Self::ReadOnly => io::ErrorKind::ReadOnlyFilesystem.into(),
            Self::Broken => io::Error::other("input/output error"),
        }
    }
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    /// Changes until the machine stops.
    left: Option<u64>,
    changes: u64,
    /// Bytes of each file that survive a power cut.
    synced: BTreeMap<PathBuf, u64>,
    /// Files whose names do not survive one.
    new_names: Vec<PathBuf>,
}

/// The real file system in a folder, with faults.
#[derive(Clone, Default)]
pub struct FaultyDisk(Arc<Mutex<State>>);

impl FaultyDisk {
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.0.lock().unwrap().fault = fault;
    }

    /// The machine stops with the change after so many.
    pub fn stop_after(&self, changes: u64) {
        self.0.lock().unwrap().left = Some(changes);
    }

    pub fn has_stopped(&self) -> bool {
        self.0.lock().unwrap().left == Some(0)
    }

    pub fn changes(&self) -> u64 {
        self.0.lock().unwrap().changes
    }

    fn change(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if let Some(fault) = state.fault {
            return Err(fault.error());
        }
        match &mut state.left {
            Some(0) => return Err(io::Error::other("the machine has stopped")),
            Some(left) => *left -= 1,
            None => {}
        }
        state.changes += 1;
        Ok(())
    }

    /// The power is cut: of what was not synced any part may be there, and any garbage.
    pub fn cut_power(&self, random: &mut fastrand::Rng) {
        let mut state = self.0.lock().unwrap();
        state.left = None;
        for path in std::mem::take(&mut state.new_names) {
            if random.bool() {
                let _ = std::fs::remove_file(&path);
                state.synced.remove(&path);
            }
        }
        for (path, synced) in std::mem::take(&mut state.synced) {
            let Ok(mut content) = std::fs::read(&path) else {
                continue;
            };
            let whole = usize::try_from(synced).unwrap().min(content.len());
            content.truncate(random.usize(whole..=content.len()));
            // Blocks that were allocated and never written.
            match random.u8(..3) {
                0 => {
                    for byte in &mut content[whole..] {
                        *byte = 0;
                    }
                }
                1 => {
                    for byte in &mut content[whole..] {
                        *byte = random.u8(..);
                    }
                }
                _ => {}
            }
            std::fs::write(&path, content).unwrap();
        }
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

impl DiskFile for FaultyFile {
    fn append(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        if let Err(err) = self.disk.change() {
            // A part of it has been written all the same.
            if let Some(first) = parts.first() {
                self.file.append(&[&first[..first.len() / 2]])?;
            }
            return Err(err);
        }
        self.file.append(parts)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.change()?;
        let length = std::fs::metadata(&self.path)?.len();
        let mut state = self.disk.0.lock().unwrap();
        state.synced.insert(self.path.clone(), length);
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.disk.change()?;
        self.file.cut(length)
    }
}

impl Disk for FaultyDisk {
    fn create_folders(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        self.change()?;
        RealDisk.create_folders(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.change()?;
        let file = RealDisk.create(path)?;
        let mut state = self.0.lock().unwrap();
        state.synced.insert(path.to_owned(), 0);
        state.new_names.push(path.to_owned());
        Ok(Box::new(FaultyFile {
            disk: self.clone(),
            path: path.to_owned(),
            file,
        }))
    }

    fn open_end(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.change()?;
        Ok(Box::new(FaultyFile {
            disk: self.clone(),
            path: path.to_owned(),
            file: RealDisk.open_end(path)?,
        }))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        let mut state = self.0.lock().unwrap();
        state.new_names.retain(|name| name.parent() != Some(path));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        RealDisk.rename(from, to)?;
        let mut state = self.0.lock().unwrap();
        if let Some(synced) = state.synced.remove(from) {
            state.synced.insert(to.to_owned(), synced);
        }
        state.new_names.retain(|name| name != from);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !path.exists() {
            return Ok(());
        }
        self.change()?;
        self.0.lock().unwrap().synced.remove(path);
        RealDisk.remove(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        RealDisk.remove_folder(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealDisk.read(path)
    }

    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        RealDisk.read_at(path, offset, length)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        RealDisk.length(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }

    fn identity(&self, path: &Path) -> io::Result<(u64, u64)> {
        RealDisk.identity(path)
    }
}
