//! Records of fixed size beside the frames.
//!
//! All numbers are little-endian. Record n of a file stands at byte 48 (n + 1):
//!
//! ```text
//!  0 offset u32 | 4 length u32 | 8 at_us u64 | 16 captured_us u64 | 24 seq u64
//! 32 width u16  | 34 height u16 | 36 flags u32 (1: boxes are drawn in)
//! 40 CRC-32 of the JPEG u32     | 44 CRC-32 of bytes 0 to 43 u32
//! ```
//!
//! The header has the same size: 16 bytes of magic, flags u32 (1: recorded without regard to
//! events), zeros, and the CRC-32 of what stands before it.

use cv_protocol::Timestamp;

/// Size of a record and of the header.
pub(crate) const RECORD_BYTES: usize = 48;

const MAGIC: &[u8; 16] = b"cv-archive side1";

const ANNOTATED: u32 = 1;
const CONTINUOUS: u32 = 1;

/// Where one frame stands, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// First byte in the file of frames.
    pub offset: u32,
    /// Bytes of the JPEG.
    pub length: u32,
    /// When it was captured, by the archive's clock.
    pub at_us: Timestamp,
    /// When it was captured, by the agent's clock.
    pub captured_us: Timestamp,
    /// The agent's number of the frame.
    pub seq: u64,
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// Whether boxes are drawn into the picture.
    pub annotated: bool,
    /// CRC-32 of the JPEG.
    pub crc: u32,
}

/// Why a side file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SideError {
    /// It does not begin like one.
    #[error("this is not a side file of version 1")]
    Header,
}

fn seal(bytes: &mut [u8; RECORD_BYTES]) {
    let (body, crc) = bytes.split_at_mut(RECORD_BYTES - 4);
    crc.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
}

fn is_sealed(bytes: &[u8]) -> bool {
    bytes.len() == RECORD_BYTES
        && bytes
            .split_last_chunk::<4>()
            .is_some_and(|(body, crc)| crc32fast::hash(body) == u32::from_le_bytes(*crc))
}

/// Numbers out of a record, front to back.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => [0; N],
        }
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

impl Record {
    pub(super) fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let flags = if self.annotated { ANNOTATED } else { 0 };
        let mut bytes = [0; RECORD_BYTES];
        let fields: [&[u8]; 10] = [
            &self.offset.to_le_bytes(),
            &self.length.to_le_bytes(),
            &self.at_us.0.to_le_bytes(),
            &self.captured_us.0.to_le_bytes(),
            &self.seq.to_le_bytes(),
            &self.width.to_le_bytes(),
            &self.height.to_le_bytes(),
            &flags.to_le_bytes(),
            &self.crc.to_le_bytes(),
            &[0; 4],
        ];
        for (byte, value) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *byte = *value;
        }
        seal(&mut bytes);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if !is_sealed(bytes) {
            return None;
        }
        let mut fields = Fields(bytes);
        Some(Self {
            offset: fields.u32(),
            length: fields.u32(),
            at_us: Timestamp(fields.u64()),
            captured_us: Timestamp(fields.u64()),
            seq: fields.u64(),
            width: fields.u16(),
            height: fields.u16(),
            annotated: fields.u32() & ANNOTATED != 0,
            crc: fields.u32(),
        })
    }

    /// First byte after the frame.
    #[must_use]
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.length)
    }
}

pub(super) fn header(continuous: bool) -> [u8; RECORD_BYTES] {
    let flags = if continuous { CONTINUOUS } else { 0 };
    let mut bytes = [0; RECORD_BYTES];
    for (byte, value) in bytes
        .iter_mut()
        .zip(MAGIC.iter().chain(&flags.to_le_bytes()))
    {
        *byte = *value;
    }
    seal(&mut bytes);
    bytes
}

/// The records of a side file as far as they are whole and follow one another, and whether the
/// segment was recorded without regard to events.
pub(crate) fn parse(bytes: &[u8]) -> Result<(Vec<Record>, bool), SideError> {
    let (head, body) = bytes
        .split_at_checked(RECORD_BYTES)
        .ok_or(SideError::Header)?;
    let mut fields = Fields(head);
    if !is_sealed(head) || &fields.take::<16>() != MAGIC {
        return Err(SideError::Header);
    }
    let continuous = fields.u32() & CONTINUOUS != 0;
    let mut records = Vec::with_capacity(body.len() / RECORD_BYTES);
    let mut end = 0;
    for chunk in body.chunks_exact(RECORD_BYTES) {
        match Record::from_bytes(chunk) {
            Some(record) if u64::from(record.offset) == end => {
                end = record.end();
                records.push(record);
            }
            _ => break,
        }
    }
    Ok((records, continuous))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: u32) -> Record {
        Record {
            offset,
            length: 10,
            at_us: Timestamp(1 << 50),
            captured_us: Timestamp(77),
            seq: 9,
            width: 640,
            height: 480,
            annotated: true,
            crc: 0xdead_beef,
        }
    }

    #[test]
    fn records_end_where_one_is_torn() {
        let mut file = header(true).to_vec();
        for offset in [0, 10, 20] {
            file.extend(record(offset).to_bytes());
        }
        assert_eq!(
            parse(&file).unwrap(),
            (vec![record(0), record(10), record(20)], true)
        );
        for cut in 1..RECORD_BYTES {
            assert_eq!(parse(&file[..file.len() - cut]).unwrap().0.len(), 2);
        }
        // A byte that is not what was written.
        for place in 2 * RECORD_BYTES..3 * RECORD_BYTES {
            let mut file = file.clone();
            file[place] ^= 0x40;
            assert_eq!(parse(&file).unwrap().0.len(), 1, "byte {place}");
        }
        assert!(parse(b"").is_err());
        assert!(parse(&[0; 96]).is_err());
    }
}
