//! Checks the JPEGs that a source delivers: passes them on, repairs them, or drops them.
//!
//! Many webcams deviate from the JPEG standard. The policy is:
//!
//! | the JPEG has | action |
//! | --- | --- |
//! | SOI, quantization and Huffman tables, a size, EOI at the end | passed on, not copied |
//! | bytes before SOI (at most 512), padding or other bytes after EOI | cut off, not copied |
//! | no Huffman table | copied, with the standard tables inserted |
//! | no EOI, from a camera that usually omits it | copied, with EOI added |
//! | no EOI, from a camera that usually sends it | dropped: the JPEG is truncated |
//! | empty, no SOI, no size, no quantization table, no scan, damaged header | dropped |
//! | lossless or arithmetic coding, other than 8 bits, over 8 MiB | dropped: browsers cannot show it |
//!
//! Only the headers and the end are examined. If EOI is not where it belongs, the entropy-coded data
//! is searched for it, but never decoded. Damage inside that data is left to the decoder.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr;

use cv_picture::Resolution;
use cv_picture::huffman;

/// Maximum length of a JPEG that the protocol carries, in bytes.
pub const MAX_PICTURE_LEN: usize = cv_protocol::MAX_FRAME_BYTES;

/// Maximum number of bytes before SOI that are cut off; a JPEG with more is dropped.
const MAX_LEADING_LEN: usize = 512;

pub(super) const SOI: u8 = 0xD8;
pub(super) const EOI: u8 = 0xD9;
pub(super) const SOS: u8 = 0xDA;
const DQT: u8 = 0xDB;
const DNL: u8 = 0xDC;
const DRI: u8 = 0xDD;
const DHT: u8 = 0xC4;
const DAC: u8 = 0xCC;
/// Marker reserved for JPEG extensions; `FF C8` looks like a frame header but is none.
const JPG: u8 = 0xC8;
const TEM: u8 = 0x01;

/// Reason why bytes that a source delivered are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPicture {
    /// The source delivered no bytes.
    #[error("empty")]
    Empty,
    /// The bytes contain no start-of-image marker.
    #[error("not JPEG: no start of image")]
    NoSoi,
    /// A marker segment of the header is damaged, or the data ends within the header.
    #[error("JPEG header damaged or cut short")]
    Header,
    /// The JPEG has no frame header before its scan, so its size is unknown.
    #[error("JPEG without a size")]
    NoSize,
    /// The JPEG has no quantization table before its scan.
    #[error("JPEG without a quantization table")]
    NoQuantization,
    /// The JPEG uses a coding that browsers and detectors cannot decode. Carries the second byte of
    /// the frame header's marker.
    #[error("unsupported JPEG (frame header FF{0:02X}: expected 8-bit baseline or progressive)")]
    Kind(u8),
    /// The JPEG has no end-of-image marker, although the source usually sends one.
    #[error("JPEG cut short")]
    Truncated,
    /// The driver marked the buffer as damaged.
    #[error("the driver reports the frame as damaged")]
    Damaged,
    /// An uncompressed frame could not be encoded as JPEG.
    #[error("the raw frame cannot be encoded")]
    Raw,
    /// A PNG file could not be decoded.
    #[error("the PNG cannot be decoded")]
    Png,
    /// The JPEG is longer than [`MAX_PICTURE_LEN`].
    #[error("JPEG larger than 8 MiB")]
    TooLarge,
}

/// A JPEG that passed the checks, repaired if necessary.
#[derive(Clone, Debug)]
pub struct Usable {
    /// The JPEG, from its SOI to its EOI marker.
    pub jpeg: Bytes,
    /// Size of the JPEG in pixels.
    pub resolution: Resolution,
    /// Whether bytes had to be added or cut off.
    pub repaired: bool,
}

/// Checks the JPEGs of one source, and remembers whether that source ends them with an EOI marker.
#[derive(Debug, Default)]
pub struct Checker {
    /// One bit for each of the last eight JPEGs with a valid header: whether it had an EOI marker.
    had_eoi: u8,
}

