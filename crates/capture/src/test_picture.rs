//! A moving test image: colour bars, a bouncing ball, and the time of day in milliseconds.
//!
//! The source must cost next to nothing beside what is being tested, so most of the image is
//! encoded only once. Each frame is a JPEG with a restart marker after each row of blocks, which
//! makes the rows independent of one another. Rows that never change are encoded once, the rows
//! with the ball once for each position of the ball, and only the few rows with the time are
//! encoded for each frame.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use cv_protocol::Timestamp;

use super::error::CaptureError;
use super::jpeg::{Header, segment};
use super::pace::Pace;
use super::source::{Counts, Picture, Source, Wanted};
use cv_picture::{Resolution, encode_with_restarts, letter};

/// Height of a row of blocks, in pixels (4:2:0).
const ROW: usize = 16;

/// Time in which the ball moves across the image and back.
const ROUND: Duration = Duration::from_secs(4);

/// Maximum number of bytes of the ball's rows that are kept; beyond that they are encoded again.
const KEPT_LEN: usize = 16 << 20;

const QUALITY: u8 = 85;

type Rgb = [u8; 3];

const NIGHT: Rgb = [16, 18, 34];
const DUSK: Rgb = [44, 52, 92];
const WHITE: Rgb = [240, 244, 250];
const BALL: Rgb = [255, 196, 61];
const BARS: [Rgb; 8] = [
    [239, 71, 111],
    [247, 127, 70],
    [255, 209, 102],
    [139, 201, 120],
    [6, 190, 160],
    [38, 140, 190],
    [84, 86, 180],
    [142, 84, 170],
];

/// The moving test image as a source.
pub struct TestPicture {
    resolution: Resolution,
    fps: f32,
    pace: Pace,
    /// Number of frames made so far, including those that were dropped because they were late.
    made: u64,
    stale: u64,
    header: Bytes,
    bars: Rows,
    caption: Rows,
    stage: Strip,
    /// Encoded rows with the ball for each of its positions; `None` for positions not encoded yet.
    places: Vec<Option<Rows>>,
    kept_len: usize,
    clock: Strip,
}

impl TestPicture {
    /// Creates a test image of the given size and rate; the wanted ones replace what is `None`.
    pub fn new(
        size: Option<Resolution>,
        fps: Option<f32>,
        wanted: &Wanted,
    ) -> Result<Self, CaptureError> {
        let resolution = size.unwrap_or(wanted.max_size);
        let fps = fps.unwrap_or(wanted.fps).clamp(0.05, 240.0);
        let (width, rows) = (
            resolution.width as usize,
            (resolution.height as usize).div_ceil(ROW),
        );
        // Five tenths of the height are bars, three tenths are the ball's stage, and the rest is
        // text.
        let clock_rows = rows.div_ceil(10).min(rows);
        let caption_rows = rows.div_ceil(10).min(rows - clock_rows);
        let stage_rows = (rows * 3 / 10).min(rows - clock_rows - caption_rows);
        let bar_rows = rows - clock_rows - caption_rows - stage_rows;

        let mut bars = Strip::new(width, bar_rows);
        bars.paint(|x, y, height| {
            let bar = BARS[(x * BARS.len() / width).min(BARS.len() - 1)];
            mix(bar, NIGHT, 0.35 * y as f32 / height as f32)
        });
        let mut stage = Strip::new(width, stage_rows);
        stage.paint(|_, y, height| mix(NIGHT, DUSK, y as f32 / height as f32));
        let mut caption = Strip::new(width, caption_rows);
        caption.paint(|_, _, _| NIGHT);
        let text = format!("cv-agent test picture  {resolution}  {fps} fps");
        caption.write_centred(&text, mix(NIGHT, WHITE, 0.6), 2);
        let mut clock = Strip::new(width, clock_rows);
        clock.paint(|_, _, _| NIGHT);

        let (header, _) = clock.encode()?;
        let places = (ROUND.as_secs_f32() * fps).round().max(1.0) as usize;
        Ok(Self {
            resolution,
            fps,
            pace: Pace::new(fps),
            made: 0,
            stale: 0,
            header: with_height(&header, resolution.height)?,
            bars: bars.encode()?.1,
            caption: caption.encode()?.1,
            stage,
            places: vec![None; places],
            kept_len: 0,
            clock,
        })
    }

