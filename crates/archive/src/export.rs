//! Footage as one Matroska file: the camera's own JPEGs with their exact times, nothing encoded
//! anew.
//!
//! The file can be written to a pipe: no length has to be known beforehand and nothing is written
//! twice, so it can be played as far as it has come. Every frame is a cluster of its own, because
//! times are microseconds, and within a cluster they have only 16 bits (RFC 9559, 10.3).

use std::io::{self, Write};

use cv_protocol::Timestamp;

use crate::segment::StoredFrame;

/// Microseconds between the Unix epoch and Matroska's, 2001-01-01.
const EPOCH_US: i64 = 978_307_200_000_000;

/// Elements (RFC 8794, RFC 9559).
mod id {
    pub const EBML: u32 = 0x1A45_DFA3;
    pub const EBML_VERSION: u32 = 0x4286;
    pub const EBML_READ_VERSION: u32 = 0x42F7;
    pub const EBML_MAX_ID_LENGTH: u32 = 0x42F2;
    pub const EBML_MAX_SIZE_LENGTH: u32 = 0x42F3;
    pub const DOC_TYPE: u32 = 0x4282;
    pub const DOC_TYPE_VERSION: u32 = 0x4287;
    pub const DOC_TYPE_READ_VERSION: u32 = 0x4285;
    pub const SEGMENT: u32 = 0x1853_8067;
    pub const INFO: u32 = 0x1549_A966;
    pub const TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
    pub const DURATION: u32 = 0x4489;
    pub const DATE_UTC: u32 = 0x4461;
    pub const TITLE: u32 = 0x7BA9;
    pub const MUXING_APP: u32 = 0x4D80;
    pub const WRITING_APP: u32 = 0x5741;
    pub const TRACKS: u32 = 0x1654_AE6B;
    pub const TRACK_ENTRY: u32 = 0xAE;
    pub const TRACK_NUMBER: u32 = 0xD7;
    pub const TRACK_UID: u32 = 0x73C5;
    pub const TRACK_TYPE: u32 = 0x83;
    pub const FLAG_LACING: u32 = 0x9C;
    pub const CODEC_ID: u32 = 0x86;
    pub const VIDEO: u32 = 0xE0;
    pub const PIXEL_WIDTH: u32 = 0xB0;
    pub const PIXEL_HEIGHT: u32 = 0xBA;
    pub const CLUSTER: u32 = 0x1F43_B675;
    pub const TIMESTAMP: u32 = 0xE7;
    pub const SIMPLE_BLOCK: u32 = 0xA3;
}

const APP: &str = concat!("cv-archive ", env!("CARGO_PKG_VERSION"));

/// A size that is not known: all ones in eight bytes.
const UNKNOWN_SIZE: [u8; 8] = [0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];

/// What is said of the whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// The camera's name.
    pub camera: String,
    /// Time of the last frame, as far as it is known.
    pub end_us: Option<Timestamp>,
}

/// Writes frames as Matroska.
pub struct MatroskaWriter<W> {
    out: W,
    title: Title,
    start: Option<Timestamp>,
}

impl<W: Write> MatroskaWriter<W> {
    /// A writer; the head of the file comes with the first frame.
    pub fn new(out: W, title: Title) -> Self {
        Self {
            out,
            title,
            start: None,
        }
    }

    /// Writes a frame.
    ///
    /// # Errors
    ///
    /// Those of the destination.
    pub fn frame(&mut self, frame: &StoredFrame) -> io::Result<()> {
        let record = &frame.record;
        let start = match self.start {
            Some(start) => start,
            None => {
                let head = head(&self.title, record.at_us, record.width, record.height);
                self.out.write_all(&head)?;
                *self.start.insert(record.at_us)
            }
        };
        let mut body = Vec::with_capacity(32);
        let since_start = record.at_us.0.saturating_sub(start.0);
        put_number(&mut body, id::TIMESTAMP, since_start);
        put_id(&mut body, id::SIMPLE_BLOCK);
        // Track 1, no time beyond the cluster's, a key frame.
        let block_head = [0x81, 0, 0, 0x80];
        let length = block_head.len() + frame.jpeg.len();
        put_size(&mut body, length as u64);
        body.extend(block_head);
        let mut cluster = Vec::with_capacity(16 + body.len());
        put_id(&mut cluster, id::CLUSTER);
        put_size(&mut cluster, (body.len() + frame.jpeg.len()) as u64);
        cluster.extend(body);
        self.out.write_all(&cluster)?;
        self.out.write_all(&frame.jpeg)
    }

