//! Reads the frames of a list of files, one after the other.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::avi::Avi;
use super::png;
use super::storage::Storage;
use crate::error::CaptureError;
use crate::jpeg::{BadPicture, Checker, Usable};
use crate::split::{PictureReader, Splitter};

/// Frame rate of clips that do not contain their rate.
const CLIP_FPS: f32 = 25.0;

/// Frame rate of single images.
const PICTURE_FPS: f32 = 1.0;

/// The frames of all files, played in a loop.
#[derive(Default)]
pub struct Playlist {
    items: Vec<Item>,
    at: usize,
    names: String,
    /// Whether any frame was usable since the loop began again.
    found: bool,
    /// The last frame, which is delivered again where a clip says so.
    last: Option<Usable>,
    checker: Checker,
    fps: Option<f32>,
    bad: u64,
    last_bad: Option<BadPicture>,
    repaired: u64,
}

enum Item {
    /// An image in memory that has passed the checks.
    Picture(Usable),
    /// An image that is read each time it is played.
    File(PathBuf),
    /// A clip that is read while it is played.
    Clip(PathBuf, Clip),
}

/// A clip: a file of many frames.
enum Clip {
    Avi(Avi),
    /// Concatenated JPEGs in memory.
    Slices(Bytes, Splitter),
    /// Concatenated JPEGs that are read from the file while they are played.
    Stream(PictureReader<File>),
}

impl Playlist {
    /// Opens all files, to be played in this order, and reads up to `memory_limit` bytes of them
    /// into memory.
    pub fn load(paths: &[PathBuf], memory_limit: u64) -> Result<Self, CaptureError> {
        let mut playlist = Self {
            names: name(paths),
            ..Self::default()
        };
        let mut budget = memory_limit;
        for path in paths {
            if path.is_dir() {
                for picture in pictures_in(path)? {
                    playlist.add(&picture, &mut budget)?;
                }
            } else {
                playlist.add(path, &mut budget)?;
            }
        }
        Ok(playlist)
    }

    /// Returns the frame rate of the files.
    pub fn fps(&self) -> f32 {
        self.fps.unwrap_or(PICTURE_FPS)
    }

    /// Number of frames that were not usable.
    pub fn bad(&self) -> u64 {
        self.bad
    }

    /// Number of frames that had to be repaired. A frame in memory counts once.
    pub fn repaired(&self) -> u64 {
        self.repaired
    }

    /// Starts again with the first frame.
    pub fn restart(&mut self) -> Result<(), CaptureError> {
        self.at = 0;
        self.found = false;
        for item in &mut self.items {
            if let Item::Clip(path, clip) = item {
                clip.rewind().map_err(file_error(path))?;
            }
        }
        Ok(())
    }

    /// Returns the next usable frame.
    pub fn next(&mut self) -> Result<Usable, CaptureError> {
        loop {
            let bytes = match self.items.get_mut(self.at) {
                None if self.found => {
                    self.restart()?;
                    continue;
                }
                None => return Err(self.nothing_usable()),
                Some(Item::Picture(usable)) => {
                    self.at += 1;
                    self.found = true;
                    return Ok(usable.clone());
                }
                Some(Item::File(path)) => {
                    self.at += 1;
                    as_jpeg(fs::read(&*path).map_err(file_error(path))?.into())
                }
                Some(Item::Clip(path, clip)) => match clip.next().map_err(file_error(path))? {
                    Some(bytes) => Ok(bytes),
                    None => {
                        self.at += 1;
                        continue;
                    }
                },
            };
            if let Some(usable) = self.check(bytes) {
                return Ok(usable);
            }
        }
    }

    fn add(&mut self, path: &Path, budget: &mut u64) -> Result<(), CaptureError> {
        let fail = file_error(path);
        let storage = Storage::open(path, *budget).map_err(fail)?;
        let head = storage.read(0, 64).map_err(fail)?;
        let in_memory = matches!(storage, Storage::Memory(_));
        if in_memory {
            *budget -= storage.len();
        }
        let mut clip = match storage {
            storage if Avi::is(&head) => Clip::Avi(Avi::open(storage).map_err(fail)?),
            Storage::Memory(bytes) if png::is(&head) => {
                self.keep(as_jpeg(bytes));
                return Ok(());
            }
            Storage::Memory(bytes) if is_jpeg(&head) || has_ending(path, CLIP_ENDINGS) => {
                Clip::Slices(bytes, Splitter::default())
            }
            Storage::File(file, _) if has_ending(path, CLIP_ENDINGS) => {
                Clip::Stream(PictureReader::new(file))
            }
            Storage::File(..) if is_jpeg(&head) || png::is(&head) => {
                self.items.push(Item::File(path.into()));
                return Ok(());
            }
            _ => {
                return Err(CaptureError::Unusable {
                    what: path.display().to_string(),
                    reason: not_a_clip(&head),
                });
            }
        };
        let fps = clip.fps();
        if in_memory {
            let before = self.items.len();
            while let Some(bytes) = clip.next().map_err(file_error(path))? {
                self.keep(Ok(bytes));
            }
            if self.items.len() - before > 1 {
                self.fps.get_or_insert(fps);
            }
        } else {
            self.items.push(Item::Clip(path.into(), clip));
            self.fps.get_or_insert(fps);
        }
        Ok(())
    }

    /// Keeps an image in memory, if it is usable.
    fn keep(&mut self, bytes: Result<Bytes, BadPicture>) {
        if let Some(usable) = self.check(bytes) {
            self.items.push(Item::Picture(usable));
        }
    }