    fn draw(&mut self, time: Timestamp) -> Result<Bytes, CaptureError> {
        self.clock.paint(|_, _, _| NIGHT);
        self.clock.write_centred(&time_of_day(time), WHITE, 16);
        let (_, clock) = self.clock.encode()?;
        let ball = self.ball()?;
        let rows: Vec<&[u8]> = [&self.bars, &ball, &clock, &self.caption]
            .into_iter()
            .flat_map(|rows| rows.iter().map(|row| &row[..]))
            .collect();
        let len: usize = rows.iter().map(|row| row.len() + 2).sum();
        let mut jpeg = BytesMut::with_capacity(self.header.len() + len);
        jpeg.put_slice(&self.header);
        for (index, row) in rows.iter().enumerate() {
            jpeg.put_slice(row);
            let restart = 0xD0 + (index % 8) as u8;
            let last = index + 1 == rows.len();
            jpeg.put_slice(&[0xFF, if last { 0xD9 } else { restart }]);
        }
        Ok(jpeg.freeze())
    }

    /// Returns the rows of the stage with the ball at its current position.
    fn ball(&mut self) -> Result<Rows, CaptureError> {
        let index = (self.made % self.places.len() as u64) as usize;
        if let Some(Some(rows)) = self.places.get(index) {
            return Ok(rows.clone());
        }
        let mut stage = self.stage.clone();
        stage.draw_ball(index as f32 / self.places.len() as f32);
        let (_, rows) = stage.encode()?;
        let len: usize = rows.iter().map(Bytes::len).sum();
        if let Some(place) = self
            .places
            .get_mut(index)
            .filter(|_| self.kept_len + len <= KEPT_LEN)
        {
            *place = Some(rows.clone());
            self.kept_len += len;
        }
        Ok(rows)
    }
}

impl Source for TestPicture {
    fn next(&mut self, timeout: Duration) -> Result<Option<Picture>, CaptureError> {
        let Some(missed) = self.pace.wait(timeout) else {
            return Ok(None);
        };
        let captured_at = Timestamp::now();
        self.made += missed;
        self.stale += missed;
        // It shows the time to people.
        let jpeg = self.draw(Timestamp::wall_clock())?;
        self.made += 1;
        Ok(Some(Picture {
            jpeg,
            captured_at,
            resolution: self.resolution,
            skipped: missed,
        }))
    }

    fn describe(&self) -> String {
        format!("test picture, {} at {} fps", self.resolution, self.fps)
    }

    fn nominal_fps(&self) -> Option<f32> {
        Some(self.fps)
    }

    fn counts(&self) -> Counts {
        Counts {
            stale: self.stale,
            ..Counts::default()
        }
    }
}

/// Entropy-coded rows of blocks, each without its restart marker.
type Rows = Vec<Bytes>;

/// A strip of the image: its full width, and several rows of blocks high.
#[derive(Clone)]
struct Strip {
    width: usize,
    pixels: Vec<Rgb>,
}

impl Strip {
    fn new(width: usize, rows: usize) -> Self {
        Self {
            width,
            pixels: vec![NIGHT; width * rows * ROW],
        }
    }

    fn height(&self) -> usize {
        self.pixels.len() / self.width
    }

    /// Sets every pixel to the colour that `color` returns for its x, its y and the strip's height.
    fn paint(&mut self, color: impl Fn(usize, usize, usize) -> Rgb) {
        let height = self.height();
        for (y, line) in self.pixels.chunks_exact_mut(self.width).enumerate() {
            for (x, pixel) in line.iter_mut().enumerate() {
                *pixel = color(x, y, height);
            }
        }
    }

    /// Writes a line of text, centred, as large as fits but at most `max_scale` times 8 pixels
    /// high.
    fn write_centred(&mut self, text: &str, color: Rgb, max_scale: usize) {
        let fits = (self.width / (8 * (text.len() + 1))).min(self.height() / 10);
        let scale = fits.clamp(1, max_scale);
        let left = self.width.saturating_sub(8 * scale * text.len()) / 2;
        let top = self.height().saturating_sub(8 * scale) / 2;
        for (index, byte) in text.bytes().enumerate() {
            for (y, bits) in letter(byte.into()).iter().enumerate() {
                for x in (0..8).filter(|x| bits >> x & 1 == 1) {
                    let (x, y) = (left + (index * 8 + x) * scale, top + y * scale);
                    self.fill(x, y, scale, color);
                }
            }
        }
    }

