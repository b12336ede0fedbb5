//! What is remembered of cameras when the program ends, because the numbers of device files may be
//! others after the next boot: a small JSON file in the folder that systemd keeps for the service.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::find::Fingerprint;

/// Cameras by the device that they were asked for as.
type Cameras = BTreeMap<PathBuf, Fingerprint>;

/// Remembers the camera behind one device.
#[derive(Clone, Debug)]
pub struct Memory {
    file: PathBuf,
}

impl Memory {
    /// Kept in `file`, which need not be there yet.
    #[must_use]
    pub fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// The camera that was last opened as `device`.
    pub fn recall(&self, device: &Path) -> Option<Fingerprint> {
        self.read().remove(device)
    }

    /// Keeps `camera` as the one that `device` means. Without a place to keep it, the number counts
    /// after the next boot.
    pub fn keep(&self, device: &Path, camera: &Fingerprint) {
        let mut cameras = self.read();
        if cameras.get(device) == Some(camera) {
            return;
        }
        cameras.insert(device.into(), camera.clone());
        if let Err(error) = self.write(&cameras) {
            log::warn!(
                "{}: cannot remember the camera for the next start: {error}",
                self.file.display()
            );
        }
    }

    /// A file that is not there, or was damaged by a power cut, remembers nothing.
    fn read(&self) -> Cameras {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn write(&self, cameras: &Cameras) -> io::Result<()> {
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = self.file.with_extension("new");
        fs::write(&new, serde_json::to_vec_pretty(cameras)?)?;
        fs::rename(&new, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::super::find::tests::fingerprint;
    use super::*;

    #[test]
    fn a_camera_is_remembered_by_what_it_was_asked_for_as() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new(folder.path().join("state/cameras.json"));
        let (zero, one) = (Path::new("/dev/video0"), Path::new("/dev/video1"));
        assert!(memory.recall(zero).is_none());
        let camera = fingerprint("HD Webcam", Some(Path::new("/dev/v4l/by-id/usb-HD")));
        memory.keep(zero, &camera);
        memory.keep(one, &fingerprint("another", None));
        assert_eq!(memory.recall(zero), Some(camera));
        fs::write(&memory.file, "{ \"/dev/video0\": ").unwrap();
        assert!(memory.recall(zero).is_none());
        memory.keep(zero, &fingerprint("a third", None));
        assert_eq!(memory.recall(zero), Some(fingerprint("a third", None)));
    }
}
