//! The key that a relay has given this agent, kept in a file that nobody else can read.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::connection::Endpoint;

/// Longest key that is read.
const MAX_KEY_BYTES: usize = 256;

/// The key for one camera at one relay. A relay at another address never sees it.
pub struct KeyFile {
    path: Option<PathBuf>,
    key: Mutex<Option<String>>,
}

impl KeyFile {
    /// The key for `camera` at `endpoint`, kept in `folder`; without a folder it lasts as long as this
    /// process.
    #[must_use]
    pub fn open(folder: Option<&Path>, endpoint: &Endpoint, camera: &str) -> Self {
        let path = folder.map(|folder| folder.join(file_name(endpoint, camera)));
        let key = path.as_deref().and_then(|path| match read(path) {
            Ok(key) => Some(key),
            Err(err) if err.kind() == io::ErrorKind::NotFound => None,
            Err(err) => {
                log::warn!("Cannot read the relay's key in {}: {err}", path.display());
                None
            }
        });
        Self {
            path,
            key: Mutex::new(key),
        }
    }

    /// The key, if a relay has given one.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        let key = self.key.lock();
        key.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a new key. If it cannot be stored, it lasts as long as this process, and the log says so.
    pub async fn set(&self, key: String) {
        let copy = key.clone();
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        let Some(path) = self.path.clone() else {
            log::warn!(
                "There is no folder for the relay's key, so it has to accept this agent again after a restart; give one with --state-dir"
            );
            return;
        };
        let shown = path.display().to_string();
        let written = tokio::task::spawn_blocking(move || write(&path, &copy)).await;
        match written
            .map_err(io::Error::other)
            .and_then(|written| written)
        {
            Ok(()) => log::info!("The relay's key is kept in {shown}"),
            Err(err) => log::warn!(
                "Cannot keep the relay's key in {shown}, so it has to accept this agent again after a restart: {err}"
            ),
        }
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile")
            .field("path", &self.path)
            .field("key", &self.key().map(|_| "(hidden)"))
            .finish()
    }
}

/// Camera and relay, made fit for a file's name.
fn file_name(endpoint: &Endpoint, camera: &str) -> String {
    let fit = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => {
                    char::from(byte).to_string()
                }
                byte => format!("_{byte:02x}"),
            })
            .collect()
    };
    format!("{}@{}.key", fit(camera), fit(&endpoint.to_string()))
}

fn read(path: &Path) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    match text.trim() {
        key if (1..=MAX_KEY_BYTES).contains(&key.len()) => Ok(key.to_owned()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it is no key")),
    }
}

/// Replaces the file in one step, so that a power cut leaves the old key or the new one.
fn write(path: &Path, key: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    writeln!(file, "{key}")?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn a_key_is_private_survives_and_is_for_one_relay_and_camera() {
        let folder = std::env::temp_dir().join(format!("cv-uplink-keys-{}", std::process::id()));
        let relay = Endpoint::new("relay.example", 5001).unwrap();
        let open = |endpoint, camera| KeyFile::open(Some(&folder), endpoint, camera);
        let keys = open(&relay, "../Küche 2");
        assert_eq!(keys.key(), None);
        keys.set("cvk_one".into()).await;
        keys.set("cvk_secret".into()).await;
        assert_eq!(
            open(&relay, "../Küche 2").key().as_deref(),
            Some("cvk_secret")
        );
        assert_eq!(open(&relay, "front").key(), None);
        let other = Endpoint::new("other.example", 5001).unwrap();
        assert_eq!(open(&other, "../Küche 2").key(), None);
        let files: Vec<_> = fs::read_dir(&folder).unwrap().map(Result::unwrap).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let mode = files[0].metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert!(!format!("{keys:?}").contains("cvk_secret"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn without_a_folder_it_lasts_as_long_as_the_process() {
        let relay = Endpoint::new("relay.example", 5001).unwrap();
        let keys = KeyFile::open(None, &relay, "front");
        keys.set("cvk_secret".into()).await;
        assert_eq!(keys.key().as_deref(), Some("cvk_secret"));
        let nowhere = KeyFile::open(Some(Path::new("/proc/nowhere")), &relay, "front");
        nowhere.set("cvk_secret".into()).await;
        assert_eq!(nowhere.key().as_deref(), Some("cvk_secret"));
    }
}
