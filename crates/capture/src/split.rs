//! Finds the JPEGs in a stream in which one JPEG follows another.
//!
//! Marker segments are stepped over by their length, so a thumbnail inside a segment is not taken
//! for a frame. A JPEG ends with its EOI marker; if that is missing, it ends where the next JPEG
//! begins, and [`super::jpeg::Checker`] decides whether to repair or drop it.

use std::io::{self, Read, Seek};
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::jpeg::{self, EOI, MAX_PICTURE_LEN, NoSegment, SOI, SOS};

/// Finds JPEGs in a growing sequence of bytes, without examining any byte twice.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    /// Offset at which the current JPEG begins; `None` between JPEGs.
    start: Option<usize>,
    /// Offset up to which all bytes have been examined.
    at: usize,
    in_scan: bool,
}

/// Result of one step through the bytes.
enum Step {
    /// The step ended within the JPEG; the next step may follow.
    Further,
    /// The JPEG ends at this offset.
    End(usize),
    /// The next step needs more data.
    More,
    /// The bytes since `start` are not a JPEG.
    Abandon,
}

impl Splitter {
    /// Returns the range of the next complete JPEG in `data`; `None` if more data is needed.
    ///
    /// `data` must begin with the bytes of earlier calls, except for those that
    /// [`Splitter::unneeded`] released.
    pub fn next(&mut self, data: &[u8]) -> Option<Range<usize>> {
        loop {
            let Some(start) = self.start else {
                let Some(found) = jpeg::find_soi(data.get(self.at..)?) else {
                    // The last two bytes may be the beginning of a start-of-image marker.
                    self.at = data.len().saturating_sub(2).max(self.at);
                    return None;
                };
                self.start = Some(self.at + found);
                self.at += found + 2;
                self.in_scan = false;
                continue;
            };
            match self.step(data) {
                Step::Further => {}
                Step::End(end) => {
                    self.start = None;
                    self.at = end;
                    return Some(start..end);
                }
                Step::More if data.len() - start <= MAX_PICTURE_LEN => return None,
                Step::More => {
                    self.start = None;
                    self.at = data.len() - 2;
                }
                Step::Abandon => self.start = None,
            }
        }
    }

    /// Returns the range of the last JPEG of a stream that has ended, if the JPEG lacks its EOI
    /// marker.
    pub fn last(&mut self, data: &[u8]) -> Option<Range<usize>> {
        let start = self.start.take().filter(|_| self.in_scan)?;
        Some(start..data.len())
    }

    /// Returns how many bytes at the beginning of the data are no longer needed. The caller must
    /// remove them before the next call.
    fn unneeded(&mut self) -> usize {
        let unneeded = self.start.unwrap_or(self.at);
        self.at -= unneeded;
        self.start = self.start.map(|_| 0);
        unneeded
    }

    fn step(&mut self, data: &[u8]) -> Step {
        if self.in_scan {
            match jpeg::next_marker(data, self.at) {
                // The end of the data may cut a marker in two, so the marker's first byte is
                // examined again.
                None => {
                    self.at = data.len().saturating_sub(1).max(self.at);
                    return Step::More;
                }
                Some((at, EOI)) => return Step::End(at + 2),
                Some((at, SOI)) => return Step::End(at),
                Some((at, _)) => self.at = at,
            }
        }
        match jpeg::segment(data, self.at) {
            Ok((marker, payload)) => {
                self.at = payload.end;
                self.in_scan |= marker == SOS;
                Step::Further
            }
            Err(NoSegment::Cut) => Step::More,
            Err(NoSegment::Other) if self.in_scan => {
                self.at += 2;
                Step::Further
            }
            Err(NoSegment::Other) => Step::Abandon,
        }
    }
}

/// Reads frames from a stream of JPEGs. It holds at most one JPEG and one read, 8 MiB and 64 kB.
#[derive(Debug)]
pub struct PictureReader<R> {
    stream: R,
    buffer: BytesMut,
    splitter: Splitter,
}

/// Number of bytes of one read; the default capacity of a pipe.
const READ_LEN: usize = 64 << 10;

impl<R: Read> PictureReader<R> {
    /// Creates a reader of `stream`.
    pub fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            splitter: Splitter::default(),
        }
    }

    /// Reads the next JPEG, which is not checked yet; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// Returns the stream's error.
    pub fn read(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(range) = self.splitter.next(&self.buffer) {
                return Ok(Some(self.take(range)));
            }
            let unneeded = self.splitter.unneeded();
            drop(self.buffer.split_to(unneeded));
            if !self.fill()? {
                let last = self.splitter.last(&self.buffer);
                return Ok(last.map(|range| self.take(range)));
            }
        }
    }

    /// Reads the next line of text without its line break, if the reader is between two JPEGs;
    /// `None` if a JPEG, a line longer than `limit` or the end of the stream follows.
    pub fn line(&mut self, limit: usize) -> io::Result<Option<Bytes>> {
        loop {
            if self.buffer.starts_with(&[0xFF, SOI]) {
                return Ok(None);
            }
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line = self.take(0..end + 1);
                return Ok(Some(line.slice(..line.trim_ascii_end().len())));
            }
            if self.buffer.len() > limit || !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads exactly `len` bytes, or fewer at the end of the stream.
    pub fn exactly(&mut self, len: usize) -> io::Result<Bytes> {
        while self.buffer.len() < len {
            if !self.fill()? {
                break;
            }
        }
        Ok(self.take(0..len.min(self.buffer.len())))
    }

    /// Reads once from the stream; returns whether there was any data.
    fn fill(&mut self) -> io::Result<bool> {
        let len = self.buffer.len();
        self.buffer.resize(len + READ_LEN, 0);
        let free = self.buffer.get_mut(len..).unwrap_or_default();
        let read = read_some(&mut self.stream, free);
        self.buffer
            .truncate(len + read.as_ref().map_or(0, |&read| read));
        Ok(read? > 0)
    }

    fn take(&mut self, range: Range<usize>) -> Bytes {
        self.splitter = Splitter::default();
        let mut picture = self.buffer.split_to(range.end);
        picture.split_off(range.start).freeze()
    }
}

