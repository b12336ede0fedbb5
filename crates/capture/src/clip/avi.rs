//! Motion JPEG in AVI files.
//!
//! Chunks are walked one after the other, so neither of AVI's two kinds of index is needed, and
//! files of several RIFF parts (OpenDML, over 1 GB) work as well as those cut short.
//! Layout: RIFF("AVI ") { LIST("hdrl") { avih, LIST("strl") { strh, strf } ... },
//! LIST("movi") { 00dc ... }, idx1 }, RIFF("AVIX") { LIST("movi") { ... } } ...

use std::io;

use bytes::Bytes;

use super::storage::Storage;

/// The video stream of an AVI file.
#[derive(Debug)]
pub struct Avi {
    storage: Storage,
    /// Offset of the next chunk.
    at: u64,
    /// Identifier of the video stream's chunks: the stream's number in `00dc`, or in `00db`, which
    /// means the same for MJPEG.
    chunk: [u8; 2],
    /// Frames per second from the stream header, if the value is plausible.
    fps: Option<f32>,
}

/// Offset of the first RIFF's contents.
const BEGIN: u64 = 12;

/// Maximum number of chunks before the first frame. A file with more is damaged.
const MAX_HEADER_CHUNKS: usize = 4096;

impl Avi {
    /// Whether a file that begins with `head` is an AVI file.
    pub fn is(head: &[u8]) -> bool {
        head.starts_with(b"RIFF") && head.get(8..12) == Some(b"AVI ")
    }

    /// Reads the headers.
    ///
    /// # Errors
    ///
    /// Returns an error that says what is wrong with the file, or an error of the file system.
    pub fn open(storage: Storage) -> io::Result<Self> {
        let mut avi = Self {
            storage,
            at: BEGIN,
            chunk: *b"00",
            fps: None,
        };
        let mut stream = 0_u8;
        let mut frame_us = 0;
        let mut codecs = Vec::new();
        for _ in 0..MAX_HEADER_CHUNKS {
            let Some((id, payload, len)) = avi.step()? else {
                break;
            };
            match &id {
                b"avih" => frame_us = u32_at(&avi.storage.read(payload, 4)?, 0),
                b"strh" => {
                    let header = avi.storage.read(payload, len.min(28))?;
                    let codec = header.get(4..8).unwrap_or_default();
                    if header.starts_with(b"vids") {
                        codecs.push(String::from_utf8_lossy(codec).into_owned());
                        if is_mjpeg(codec) || is_unnamed(codec) {
                            avi.chunk = [b'0' + stream / 10, b'0' + stream % 10];
                            avi.fps = rate(u32_at(&header, 24), u32_at(&header, 20))
                                .or_else(|| rate(1_000_000, frame_us));
                            avi.rewind();
                            return Ok(avi);
                        }
                    }
                    stream = (stream + 1) % 100;
                }
                _ => {}
            }
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            if codecs.is_empty() {
                "this AVI file has no video".to_owned()
            } else {
                format!(
                    "this AVI file holds {}; expected MJPEG (convert it with \
                     ffmpeg -i IN -an -c:v mjpeg -q:v 3 OUT.avi)",
                    codecs.join(" and ")
                )
            },
        ))
    }

    /// Returns the frame rate from the headers, in frames per second.
    pub fn fps(&self) -> Option<f32> {
        self.fps
    }

    /// Reads the next JPEG, which is not checked yet. It is empty if the previous frame is to be
    /// shown again; `None` at the end of the file.
    pub fn next(&mut self) -> io::Result<Option<Bytes>> {
        while let Some((id, payload, len)) = self.step()? {
            if id.starts_with(&self.chunk) && matches!(&id[2..], b"dc" | b"db") {
                return self.storage.read(payload, len).map(Some);
            }
        }
        Ok(None)
    }

    /// Starts again with the first frame.
    pub fn rewind(&mut self) {
        self.at = BEGIN;
    }

    /// Reads the header of one chunk and moves on: into a list, past any other chunk. Returns the
    /// chunk's name and the range of its payload.
    fn step(&mut self) -> io::Result<Option<([u8; 4], u64, u64)>> {
        loop {
            if self.at.saturating_add(8) > self.storage.len() {
                return Ok(None);
            }
            let header = self.storage.read(self.at, 8)?;
            let &[a, b, c, d, ..] = &header[..] else {
                return Ok(None);
            };
            let id = [a, b, c, d];
            let len = u64::from(u32_at(&header, 4));
            let payload = self.at + 8;
            if matches!(&id, b"RIFF" | b"LIST") {
                self.at = payload + 4;
                continue;
            }
            // Chunks are padded to an even length.
            self.at = payload + len + len % 2;
            let left = self.storage.len().saturating_sub(payload);
            return Ok(Some((id, payload, len.min(left))));
        }
    }
}

