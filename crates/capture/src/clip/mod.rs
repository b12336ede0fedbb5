//! Plays clips, images and folders of images in a loop.
//!
//! | file | frame rate, unless the user gives one |
//! | --- | --- |
//! | MJPEG in AVI | the rate in its headers, otherwise 25 |
//! | concatenated JPEG (`.mjpeg`, `.mjpg`) | 25: the format has none |
//! | JPEG or PNG, several of them, a folder | 1 |
//!
//! Up to 64 MiB of the files are read, checked and (PNG) encoded once, and then delivered as slices of
//! memory. The rest is read while it is played, one frame at a time, however long the clip is.

mod avi;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod playlist;
pub(crate) mod png;
mod storage;

use std::path::PathBuf;
use std::time::Duration;

use cv_protocol::Timestamp;

use self::playlist::{Playlist, name};
use super::error::CaptureError;
use super::pace::Pace;
use super::source::{Counts, Picture, Source};

/// Maximum number of bytes of one source that are kept in memory.
const MEMORY_LIMIT: u64 = 64 << 20;

/// Files that are played one after the other, in a loop.
pub struct ClipSource {
    playlist: Playlist,
    pace: Pace,
    fps: f32,
    description: String,
    /// Number of frames dropped because the next one was already due.
    stale: u64,
    bad_before: u64,
}

impl ClipSource {
    /// Opens `paths` and reads small files into memory; `fps` overrides the rate of the files.
    pub fn open(paths: &[PathBuf], fps: Option<f32>) -> Result<Self, CaptureError> {
        Self::open_within(paths, fps, MEMORY_LIMIT)
    }

    fn open_within(
        paths: &[PathBuf],
        fps: Option<f32>,
        memory_limit: u64,
    ) -> Result<Self, CaptureError> {
        let mut playlist = Playlist::load(paths, memory_limit)?;
        let fps = fps.unwrap_or_else(|| playlist.fps());
        // The first frame tells the size. Reading it here reports files without a usable frame at
        // once.
        let size = playlist.next()?.resolution;
        playlist.restart()?;
        Ok(Self {
            description: format!("{}, {size} at {fps} fps, looped", name(paths)),
            bad_before: playlist.bad(),
            playlist,
            pace: Pace::new(fps),
            fps,
            stale: 0,
        })
    }
}