    /// Checks a frame. In AVI, an empty frame means that the previous one is shown again.
    fn check(&mut self, bytes: Result<Bytes, BadPicture>) -> Option<Usable> {
        let usable = match bytes.and_then(|bytes| self.checker.check(&bytes)) {
            Ok(usable) => usable,
            Err(BadPicture::Empty) if self.last.is_some() => return self.last.clone(),
            Err(reason) => {
                self.bad += 1;
                self.last_bad = Some(reason);
                return None;
            }
        };
        self.repaired += u64::from(usable.repaired);
        self.found = true;
        self.last = Some(usable.clone());
        Some(usable)
    }

    fn nothing_usable(&self) -> CaptureError {
        CaptureError::Unusable {
            what: self.names.clone(),
            reason: match self.last_bad {
                Some(reason) => format!("it contains no usable image; the last one: {reason}"),
                None => "it contains no image; expected JPEG, PNG, or MJPEG".into(),
            },
        }
    }
}

impl Clip {
    fn fps(&self) -> f32 {
        match self {
            Self::Avi(avi) => avi.fps().unwrap_or(CLIP_FPS),
            Self::Slices(..) | Self::Stream(_) => CLIP_FPS,
        }
    }

    fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::Avi(avi) => avi.next(),
            Self::Slices(bytes, splitter) => {
                let range = splitter.next(bytes).or_else(|| splitter.last(bytes));
                Ok(range.map(|range| bytes.slice(range)))
            }
            Self::Stream(reader) => reader.read(),
        }
    }

    fn rewind(&mut self) -> io::Result<()> {
        match self {
            Self::Avi(avi) => avi.rewind(),
            Self::Slices(_, splitter) => *splitter = Splitter::default(),
            Self::Stream(reader) => reader.rewind()?,
        }
        Ok(())
    }
}

const CLIP_ENDINGS: &[&str] = &["mjpeg", "mjpg"];
const PICTURE_ENDINGS: &[&str] = &["jpg", "jpeg", "png"];

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|ending| {
        endings
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

fn is_jpeg(head: &[u8]) -> bool {
    head.starts_with(&[0xFF, 0xD8, 0xFF])
}

/// Encodes a PNG image as JPEG, and passes on anything else unchanged.
fn as_jpeg(bytes: Bytes) -> Result<Bytes, BadPicture> {
    if png::is(&bytes) {
        png::to_jpeg(&bytes).map_err(|_| BadPicture::Png)
    } else {
        Ok(bytes)
    }
}

/// Lists the images of a folder in the order in which a person would sort them.
fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>, CaptureError> {
    let mut paths = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<io::Result<Vec<_>>>()
        })
        .map_err(file_error(folder))?;
    paths.retain(|path| has_ending(path, PICTURE_ENDINGS) && path.is_file());
    if paths.is_empty() {
        return Err(CaptureError::Unusable {
            what: folder.display().to_string(),
            reason: "this folder contains no .jpg, .jpeg or .png file".into(),
        });
    }
    paths.sort_by(|a, b| natural_order(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(paths)
}

/// Compares names such that `2.jpg` comes before `10.jpg`.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (digits_a, digits_b) = (leading_digits(a), leading_digits(b));
        if !digits_a.is_empty() && !digits_b.is_empty() {
            let (value_a, value_b) = (
                digits_a.trim_start_matches('0'),
                digits_b.trim_start_matches('0'),
            );
            let by_value = (value_a.len(), value_a, digits_a.len());
            match by_value.cmp(&(value_b.len(), value_b, digits_b.len())) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
            (a, b) = (&a[digits_a.len()..], &b[digits_b.len()..]);
            continue;
        }
        let (mut chars_a, mut chars_b) = (a.chars(), b.chars());
        match (chars_a.next(), chars_b.next()) {
            (Some(x), Some(y)) if x == y => (a, b) = (chars_a.as_str(), chars_b.as_str()),
            (x, y) => return x.cmp(&y),
        }
    }
}

fn leading_digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit());
    &text[..end.unwrap_or(text.len())]
}

/// Says what kind of file cannot be played, and how to convert it.
fn not_a_clip(head: &[u8]) -> String {
    let kind = match head {
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "an MP4 or MOV file",
        [0x1A, 0x45, 0xDF, 0xA3, ..] => "a Matroska or WebM file",
        [b'G', b'I', b'F', ..] => "a GIF file",
        [] => "empty",
        _ => "not a clip or image",
    };
    format!(
        "it is {kind}; expected JPEG, PNG, concatenated JPEG (.mjpeg) or MJPEG in AVI (convert a \
         clip with ffmpeg -i IN -an -c:v mjpeg -q:v 3 OUT.avi)"
    )
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> CaptureError + Copy {
    move |source| CaptureError::File {
        path: path.into(),
        source,
    }
}

/// The files as a person reads them: the first one, and how many more.
pub fn name(paths: &[PathBuf]) -> String {
    match paths {
        [one] => one.display().to_string(),
        [first, rest @ ..] => format!("{} and {} more", first.display(), rest.len()),
        [] => "no file".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        let mut names = [
            "10.jpg", "9.jpg", "a2b10", "a2b9", "a02b9", "", "b", "09.jpg",
        ];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(
            names,
            [
                "", "9.jpg", "09.jpg", "10.jpg", "a2b9", "a2b10", "a02b9", "b"
            ]
        );
    }

    #[test]
    fn the_error_for_other_files_names_their_kind() {
        assert!(not_a_clip(b"\0\0\0\x20ftypisom").contains("MP4"));
        assert!(not_a_clip(b"").contains("empty"));
    }
}
