//! Stored detections: lines of `CRC JSON`, the CRC-32 of the JSON in eight hexadecimal digits.

use cv_protocol::{Detections, Timestamp};
use serde::{Deserialize, Serialize};

use crate::frame::Found;

/// A line's JSON: the message of the agent, and its place on the timeline.
#[derive(Serialize)]
struct LineRef<'a> {
    at_us: Timestamp,
    #[serde(flatten)]
    detections: &'a Detections,
}

#[derive(Deserialize)]
struct Line {
    at_us: Timestamp,
    #[serde(flatten)]
    detections: Detections,
}

/// One line with its end.
pub(super) fn line(found: &Found) -> String {
    let line = LineRef {
        at_us: found.at_us,
        detections: &found.detections,
    };
    // Numbers and texts cannot fail to serialize.
    let json = serde_json::to_string(&line).unwrap_or_default();
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

/// The detections of a file as far as its lines are whole, and the bytes of those lines.
#[must_use]
pub fn parse(bytes: &[u8]) -> (Vec<Found>, u64) {
    let mut found = Vec::new();
    let mut whole = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(parsed) = parse_line(line) else {
            break;
        };
        found.push(parsed);
        whole += line.len() as u64;
    }
    (found, whole)
}

fn parse_line(line: &[u8]) -> Option<Found> {
    let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (crc, json) = text.split_once(' ')?;
    if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(json.as_bytes()) {
        return None;
    }
    let line: Line = serde_json::from_str(json).ok()?;
    Some(Found {
        at_us: line.at_us,
        detections: line.detections,
    })
}

#[cfg(test)]
mod tests {
    use cv_protocol::Object;

    use super::*;

    fn found(seq: u64) -> Found {
        Found {
            at_us: Timestamp(5 + seq),
            detections: Detections {
                seq,
                captured_us: Timestamp(seq),
                model: "SSD".into(),
                engine: "LiteRT".into(),
                accelerator: "CPU\n2 threads".into(),
                infer_ms: 4.5,
                objects: vec![Object {
                    label: "dog".into(),
                    score: 0.75,
                    bounding_box: [0.1, 0.2, 0.3, 0.4],
                    id: Some(3),
                }],
            },
        }
    }

    #[test]
    fn what_was_found_comes_back_the_same_up_to_a_torn_line() {
        let file = line(&found(1)) + &line(&found(2));
        let (all, whole) = parse(file.as_bytes());
        assert_eq!(all, [found(1), found(2)]);
        assert_eq!(whole, file.len() as u64);
        let first = line(&found(1)).len();
        for cut in first..file.len() {
            let (some, whole) = parse(&file.as_bytes()[..cut]);
            assert_eq!((some.len(), whole), (1, first as u64));
        }
    }
}