impl Checker {
    /// A checker of a source whose last eight pictures had an EOI where a bit is set.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn with_history(had_eoi: u8) -> Self {
        Self { had_eoi }
    }

    /// Applies the policy of this module to the bytes that a source delivered for one frame.
    ///
    /// # Errors
    ///
    /// Returns the [`BadPicture`] reason if the frame is to be dropped.
    pub fn check(&mut self, bytes: &Bytes) -> Result<Usable, BadPicture> {
        let start = find_start(bytes)?;
        let picture = bytes.slice(start..);
        let header = Header::parse(&picture)?;
        let end = find_end(&picture, header.scan);
        let omits_eoi = self.had_eoi.count_ones() < 4;
        self.had_eoi = self.had_eoi << 1 | u8::from(end.is_some());
        let (end, add_eoi) = match end {
            Some(end) => (end, false),
            None if omits_eoi => (end_of_data(&picture, header.scan), true),
            None => return Err(BadPicture::Truncated),
        };
        let cut = start > 0 || end < picture.len();
        let jpeg = if header.has_huffman && !add_eoi {
            picture.slice(..end)
        } else {
            completed(picture.get(..end).unwrap_or(&picture), &header, add_eoi)
        };
        if jpeg.len() > MAX_PICTURE_LEN {
            return Err(BadPicture::TooLarge);
        }
        Ok(Usable {
            jpeg,
            resolution: header.resolution,
            repaired: cut || add_eoi || !header.has_huffman,
        })
    }
}

/// The parts of a JPEG header that the checks need.
#[derive(Debug)]
pub(super) struct Header {
    resolution: Resolution,
    has_huffman: bool,
    /// Offset of the SOS marker.
    sos: usize,
    /// Offset of the entropy-coded data.
    pub(super) scan: usize,
}

impl Header {
    /// Walks the marker segments from SOI to the first scan.
    pub(super) fn parse(jpeg: &[u8]) -> Result<Self, BadPicture> {
        let mut at = 2;
        let mut resolution = None;
        let mut has_huffman = false;
        let mut has_quantization = false;
        let mut progressive = false;
        loop {
            let (marker, segment) = segment(jpeg, at).map_err(|_| BadPicture::Header)?;
            let payload = jpeg.get(segment.clone()).ok_or(BadPicture::Header)?;
            match marker {
                DHT => has_huffman = true,
                DQT => has_quantization = true,
                0xC0..=0xC2 => {
                    resolution = Some(frame_size(marker, payload)?);
                    progressive = marker == 0xC2;
                }
                DAC | JPG => {}
                0xC3..=0xCF => return Err(BadPicture::Kind(marker)),
                SOS => {
                    if !has_quantization {
                        return Err(BadPicture::NoQuantization);
                    }
                    if progressive && !has_huffman {
                        // The standard tables are for sequential scans only.
                        return Err(BadPicture::Header);
                    }
                    return Ok(Self {
                        resolution: resolution.ok_or(BadPicture::NoSize)?,
                        has_huffman,
                        sos: at,
                        scan: segment.end,
                    });
                }
                _ => {}
            }
            at = segment.end;
        }
    }
}

/// Reads sample precision, height and width from the payload of a frame header.
fn frame_size(marker: u8, payload: &[u8]) -> Result<Resolution, BadPicture> {
    let &[precision, h1, h0, w1, w0, components, ..] = payload else {
        return Err(BadPicture::Header);
    };
    let height = u32::from(u16::from_be_bytes([h1, h0]));
    let width = u32::from(u16::from_be_bytes([w1, w0]));
    if precision != 8 || !matches!(components, 1 | 3) {
        return Err(BadPicture::Kind(marker));
    }
    if width == 0 || height == 0 {
        return Err(BadPicture::NoSize);
    }
    Ok(Resolution { width, height })
}

/// Reason why there is no complete marker segment at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSegment {
    /// The data ends before the segment does.
    Cut,
    /// The bytes at the offset are not a marker with a length.
    Other,
}