impl Source for ClipSource {
    fn next(&mut self, timeout: Duration) -> Result<Option<Picture>, CaptureError> {
        let Some(missed) = self.pace.wait(timeout) else {
            return Ok(None);
        };
        for _ in 0..missed {
            self.playlist.next()?;
        }
        self.stale += missed;
        let usable = self.playlist.next()?;
        let bad = self.playlist.bad();
        let skipped = missed + bad - self.bad_before;
        self.bad_before = bad;
        Ok(Some(Picture {
            jpeg: usable.jpeg,
            captured_at: Timestamp::now(),
            resolution: usable.resolution,
            skipped,
        }))
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn nominal_fps(&self) -> Option<f32> {
        Some(self.fps)
    }

    fn counts(&self) -> Counts {
        Counts {
            stale: self.stale,
            bad: self.playlist.bad(),
            repaired: self.playlist.repaired(),
            ..Counts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use bytes::Bytes;

    use super::*;
    use crate::jpeg::tests::jpeg;

    const LONG: Duration = Duration::from_secs(10);

    fn pictures(count: u64) -> Vec<Vec<u8>> {
        (1..=count).map(|seed| jpeg(32, 16, seed)).collect()
    }

    /// Plays the files for `count` frames, once from memory and once read from the files.
    fn play(paths: &[PathBuf], count: usize) -> [Vec<Bytes>; 2] {
        [MEMORY_LIMIT, 0].map(|limit| {
            let mut playlist = Playlist::load(paths, limit).unwrap();
            (0..count).map(|_| playlist.next().unwrap().jpeg).collect()
        })
    }

    fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn fails(paths: &[PathBuf]) -> String {
        let error = ClipSource::open(paths, None).err().unwrap();
        assert!(!error.is_transient());
        error.to_string()
    }

    #[test]
    fn a_concatenated_clip_is_looped() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = pictures(3);
        let path = file(folder.path(), "clip.mjpeg", &pictures.concat());
        for played in play(std::slice::from_ref(&path), 7) {
            assert!(played.iter().eq(pictures.iter().cycle().take(7)));
        }
        let source = ClipSource::open(&[path], None).unwrap();
        assert_eq!(source.nominal_fps(), Some(25.0));
        assert!(source.describe().ends_with("32x16 at 25 fps, looped"));
    }

    #[test]
    fn an_avi_is_looped_at_its_own_rate_and_an_empty_chunk_repeats() {
        let folder = tempfile::tempdir().unwrap();
        let mut pictures = pictures(3);
        pictures.insert(2, Vec::new());
        let bytes = avi::tests::avi(&pictures, b"MJPG", 10, 1);
        let path = file(folder.path(), "clip", &bytes);
        pictures[2] = pictures[1].clone();
        for played in play(std::slice::from_ref(&path), 9) {
            assert!(played.iter().eq(pictures.iter().cycle().take(9)));
        }
        assert_eq!(
            ClipSource::open(std::slice::from_ref(&path), None)
                .unwrap()
                .nominal_fps(),
            Some(10.0)
        );
        assert_eq!(
            ClipSource::open(&[path], Some(3.0)).unwrap().nominal_fps(),
            Some(3.0)
        );
    }

    #[test]
    fn a_folder_is_played_in_natural_order_with_png_as_jpeg() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = pictures(3);
        file(folder.path(), "10.JPG", &pictures[2]);
        file(folder.path(), "9.jpeg", &pictures[1]);
        file(folder.path(), "1.jpg", &pictures[0]);
        let png = png::tests::png(::png::ColorType::Rgb, &[9, 9, 9]);
        file(folder.path(), "11.png", &png);
        file(folder.path(), "notes.txt", b"no picture");
        for played in play(&[folder.path().into()], 5) {
            assert!(played[..3].iter().eq(&pictures));
            assert!(played[3].starts_with(&[0xFF, 0xD8]));
            assert_eq!(played[4], pictures[0]);
        }
        let source = ClipSource::open(&[folder.path().into()], None).unwrap();
        assert_eq!(source.nominal_fps(), Some(1.0));
    }

    #[test]
    fn images_in_memory_are_never_copied() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "clip.mjpeg", &pictures(2).concat());
        let mut source = ClipSource::open(&[path], Some(240.0)).unwrap();
        let mut places = Vec::new();
        while places.len() < 20 {
            let picture = source.next(LONG).unwrap().unwrap();
            places.push(picture.jpeg.as_ptr());
        }
        places.sort();
        places.dedup();
        assert_eq!(places.len(), 2);
    }

    #[test]
    fn bad_images_are_skipped_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut broken = pictures(3);
        let quantization = broken[1].windows(2).position(|w| w == [0xFF, 0xDB]);
        broken[1][quantization.unwrap() + 1] = 0xEE;
        let second = broken[1].windows(2).position(|w| w == [0xFF, 0xDB]);
        broken[1][second.unwrap() + 1] = 0xEE;
        let path = file(folder.path(), "clip.mjpeg", &broken.concat());
        for played in play(std::slice::from_ref(&path), 3) {
            assert!(played.iter().eq([&broken[0], &broken[2], &broken[0]]));
        }
        assert_eq!(ClipSource::open(&[path], None).unwrap().counts().bad, 1);
    }

    #[test]
    fn the_error_for_an_unplayable_file_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent.avi");
        assert!(fails(&[absent]).contains("absent.avi"));
        let movie = file(folder.path(), "a.mp4", b"\0\0\0\x20ftypisom");
        let message = fails(&[movie]);
        assert!(
            message.contains("MP4") && message.contains("ffmpeg"),
            "{message}"
        );
        let text = file(folder.path(), "a.mjpeg", b"just text");
        assert!(fails(&[text]).contains("contains no image"));
        let cut = file(folder.path(), "cut.jpg", &pictures(1)[0][..30]);
        assert!(fails(&[cut]).contains("no image"));
        let empty = folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        assert!(fails(&[empty]).contains("no .jpg"));
    }
}
