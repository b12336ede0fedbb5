//! Finds the pictures in a stream of JPEGs that follow one another.
//!
//! Marker segments are stepped over by their length, so a thumbnail inside a segment is not taken
//! for a picture. A picture ends with its EOI; if that is missing it ends where the next one
//! begins, and [`super::jpeg::Checker`] decides what becomes of it.

use std::io::{self, Read, Seek};
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::jpeg::{self, EOI, MAX_PICTURE_LEN, NoSegment, SOI, SOS};

/// Finds pictures in a growing run of bytes, without looking at any of them twice.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    /// Where the current picture begins.
    start: Option<usize>,
    /// Everything before this has been looked at.
    at: usize,
    in_scan: bool,
}

/// What one step found.
enum Step {
    /// Go on.
    Further,
    /// The picture ends here.
    End(usize),
    /// More data is needed.
    More,
    /// This was no picture.
    Abandon,
}

impl Splitter {
    /// The next whole picture in `data`, as a range; `None` if more data is needed.
    ///
    /// `data` begins with what earlier calls saw, but for what [`Splitter::unneeded`] gave away.
    pub fn next(&mut self, data: &[u8]) -> Option<Range<usize>> {
        loop {
            let Some(start) = self.start else {
                let Some(found) = jpeg::find_soi(data.get(self.at..)?) else {
                    // The last two bytes may be the beginning of one.
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

    /// Where the last picture of data that has come to its end lies, if its EOI is missing.
    pub fn last(&mut self, data: &[u8]) -> Option<Range<usize>> {
        let start = self.start.take().filter(|_| self.in_scan)?;
        Some(start..data.len())
    }

    /// How many bytes at the beginning of the data are of no use any more. The caller takes them
    /// away before the next call.
    fn unneeded(&mut self) -> usize {
        let unneeded = self.start.unwrap_or(self.at);
        self.at -= unneeded;
        self.start = self.start.map(|_| 0);
        unneeded
    }

    fn step(&mut self, data: &[u8]) -> Step {
        if self.in_scan {
            match jpeg::next_marker(data, self.at) {
                // A marker may be cut in two, so its first byte is looked at again.
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

/// Reads pictures from a stream of JPEGs; holds one picture and one read, 8 MiB and 64 kB at most.
#[derive(Debug)]
pub struct PictureReader<R> {
    stream: R,
    buffer: BytesMut,
    splitter: Splitter,
}

/// Size of one read; the default capacity of a pipe.
const READ_LEN: usize = 64 << 10;

impl<R: Read> PictureReader<R> {
    /// Reads from `stream`.
    pub fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            splitter: Splitter::default(),
        }
    }

    /// The next picture, not yet checked; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// Those of the stream.
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

    /// The next line of text without its end, where no picture has been begun; `None` if what
    /// follows is a picture, a line longer than `limit`, or the end.
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

    /// Exactly `len` bytes; fewer at the end of the stream.
    pub fn exactly(&mut self, len: usize) -> io::Result<Bytes> {
        while self.buffer.len() < len {
            if !self.fill()? {
                break;
            }
        }
        Ok(self.take(0..len.min(self.buffer.len())))
    }

    /// Reads once; whether there was anything.
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
    /// Begins again with the first picture.
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

    /// Gives at most `n` bytes at a time.
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
    fn pictures_are_found_however_the_stream_is_cut() {
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
    fn a_thumbnail_inside_a_segment_is_no_picture() {
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
    fn a_picture_without_eoi_ends_where_the_next_begins() {
        let picture = jpeg(32, 16, 1);
        let open = &picture[..picture.len() - 2];
        let stream = [open, &picture, open].concat();
        assert_eq!(read_all(&stream, 9), [open, &picture[..], open]);
    }

    #[test]
    fn pictures_of_several_scans_are_whole() {
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
    fn memory_stays_bounded_without_an_end() {
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
    fn damaged_streams_never_panic_and_sound_pictures_come_through() {
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