/// Returns the marker at `at`, which fill bytes may precede, and the range of its payload.
pub(super) fn segment(jpeg: &[u8], at: usize) -> Result<(u8, Range<usize>), NoSegment> {
    let rest = jpeg.get(at..).unwrap_or_default();
    let fill = rest.iter().take_while(|&&byte| byte == 0xFF).count();
    if fill == 0 && !rest.is_empty() {
        return Err(NoSegment::Other);
    }
    let Some(&[marker, h, l]) = rest.get(fill..fill + 3) else {
        return Err(NoSegment::Cut);
    };
    let length = usize::from(u16::from_be_bytes([h, l]));
    if matches!(marker, 0 | TEM | 0xD0..=EOI) || length < 2 {
        return Err(NoSegment::Other);
    }
    let payload = at + fill + 3..at + fill + 1 + length;
    if payload.end > jpeg.len() {
        return Err(NoSegment::Cut);
    }
    Ok((marker, payload))
}

fn find_start(bytes: &[u8]) -> Result<usize, BadPicture> {
    if bytes.is_empty() {
        return Err(BadPicture::Empty);
    }
    let head = bytes.get(..MAX_LEADING_LEN + 3).unwrap_or(bytes);
    find_soi(head).ok_or(BadPicture::NoSoi)
}

/// Returns the offset of the first start of image: `FF D8`, followed by the first byte of another
/// marker.
pub(super) fn find_soi(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, &[0xFF, SOI, 0xFF])
}

/// Returns the offset behind the JPEG's EOI marker; `None` if there is no EOI marker.
fn find_end(jpeg: &[u8], scan: usize) -> Option<usize> {
    // Nearly every JPEG ends here.
    if jpeg.len() >= scan + 2 && jpeg.ends_with(&[0xFF, EOI]) {
        return Some(jpeg.len());
    }
    // With zero padding the JPEG ends here; anything else needs a search through the entropy-coded
    // data.
    let unpadded = jpeg.len() - trailing(jpeg, |byte| byte == 0);
    let tail = jpeg.get(..unpadded).unwrap_or(jpeg);
    if unpadded >= scan + 2 && tail.ends_with(&[0xFF, EOI]) {
        return Some(unpadded);
    }
    let mut at = scan;
    loop {
        match next_marker(jpeg, at)? {
            (marker_at, EOI) => return Some(marker_at + 2),
            (_, SOI) => return None,
            (marker_at, _) => {
                at = segment(jpeg, marker_at).map_or(marker_at + 2, |found| found.1.end)
            }
        }
    }
}

/// Returns the offset (of the `FF` byte) and the code of the next marker at or after `from`, which
/// must lie in entropy-coded data.
///
/// Only markers that may follow a scan count: EOI, the SOI of the next JPEG, and the tables and
/// headers of further scans. Stuffed zeros, fill bytes, restart markers and markers that only
/// damage can cause are skipped.
pub(super) fn next_marker(data: &[u8], from: usize) -> Option<(usize, u8)> {
    let mut at = from;
    loop {
        at += memchr(0xFF, data.get(at..)?)?;
        match *data.get(at + 1)? {
            marker @ (SOI | EOI | SOS | DQT | DHT | DNL | DRI) => return Some((at, marker)),
            0xFF => at += 1,
            _ => at += 2,
        }
    }
}

/// Returns the offset at which the data of a JPEG without EOI marker ends, without padding and half
/// a marker.
fn end_of_data(jpeg: &[u8], scan: usize) -> usize {
    let padding = trailing(jpeg, |byte| byte == 0 || byte == 0xFF);
    (jpeg.len() - padding).max(scan)
}

fn trailing(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    bytes.iter().rev().take_while(|&&byte| is(byte)).count()
}

/// Copies a JPEG and adds what it lacks: the standard Huffman tables, an EOI marker, or both.
fn completed(picture: &[u8], header: &Header, add_eoi: bool) -> Bytes {
    let mut whole = BytesMut::with_capacity(picture.len() + huffman::TABLES_LEN + 2);
    if header.has_huffman {
        whole.put_slice(picture);
    } else {
        let (before, from_sos) = picture.split_at(header.sos.min(picture.len()));
        whole.put_slice(before);
        huffman::put_tables(&mut whole);
        whole.put_slice(from_sos);
    }
    if add_eoi {
        whole.put_slice(&[0xFF, EOI]);
    }
    whole.freeze()
}

