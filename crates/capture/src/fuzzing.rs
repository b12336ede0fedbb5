//! What must hold for any bytes that a camera, a server or a file delivers, for the fuzz targets.
//!
//! Each function takes one input and panics if a property does not hold; see `docs/fuzzing.md`.

use std::io::{self, Read};

use bytes::Bytes;

use crate::clip::fuzzing::read_avi;
use crate::jpeg::{Checker, EOI, MAX_PICTURE_LEN, SOI};
use crate::multipart::PartReader;
use crate::split::{PictureReader, Splitter};

/// The JPEG check and repair. The first byte is the source's history of EOI markers.
///
/// What it returns is a JPEG from SOI to EOI that any later check accepts unchanged.
pub fn jpeg(data: &[u8]) {
    let Some((&history, picture)) = data.split_first() else {
        return;
    };
    let picture = Bytes::copy_from_slice(picture);
    let Ok(usable) = Checker::with_history(history).check(&picture) else {
        return;
    };
    assert!(usable.jpeg.len() <= MAX_PICTURE_LEN);
    assert!(usable.jpeg.starts_with(&[0xFF, SOI]) && usable.jpeg.ends_with(&[0xFF, EOI]));
    assert!(usable.resolution.pixels() > 0);
    assert!(usable.repaired || usable.jpeg == picture);
    for history in [0, 0xFF] {
        let again = Checker::with_history(history)
            .check(&usable.jpeg)
            .unwrap_or_else(|err| panic!("the repaired picture is refused: {err}"));
        assert!(!again.repaired, "the repaired picture is repaired again");
        assert_eq!(again.jpeg, usable.jpeg);
        assert_eq!(again.resolution, usable.resolution);
    }
}

/// The splitter of concatenated JPEGs. The first byte is the number of lengths that follow, at
/// which the rest is cut into reads.
///
/// The pictures are the same however the stream is cut, and follow one another in it.
pub fn split(data: &[u8]) {
    let (lengths, stream) = lengths_and_stream(data);
    let whole = pictures(PictureReader::new(stream), PictureReader::read);
    let cut = pictures(
        PictureReader::new(Cut::new(stream, lengths)),
        PictureReader::read,
    );
    assert_eq!(cut, whole, "the reads' lengths matter");
    let mut splitter = Splitter::default();
    let mut end = 0;
    let mut found = Vec::new();
    while let Some(range) = splitter.next(stream) {
        assert!(end <= range.start && range.start < range.end);
        end = range.end;
        found.push(Bytes::copy_from_slice(&stream[range]));
    }
    assert!(whole.starts_with(&found) && whole.len() <= found.len() + 1);
    for picture in &whole {
        assert!(picture.starts_with(&[0xFF, SOI, 0xFF]));
    }
}

/// The reader of multipart bodies; its input is as that of [`split`].
///
/// The parts are the same however the body is cut into reads, and none of it is delivered twice.
pub fn multipart(data: &[u8]) {
    let (lengths, body) = lengths_and_stream(data);
    let whole = pictures(PartReader::new(body), PartReader::read);
    let cut = pictures(PartReader::new(Cut::new(body, lengths)), PartReader::read);
    assert_eq!(cut, whole, "the reads' lengths matter");
    assert!(whole.iter().all(|part| !part.is_empty()));
    assert!(whole.iter().map(Bytes::len).sum::<usize>() <= body.len());
}

/// The AVI reader: chunks are parts of the file that do not overlap, and a second round is as the
/// first.
pub fn avi(data: &[u8]) {
    read_avi(data);
}

fn lengths_and_stream(data: &[u8]) -> (&[u8], &[u8]) {
    let (&count, rest) = data.split_first().unwrap_or((&0, data));
    rest.split_at(usize::from(count % 16).min(rest.len()))
}

fn pictures<R>(mut reader: R, read: impl Fn(&mut R) -> io::Result<Option<Bytes>>) -> Vec<Bytes> {
    // Reading from memory does not fail.
    std::iter::from_fn(|| read(&mut reader).ok().flatten()).collect()
}

/// A stream whose reads return as many bytes as the lengths say, over and over.
struct Cut<'a> {
    stream: &'a [u8],
    lengths: std::iter::Cycle<std::slice::Iter<'a, u8>>,
}

impl<'a> Cut<'a> {
    fn new(stream: &'a [u8], lengths: &'a [u8]) -> Self {
        Self {
            stream,
            lengths: lengths.iter().cycle(),
        }
    }
}

impl Read for Cut<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::from(self.lengths.next().copied().unwrap_or(0)) + 1;
        let length = length.min(buffer.len());
        self.stream.read(&mut buffer[..length])
    }
}
