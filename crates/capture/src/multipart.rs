//! Reads the parts of a `multipart/x-mixed-replace` body, in the variants that cameras really send.
//!
//! Boundaries are not compared, because cameras announce one boundary and send another, with and
//! without the leading dashes. All lines before a JPEG are taken for boundary and headers. A
//! `Content-Length` header tells where the JPEG ends; if there is none, or if it proves wrong, the
//! JPEG's own EOI marker does.

use std::io::{self, Read};

use bytes::Bytes;

use super::jpeg::{self, EOI, MAX_PICTURE_LEN};
use super::split::PictureReader;

/// Maximum length of a header line, in bytes; a longer line is not a header.
const MAX_LINE_LEN: usize = 4096;

/// Reads JPEGs from a multipart body, or from a body in which one JPEG follows another.
#[derive(Debug)]
pub struct PartReader<R> {
    reader: PictureReader<R>,
    lengths_are_wrong: bool,
}

impl<R: Read> PartReader<R> {
    /// Creates a reader of a response's body.
    pub fn new(body: R) -> Self {
        Self {
            reader: PictureReader::new(body),
            lengths_are_wrong: false,
        }
    }

    /// Reads the next JPEG, which is not checked yet; `None` at the end of the body.
    ///
    /// # Errors
    ///
    /// Returns the body's error.
    pub fn read(&mut self) -> io::Result<Option<Bytes>> {
        match self.headers()? {
            Some(len) if !self.lengths_are_wrong => {
                let picture = self.reader.exactly(len)?;
                if picture.is_empty() {
                    return Ok(None);
                }
                let unpadded = picture.trim_ascii_end();
                let has_end = unpadded.ends_with(&[0xFF, EOI]);
                if !has_end || jpeg::find_soi(&picture).is_none() {
                    self.lengths_are_wrong = true;
                }
                Ok(Some(picture))
            }
            _ => self.reader.read(),
        }
    }

    /// Skips boundary and headers, and returns the value of the `Content-Length` header if it is
    /// plausible.
    fn headers(&mut self) -> io::Result<Option<usize>> {
        let mut len = None;
        let mut seen = false;
        while let Some(line) = self.reader.line(MAX_LINE_LEN)? {
            match length(&line) {
                found @ Some(_) => len = found,
                None if line.is_empty() && seen => break,
                None => {}
            }
            seen |= !line.is_empty();
        }
        Ok(len)
    }
}

/// Parses a `Content-Length` header line.
fn length(line: &[u8]) -> Option<usize> {
    let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
    let is_length = name.trim().eq_ignore_ascii_case("content-length");
    let len = value.trim().parse().ok().filter(|_| is_length)?;
    (1..=MAX_PICTURE_LEN).contains(&len).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::super::jpeg::tests::jpeg;
    use super::*;

    fn read_all(body: &[u8]) -> Vec<Bytes> {
        let mut reader = PartReader::new(body);
        std::iter::from_fn(|| reader.read().unwrap()).collect()
    }

    fn part(headers: &str, picture: &[u8]) -> Vec<u8> {
        [headers.as_bytes(), picture, b"\r\n"].concat()
    }

    fn body(headers: impl Fn(usize) -> String, pictures: &[Vec<u8>]) -> Vec<u8> {
        pictures
            .iter()
            .flat_map(|picture| part(&headers(picture.len()), picture))
            .collect()
    }

    #[test]
    fn parts_are_found_with_and_without_a_content_length() {
        let pictures: Vec<_> = (1..4).map(|seed| jpeg(32, 16, seed)).collect();
        let usual =
            |len| format!("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len}\r\n\r\n");
        assert_eq!(read_all(&body(usual, &pictures)), pictures);
        let bare = |_| "--frame\r\nContent-Type: image/jpeg\r\n\r\n".to_owned();
        assert_eq!(read_all(&body(bare, &pictures)), pictures);
        let odd = |len| format!("\n\nother-boundary\ncontent-length :{len}\nX-Time: 1.5\n\n");
        assert_eq!(read_all(&body(odd, &pictures)), pictures);
        assert_eq!(read_all(&pictures.concat()), pictures);
    }

    #[test]
    fn wrong_content_lengths_are_not_trusted_again() {
        let pictures: Vec<_> = (1..6).map(|seed| jpeg(32, 16, seed)).collect();
        for wrong in [1, 100, 1 << 40] {
            let headers = |len: usize| {
                let wrong = if wrong > len { wrong } else { len - wrong };
                format!("--frame\r\nContent-Length: {wrong}\r\n\r\n")
            };
            let found = read_all(&body(headers, &pictures));
            assert!(
                found.ends_with(&[Bytes::from(pictures[4].clone())]),
                "{wrong}"
            );
            assert!(found.len() >= 4, "{wrong}: {}", found.len());
        }
    }

    #[test]
    fn damaged_bodies_end_without_a_panic() {
        let pictures: Vec<_> = (1..4).map(|seed| jpeg(32, 16, seed)).collect();
        let sound = body(
            |len| format!("--b\r\nContent-Length: {len}\r\n\r\n"),
            &pictures,
        );
        let mut random = fastrand::Rng::with_seed(9);
        let mut found = 0;
        for _ in 0..3000 {
            let mut bytes = sound.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            found += read_all(&bytes).len();
        }
        assert!(found > 3000, "{found}");
    }
}