    /// The destination.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// The destination, when nothing follows.
    pub fn into_inner(self) -> W {
        self.out
    }
}

fn head(title: &Title, start: Timestamp, width: u16, height: u16) -> Vec<u8> {
    let mut ebml = Vec::new();
    put_number(&mut ebml, id::EBML_VERSION, 1);
    put_number(&mut ebml, id::EBML_READ_VERSION, 1);
    put_number(&mut ebml, id::EBML_MAX_ID_LENGTH, 4);
    put_number(&mut ebml, id::EBML_MAX_SIZE_LENGTH, 8);
    put(&mut ebml, id::DOC_TYPE, b"matroska");
    put_number(&mut ebml, id::DOC_TYPE_VERSION, 4);
    put_number(&mut ebml, id::DOC_TYPE_READ_VERSION, 2);

    let mut info = Vec::new();
    // Nanoseconds of one tick.
    put_number(&mut info, id::TIMESTAMP_SCALE, 1000);
    if let Some(end) = title.end_us {
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 us, 285 years")]
        let duration = end.0.saturating_sub(start.0) as f64;
        put(&mut info, id::DURATION, &duration.to_be_bytes());
    }
    let date = i64::try_from(start.0).unwrap_or(i64::MAX) - EPOCH_US;
    put(
        &mut info,
        id::DATE_UTC,
        &date.saturating_mul(1000).to_be_bytes(),
    );
    put(&mut info, id::TITLE, title.camera.as_bytes());
    put(&mut info, id::MUXING_APP, APP.as_bytes());
    put(&mut info, id::WRITING_APP, APP.as_bytes());

    let mut video = Vec::new();
    put_number(&mut video, id::PIXEL_WIDTH, u64::from(width));
    put_number(&mut video, id::PIXEL_HEIGHT, u64::from(height));
    let mut track = Vec::new();
    put_number(&mut track, id::TRACK_NUMBER, 1);
    put_number(&mut track, id::TRACK_UID, 1);
    // Video.
    put_number(&mut track, id::TRACK_TYPE, 1);
    put_number(&mut track, id::FLAG_LACING, 0);
    put(&mut track, id::CODEC_ID, b"V_MJPEG");
    put(&mut track, id::VIDEO, &video);
    let mut tracks = Vec::new();
    put(&mut tracks, id::TRACK_ENTRY, &track);

    let mut head = Vec::new();
    put(&mut head, id::EBML, &ebml);
    put_id(&mut head, id::SEGMENT);
    head.extend(UNKNOWN_SIZE);
    put(&mut head, id::INFO, &info);
    put(&mut head, id::TRACKS, &tracks);
    head
}

/// Ids carry their own length.
fn put_id(out: &mut Vec<u8>, id: u32) {
    out.extend(id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0));
}

/// A size in as few bytes as hold it; all ones are reserved.
fn put_size(out: &mut Vec<u8>, size: u64) {
    let bytes = (1..8)
        .find(|bytes| size < (1 << (7 * bytes)) - 1)
        .unwrap_or(8);
    let marked = size | 1 << (7 * bytes);
    out.extend(&marked.to_be_bytes()[8 - bytes..]);
}

fn put(out: &mut Vec<u8>, id: u32, content: &[u8]) {
    put_id(out, id);
    put_size(out, content.len() as u64);
    out.extend(content);
}

fn put_number(out: &mut Vec<u8>, id: u32, number: u64) {
    let bytes = number.to_be_bytes();
    let zeros = (number.leading_zeros() / 8).min(7) as usize;
    put(out, id, &bytes[zeros..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_as_few_bytes_as_they_can() {
        let size = |n| {
            let mut out = Vec::new();
            put_size(&mut out, n);
            out
        };
        assert_eq!(size(0), [0x80]);
        assert_eq!(size(126), [0xFE]);
        assert_eq!(size(127), [0x40, 0x7F]);
        assert_eq!(size(16_382), [0x7F, 0xFE]);
        assert_eq!(size(16_383), [0x20, 0x3F, 0xFF]);
        assert_eq!(size(u64::MAX >> 8).len(), 8);
    }
}