    fn fill(&mut self, left: usize, top: usize, side: usize, color: Rgb) {
        for line in self
            .pixels
            .chunks_exact_mut(self.width)
            .skip(top)
            .take(side)
        {
            let end = line.len().min(left + side);
            if let Some(part) = line.get_mut(left..end) {
                part.fill(color);
            }
        }
    }

    /// Draws the ball and its shadow at the fraction `part` of its round, 0 to 1.
    fn draw_ball(&mut self, part: f32) {
        let (width, height) = (self.width as f32, self.height() as f32);
        let radius = height * 0.2;
        // The ball moves across and back once, and bounces six times meanwhile.
        let along = 1.0 - (2.0 * part - 1.0).abs();
        let bounce = (part * 6.0).fract();
        let above = 4.0 * bounce * (1.0 - bounce);
        let x = radius * 1.5 + along * (width - 3.0 * radius);
        let floor = height * 0.92 - radius;
        let y = floor - above * (floor - radius * 1.2);
        let lit = [x - 0.35 * radius, y - 0.35 * radius];
        for (line_y, line) in self.pixels.chunks_exact_mut(self.width).enumerate() {
            let line_y = line_y as f32;
            let begin = (x - 2.0 * radius).max(0.0) as usize;
            for (pixel_x, pixel) in line.iter_mut().enumerate().skip(begin) {
                let pixel_x = pixel_x as f32;
                if pixel_x > x + 2.0 * radius {
                    break;
                }
                let shadow_width = radius * (1.6 - 0.8 * above);
                let shadow = ((pixel_x - x) / shadow_width)
                    .hypot((line_y - height * 0.92) / (radius * 0.25));
                *pixel = mix(*pixel, [0; 3], 0.5 * (1.0 - shadow).clamp(0.0, 1.0));
                let inside = radius - (pixel_x - x).hypot(line_y - y) + 0.5;
                let light = 1.0 - (pixel_x - lit[0]).hypot(line_y - lit[1]) / (1.5 * radius);
                let shaded = mix([150, 60, 40], BALL, (light * 1.6).clamp(0.0, 1.0));
                let shaded = mix(shaded, WHITE, (light * 3.0 - 2.2).clamp(0.0, 1.0));
                *pixel = mix(*pixel, shaded, inside.clamp(0.0, 1.0));
            }
        }
    }

    /// Encodes the strip, and returns the JPEG header and the rows.
    fn encode(&self) -> Result<(Bytes, Rows), CaptureError> {
        if self.pixels.is_empty() {
            return Ok((Bytes::new(), Rows::new()));
        }
        let side = |pixels: usize| u16::try_from(pixels).unwrap_or(u16::MAX);
        let jpeg = encode_with_restarts(
            self.pixels.as_flattened(),
            side(self.width),
            side(self.height()),
            QUALITY,
            side(self.width.div_ceil(ROW)),
        )
        .map_err(unusable)?;
        let header = Header::parse(&jpeg).map_err(unusable)?;
        let end = jpeg.len() - 2;
        let mut rows = Rows::new();
        let mut row = header.scan;
        for at in header.scan..end {
            if jpeg[at] == 0xFF && matches!(jpeg[at + 1], 0xD0..=0xD7) {
                rows.push(jpeg.slice(row..at));
                row = at + 2;
            }
        }
        rows.push(jpeg.slice(row..end));
        Ok((jpeg.slice(..header.scan), rows))
    }
}

fn unusable(error: impl std::error::Error) -> CaptureError {
    CaptureError::Unusable {
        what: "test picture".into(),
        reason: error.to_string(),
    }
}