fn is_mjpeg(codec: &[u8]) -> bool {
    [&b"mjpg"[..], b"jpeg", b"avrn", b"ijpg"]
        .iter()
        .any(|known| codec.eq_ignore_ascii_case(known))
}

/// Whether a codec field is empty. Some programs name the codec only in the format header; the
/// frames will tell.
fn is_unnamed(codec: &[u8]) -> bool {
    codec.iter().all(|&byte| byte == 0)
}

fn rate(count: u32, per: u32) -> Option<f32> {
    let fps = count as f32 / per as f32;
    (per > 0 && (0.05..=240.0).contains(&fps)).then_some(fps)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    u32::from_le_bytes(four.unwrap_or_default())
}

#[cfg(test)]
pub(in super::super) mod tests {
    use super::*;
    use crate::jpeg::tests::jpeg;

    fn chunk(id: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        let mut out = id.to_vec();
        out.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
        out.extend(payload);
        out.resize(out.len().next_multiple_of(2), 0);
        out
    }

    fn list(outer: &[u8; 4], id: &[u8; 4], chunks: &[Vec<u8>]) -> Vec<u8> {
        chunk(outer, &[&id[..], &chunks.concat()].concat())
    }

    fn stream(kind: &[u8; 4], codec: &[u8; 4], rate: u32, scale: u32) -> Vec<u8> {
        let mut header = [*kind, *codec, [0; 4], [0; 4], [0; 4]].concat();
        header.extend(scale.to_le_bytes());
        header.extend(rate.to_le_bytes());
        header.resize(56, 0);
        list(b"LIST", b"strl", &[chunk(b"strh", &header)])
    }

    /// Creates an AVI file with an audio and an MJPEG stream, the latter in two RIFF parts.
    pub fn avi(pictures: &[Vec<u8>], codec: &[u8; 4], rate: u32, scale: u32) -> Vec<u8> {
        let movi = |pictures: &[Vec<u8>]| {
            let chunks: Vec<_> = pictures
                .iter()
                .map(|picture| [chunk(b"01dc", picture), chunk(b"00wb", b"sound")].concat())
                .collect();
            list(b"LIST", b"movi", &chunks)
        };
        let (first, second) = pictures.split_at(pictures.len() / 2);
        let mut main_header = 40_000_u32.to_le_bytes().to_vec();
        main_header.resize(56, 0);
        let headers = list(
            b"LIST",
            b"hdrl",
            &[
                chunk(b"avih", &main_header),
                stream(b"auds", &[0; 4], 0, 0),
                stream(b"vids", codec, rate, scale),
            ],
        );
        let rec = list(b"LIST", b"rec ", &[movi(second)]);
        [
            list(
                b"RIFF",
                b"AVI ",
                &[
                    headers,
                    chunk(b"JUNK", &[1; 99]),
                    movi(first),
                    chunk(b"idx1", &[7; 64]),
                ],
            ),
            list(b"RIFF", b"AVIX", &[rec]),
        ]
        .concat()
    }

    fn open(bytes: Vec<u8>) -> io::Result<Avi> {
        Avi::open(Storage::Memory(bytes.into()))
    }

    fn all(avi: &mut Avi) -> Vec<Bytes> {
        std::iter::from_fn(|| avi.next().unwrap()).collect()
    }

    #[test]
    fn every_frame_of_all_parts_is_found_again_after_rewinding() {
        let pictures: Vec<_> = (1..6).map(|seed| jpeg(32, 16, seed)).collect();
        let mut avi = open(avi(&pictures, b"MJPG", 30_000, 1001)).unwrap();
        assert!((avi.fps().unwrap() - 29.97).abs() < 0.001);
        assert_eq!(all(&mut avi), pictures);
        avi.rewind();
        assert_eq!(all(&mut avi), pictures);
    }

    #[test]
    fn the_rate_falls_back_to_the_main_header() {
        assert_eq!(open(avi(&[], b"mjpg", 0, 0)).unwrap().fps(), Some(25.0));
    }

    #[test]
    fn the_error_for_another_codec_names_it() {
        let error = open(avi(&[], b"H264", 25, 1)).unwrap_err().to_string();
        assert!(error.contains("H264") && error.contains("MJPEG"), "{error}");
    }

    #[test]
    fn damaged_files_end_without_a_panic() {
        let pictures: Vec<_> = (1..4).map(|seed| jpeg(32, 16, seed)).collect();
        let sound = avi(&pictures, b"MJPG", 25, 1);
        let mut random = fastrand::Rng::with_seed(5);
        let mut found = 0;
        for _ in 0..5000 {
            let mut bytes = sound.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..bytes.len());
                match random.u8(..3) {
                    0 => bytes.truncate(at + 1),
                    1 => bytes[at] = random.u8(..),
                    _ => bytes[at] = 0xFF,
                }
            }
            if let Ok(mut avi) = open(bytes) {
                found += all(&mut avi).len();
            }
        }
        assert!(found > 1000, "{found}");
    }
}