#[cfg(test)]
pub(super) mod tests {
    use jpeg_encoder::{ColorType, Encoder};
    use zune_jpeg::JpegDecoder;

    use super::*;

    /// Encodes a small noisy image with the standard Huffman tables.
    pub fn jpeg(width: u16, height: u16, seed: u64) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        let pixels: Vec<u8> = (0..usize::from(width) * usize::from(height) * 3)
            .map(|_| random.u8(..))
            .collect();
        let mut out = Vec::new();
        Encoder::new(&mut out, 70)
            .encode(&pixels, width, height, ColorType::Rgb)
            .unwrap();
        out
    }

    /// Removes the DHT segments from a JPEG.
    fn without_dht(jpeg: &[u8]) -> Vec<u8> {
        let mut out = jpeg[..2].to_vec();
        let mut at = 2;
        loop {
            let (marker, payload) = segment(jpeg, at).unwrap();
            if marker == SOS {
                out.extend(&jpeg[at..]);
                return out;
            }
            if marker != DHT {
                out.extend(&jpeg[at..payload.end]);
            }
            at = payload.end;
        }
    }

    fn check(bytes: Vec<u8>) -> Result<Usable, BadPicture> {
        Checker::default().check(&bytes.into())
    }

    fn pixels(jpeg: &[u8]) -> Vec<u8> {
        JpegDecoder::new(std::io::Cursor::new(jpeg))
            .decode()
            .unwrap()
    }

    #[test]
    fn a_complete_jpeg_is_passed_on_without_a_copy() {
        let bytes = Bytes::from(jpeg(48, 32, 1));
        let usable = Checker::default().check(&bytes).unwrap();
        assert_eq!(usable.jpeg.as_ptr(), bytes.as_ptr());
        assert_eq!(usable.jpeg.len(), bytes.len());
        assert_eq!(usable.resolution.to_string(), "48x32");
        assert!(!usable.repaired);
    }

    #[test]
    fn padding_and_leading_bytes_are_cut_off_without_a_copy() {
        let sound = jpeg(48, 32, 2);
        for (before, after) in [
            (&b""[..], &[0; 999][..]),
            (&[0; 512], b""),
            (&[0xFF, 0, 1], b"rubbish that is not zero"),
            // The rest of an older, longer JPEG.
            (b"", &sound[200..]),
        ] {
            let bytes = Bytes::from([before, &sound, after].concat());
            let usable = Checker::default().check(&bytes).unwrap();
            assert!(usable.repaired || after == &sound[200..]);
            assert!(usable.jpeg.starts_with(&sound));
            assert_eq!(usable.jpeg.as_ptr(), bytes[before.len()..].as_ptr());
        }
    }

    #[test]
    fn missing_huffman_tables_are_replaced_by_the_standard_ones() {
        let sound = jpeg(48, 32, 3);
        let usable = check(without_dht(&sound)).unwrap();
        assert!(usable.repaired);
        assert_eq!(pixels(&usable.jpeg), pixels(&sound));
    }

    #[test]
    fn a_missing_eoi_is_added_for_a_camera_that_never_sends_it() {
        let sound = jpeg(48, 32, 4);
        let mut checker = Checker::default();
        for padding in [0, 1, 700] {
            let mut bytes = sound[..sound.len() - 2].to_vec();
            bytes.resize(bytes.len() + padding, 0);
            let usable = checker.check(&bytes.into()).unwrap();
            assert!(usable.repaired);
            assert!(usable.jpeg.ends_with(&[0xFF, EOI]));
            assert_eq!(pixels(&usable.jpeg), pixels(&sound));
        }
    }

    #[test]
    fn a_truncated_jpeg_is_dropped_if_the_others_are_complete() {
        let sound = Bytes::from(jpeg(48, 32, 5));
        let mut checker = Checker::default();
        for _ in 0..8 {
            checker.check(&sound).unwrap();
        }
        let cut = sound.slice(..sound.len() / 2 + 200);
        assert_eq!(checker.check(&cut).unwrap_err(), BadPicture::Truncated);
        assert!(checker.check(&sound).is_ok());
    }

    #[test]
    fn bytes_that_are_not_a_jpeg_are_dropped_with_the_reason() {
        let sound = jpeg(48, 32, 6);
        assert_eq!(check(vec![]).unwrap_err(), BadPicture::Empty);
        assert_eq!(check(vec![0; 5000]).unwrap_err(), BadPicture::NoSoi);
        assert_eq!(check(b"<html>".to_vec()).unwrap_err(), BadPicture::NoSoi);
        assert_eq!(
            check([&[1; 600], &sound[..]].concat()).unwrap_err(),
            BadPicture::NoSoi
        );
        assert_eq!(check(sound[..40].to_vec()).unwrap_err(), BadPicture::Header);
        let at = sound.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
        let mut changed = sound.clone();
        changed[at + 1] = 0xC3;
        assert_eq!(check(changed).unwrap_err(), BadPicture::Kind(0xC3));
        let mut changed = sound.clone();
        changed[at + 4] = 12;
        assert_eq!(check(changed).unwrap_err(), BadPicture::Kind(0xC0));
        let mut changed = sound.clone();
        changed[at + 5..at + 7].fill(0);
        assert_eq!(check(changed).unwrap_err(), BadPicture::NoSize);
        let mut changed = sound.clone();
        changed[at + 1] = 0xEE;
        assert_eq!(check(changed).unwrap_err(), BadPicture::NoSize);
        let mut changed = sound;
        while let Some(at) = changed.windows(2).position(|w| w == [0xFF, DQT]) {
            changed[at + 1] = 0xEE;
        }
        assert_eq!(check(changed).unwrap_err(), BadPicture::NoQuantization);
    }

    #[test]
    fn a_thumbnail_inside_a_jpeg_is_not_taken_for_the_frame() {
        let (sound, thumbnail) = (jpeg(48, 32, 7), jpeg(16, 16, 8));
        let mut bytes = vec![0xFF, SOI, 0xFF, 0xE1];
        bytes.extend(u16::try_from(thumbnail.len() + 2).unwrap().to_be_bytes());
        bytes.extend(&thumbnail);
        bytes.extend(&sound[2..]);
        bytes.extend([0; 9]);
        let usable = check(bytes).unwrap();
        assert_eq!(usable.resolution.to_string(), "48x32");
        assert_eq!(pixels(&usable.jpeg), pixels(&sound));
    }

    #[test]
    fn a_jpeg_that_the_protocol_cannot_carry_is_dropped() {
        let mut bytes = jpeg(48, 32, 9);
        let eoi = bytes.split_off(bytes.len() - 2);
        bytes.resize(MAX_PICTURE_LEN + 1, 0x55);
        bytes.extend(eoi);
        assert_eq!(check(bytes).unwrap_err(), BadPicture::TooLarge);
    }

    #[test]
    fn damaged_bytes_never_panic() {
        let sound = jpeg(48, 32, 10);
        let mut random = fastrand::Rng::with_seed(11);
        let mut checker = Checker::default();
        let mut usable = 0;
        for _ in 0..20_000 {
            let mut bytes = sound.clone();
            for _ in 0..random.usize(1..8) {
                let at = random.usize(..bytes.len());
                match random.u8(..4) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes[at] = 0xFF,
                    2 => bytes.insert(at, random.u8(..)),
                    _ => bytes[at] = random.u8(..),
                }
            }
            let limit = bytes.len() + huffman::TABLES_LEN + 2;
            if let Ok(picture) = checker.check(&bytes.into()) {
                usable += 1;
                assert!(picture.jpeg.len() <= limit);
                assert!(picture.jpeg.starts_with(&[0xFF, SOI, 0xFF]));
                assert!(picture.jpeg.ends_with(&[0xFF, EOI]));
            }
        }
        assert!(usable > 1000, "{usable}");
    }
}
