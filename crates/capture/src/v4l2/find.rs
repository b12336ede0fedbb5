//! Lists the cameras that are present, and finds the camera that was open before.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::sys::{self, Identity, Node};

/// Recognizes a camera after its device files have been numbered anew.
///
/// They do get new ones: a picture that is still on its way when the cable is pulled keeps the old
/// number in use until it is dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Path under `/dev/v4l/by-id`, which names the model and the serial number. udev creates it a
    /// moment after the device file, so it may be unknown.
    stable_name: Option<PathBuf>,
    identity: Identity,
}

impl Fingerprint {
    /// Reads the fingerprint of a camera that is present.
    pub fn of(device: &Path) -> Option<Self> {
        Some(Self {
            stable_name: stable_name(device),
            identity: Node::open(device).ok()?.identity().ok()?,
        })
    }

    /// Completes this fingerprint with what an earlier fingerprint of the same camera knows.
    #[must_use]
    pub fn with_earlier(mut self, earlier: Option<Self>) -> Self {
        let earlier = earlier.filter(|earlier| earlier.identity == self.identity);
        self.stable_name = self
            .stable_name
            .or(earlier.and_then(|earlier| earlier.stable_name));
        self
    }

    /// Returns the current device of this camera: the one with the same stable name, or else the
    /// same model at the same USB socket.
    pub fn find(&self) -> Option<PathBuf> {
        let by_name = self.stable_name.clone().filter(|name| name.exists());
        by_name.or_else(|| {
            let mut cameras = cameras();
            let at = cameras
                .iter()
                .position(|(_, identity)| *identity == self.identity)?;
            Some(cameras.swap_remove(at).0)
        })
    }
}

/// Lists every `/dev/video*`, sorted by number.
pub fn nodes() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/dev") else {
        return Vec::new();
    };
    let mut numbers: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix("video")?
                .parse()
                .ok()
        })
        .collect();
    numbers.sort_unstable();
    numbers
        .into_iter()
        .map(|number| format!("/dev/video{number}").into())
        .collect()
}

/// Returns the path under `/dev/v4l/by-id`, which stays the same wherever and whenever the camera
/// is plugged in; `None` for a camera that has no such path.
pub fn stable_name(device: &Path) -> Option<PathBuf> {
    let device = fs::canonicalize(device).ok()?;
    let mut names: Vec<PathBuf> = fs::read_dir("/dev/v4l/by-id")
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|name| fs::canonicalize(name).is_ok_and(|target| target == device))
        .collect();
    names.sort();
    names.into_iter().next()
}

/// Lists the cameras that are present, as messages show them: `/dev/video0 (HD Webcam)`.
pub fn present() -> Vec<String> {
    cameras()
        .into_iter()
        .map(|(device, identity)| format!("{} ({})", device.display(), identity.card))
        .collect()
}

/// Lists every device that captures video and that the agent may open.
fn cameras() -> Vec<(PathBuf, Identity)> {
    nodes()
        .into_iter()
        .filter_map(|device| {
            let identity = Node::open(&device).ok()?.identity().ok()?;
            let is_camera = identity.caps & sys::CAP_VIDEO_CAPTURE != 0
                && identity.caps & sys::CAP_VIDEO_M2M == 0;
            is_camera.then_some((device, identity))
        })
        .collect()
}

/// Returns the other program that has the device open, as far as `/proc` shows it.
pub fn user_of(device: &Path) -> Option<String> {
    let device = fs::canonicalize(device).ok()?;
    let own = std::process::id().to_string();
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid = process.file_name().into_string().ok()?;
        if pid == own || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut files = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        files.find(|file| fs::read_link(file.path()).is_ok_and(|target| target == device))?;
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        Some(format!("{} (process {pid})", name.trim_end()))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    pub fn fingerprint(card: &str, stable_name: Option<&Path>) -> Fingerprint {
        Fingerprint {
            stable_name: stable_name.map(PathBuf::from),
            identity: Identity {
                driver: "uvcvideo".into(),
                card: card.into(),
                bus: "usb-1".into(),
                caps: sys::CAP_VIDEO_CAPTURE,
            },
        }
    }

    #[test]
    fn a_camera_is_found_by_its_stable_name_while_that_exists() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let camera = fingerprint("no such camera", Some(file.path()));
        assert_eq!(camera.find().as_deref(), Some(file.path()));
        drop(file);
        assert_eq!(camera.find(), None);
    }

    #[test]
    fn a_stable_name_known_earlier_is_kept_until_udev_creates_it_again() {
        let named = fingerprint("a", Some(Path::new("/dev/v4l/by-id/a")));
        let again = fingerprint("a", None).with_earlier(Some(named.clone()));
        assert_eq!(again.stable_name, named.stable_name);
        let other = fingerprint("b", None).with_earlier(Some(named));
        assert_eq!(other.stable_name, None);
    }

    #[test]
    fn the_program_that_has_a_device_open_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(user_of(file.path()), None);
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(file.reopen().unwrap())
            .spawn()
            .unwrap();
        let expected = format!("cat (process {})", child.id());
        // The child's name is that of the test until the child has become `cat`.
        let deadline = Instant::now() + Duration::from_secs(10);
        while user_of(file.path()).as_ref() != Some(&expected) {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(1));
        }
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