/// Changes the height in a strip's JPEG header to `height`, so that it fits the whole image.
fn with_height(header: &[u8], height: u32) -> Result<Bytes, CaptureError> {
    let mut changed = header.to_vec();
    let mut at = 2;
    while let Ok((marker, payload)) = segment(header, at) {
        if matches!(marker, 0xC0..=0xC2) {
            let height = u16::try_from(height).map_err(unusable)?;
            changed[payload.start + 1..payload.start + 3].copy_from_slice(&height.to_be_bytes());
        }
        at = payload.end;
    }
    Ok(changed.into())
}

fn mix(a: Rgb, b: Rgb, part: f32) -> Rgb {
    std::array::from_fn(|i| {
        let (a, b) = (f32::from(a[i]), f32::from(b[i]));
        (a + (b - a) * part).round() as u8
    })
}

/// Formats a time of day, for example `13:37:00.123 UTC`.
fn time_of_day(time: Timestamp) -> String {
    let ms = time.0 / 1000;
    let (s, ms) = (ms / 1000, ms % 1000);
    format!(
        "{:02}:{:02}:{:02}.{ms:03} UTC",
        s / 3600 % 24,
        s / 60 % 60,
        s % 60
    )
}

#[cfg(test)]
mod tests {
    use zune_jpeg::JpegDecoder;

    use super::*;
    use crate::jpeg::Checker;

    fn decode(jpeg: &[u8]) -> (Vec<u8>, usize, usize) {
        let mut decoder = JpegDecoder::new(std::io::Cursor::new(jpeg));
        let pixels = decoder.decode().unwrap();
        let (width, height) = decoder.dimensions().unwrap();
        (pixels, width, height)
    }

    fn test_picture(size: &str) -> TestPicture {
        TestPicture::new(Some(size.parse().unwrap()), Some(10.0), &Wanted::default()).unwrap()
    }

    #[test]
    fn frames_of_any_size_are_valid_jpegs() {
        for size in [
            "640x480", "1280x720", "16x16", "17x31", "333x250", "64x2000",
        ] {
            let mut source = test_picture(size);
            let picture = source.next(Duration::ZERO).unwrap().unwrap();
            let usable = Checker::default().check(&picture.jpeg).unwrap();
            assert!(!usable.repaired);
            assert_eq!(usable.resolution.to_string(), size);
            let (_, width, height) = decode(&picture.jpeg);
            assert_eq!(format!("{width}x{height}"), size);
        }
    }

    #[test]
    fn spliced_rows_decode_to_the_drawn_colours() {
        let mut source = test_picture("320x240");
        let jpeg = source.draw(Timestamp(0)).unwrap();
        let (pixels, width, _) = decode(&jpeg);
        // The middle of each bar near the top, where the bar is not shaded.
        for (index, bar) in BARS.iter().enumerate() {
            let at = 3 * (4 * width + width / 16 + index * width / 8);
            for (found, drawn) in pixels[at..at + 3].iter().zip(bar) {
                assert!(found.abs_diff(*drawn) < 12, "bar {index}: {found} {drawn}");
            }
        }
    }

    #[test]
    fn only_the_ball_and_the_time_change() {
        let mut source = test_picture("320x240");
        let (first, ..) = decode(&source.draw(Timestamp(0)).unwrap());
        source.made = 7;
        let (second, width, height) = decode(&source.draw(Timestamp(1_234_000)).unwrap());
        let changed: Vec<bool> = (0..height)
            .map(|y| {
                let line = y * width * 3..(y + 1) * width * 3;
                first[line.clone()] != second[line]
            })
            .collect();
        assert!(changed[..height / 3].iter().all(|changed| !changed));
        assert!(changed[height - 20..].iter().all(|changed| !changed));
        assert!(changed.iter().filter(|&&changed| changed).count() > 40);
    }

    #[test]
    fn a_round_of_the_ball_is_encoded_once() {
        let mut source = test_picture("320x240");
        let draw_round = |source: &mut TestPicture| {
            source.made = 3;
            source.draw(Timestamp(0)).unwrap();
            source.kept_len
        };
        let kept = draw_round(&mut source);
        assert!(kept > 0);
        assert_eq!(draw_round(&mut source), kept);
    }

    #[test]
    fn the_time_of_day_is_formatted_for_people() {
        assert_eq!(time_of_day(Timestamp(86_399_999_000)), "23:59:59.999 UTC");
    }
}