impl<R: Read + Seek> PictureReader<R> {
    /// Starts again with the first JPEG of the file.
    pub fn rewind(&mut self) -> io::Result<()> {
        self.splitter = Splitter::default();
        self.buffer.clear();
        self.stream.rewind()
    }
}

fn read_some(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::jpeg::tests::jpeg;
    use super::*;

    /// A reader that returns at most the given number of bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(buffer.len());
            self.0.read(&mut buffer[..len])
        }
    }

    fn read_all(bytes: &[u8], at_a_time: usize) -> Vec<Bytes> {
        let mut reader = PictureReader::new(Trickle(bytes, at_a_time));
        std::iter::from_fn(|| reader.read().unwrap()).collect()
    }

    #[test]
    fn jpegs_are_found_wherever_the_stream_is_split_into_reads() {
        let pictures: Vec<_> = (1..5).map(|seed| jpeg(32, 16, seed)).collect();
        let stream = [
            b"garbage \xFF\xD8 garbage",
            &pictures[0][..],
            &pictures[1],
            b"\r\n--boundary\r\n\r\n\xFF",
            &pictures[2],
            &[0; 100],
            &pictures[3],
        ]
        .concat();
        for at_a_time in [1, 2, 3, 7, 100, 1 << 20] {
            assert_eq!(read_all(&stream, at_a_time), pictures, "{at_a_time}");
        }
    }

    #[test]
    fn a_thumbnail_inside_a_segment_is_not_taken_for_a_frame() {
        let (picture, thumbnail) = (jpeg(32, 16, 1), jpeg(16, 16, 2));
        let mut with = vec![0xFF, SOI, 0xFF, 0xE1];
        with.extend(u16::try_from(thumbnail.len() + 2).unwrap().to_be_bytes());
        with.extend(&thumbnail);
        with.extend(&picture[2..]);
        assert_eq!(
            read_all(&[&with[..], &picture].concat(), 11),
            [&with[..], &picture]
        );
    }

    #[test]
    fn a_jpeg_without_eoi_ends_where_the_next_begins() {
        let picture = jpeg(32, 16, 1);
        let open = &picture[..picture.len() - 2];
        let stream = [open, &picture, open].concat();
        assert_eq!(read_all(&stream, 9), [open, &picture[..], open]);
    }

    #[test]
    fn jpegs_of_several_scans_are_read_completely() {
        let mut progressive = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut progressive, 80);
        encoder.set_progressive(true);
        encoder
            .encode(&[77; 48 * 48 * 3], 48, 48, jpeg_encoder::ColorType::Rgb)
            .unwrap();
        assert_eq!(
            read_all(&[&progressive[..], &progressive].concat(), 5),
            [&progressive[..], &progressive]
        );
    }

    #[test]
    fn memory_stays_bounded_if_a_jpeg_never_ends() {
        let picture = jpeg(32, 16, 1);
        let open = &picture[..picture.len() - 2];
        let endless = open
            .iter()
            .copied()
            .chain(std::iter::repeat_n(7, MAX_PICTURE_LEN * 2));
        let stream: Vec<u8> = endless.chain(picture.iter().copied()).collect();
        let mut reader = PictureReader::new(&stream[..]);
        assert_eq!(reader.read().unwrap().unwrap(), picture);
        assert!(reader.buffer.capacity() < 3 * MAX_PICTURE_LEN);
    }

    #[test]
    fn intact_jpegs_are_found_in_damaged_streams() {
        let pictures: Vec<_> = (1..6).map(|seed| jpeg(32, 16, seed)).collect();
        let sound = pictures.concat();
        let mut random = fastrand::Rng::with_seed(3);
        let mut whole = 0;
        for _ in 0..3000 {
            let mut stream = sound.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..stream.len());
                match random.u8(..4) {
                    0 => drop(stream.drain(at..(at + random.usize(..300)).min(stream.len()))),
                    1 => stream[at] = 0xFF,
                    2 => stream.insert(at, random.u8(..)),
                    _ => stream[at] = random.u8(..),
                }
                if stream.is_empty() {
                    break;
                }
            }
            for found in read_all(&stream, random.usize(1..2000)) {
                assert!(found.starts_with(&[0xFF, SOI, 0xFF]));
                whole += usize::from(pictures.iter().any(|picture| *picture == found));
            }
        }
        assert!(whole > 3000, "{whole}");
    }
}
