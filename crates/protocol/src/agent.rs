//! Messages between an agent and the relay, in the namespace `/cv`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Auth payload of the Socket.IO CONNECT packet that an agent sends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentAuth {
    /// Protocol version that the agent speaks; see [`crate::VERSION`].
    pub protocol: u32,
    /// Name of the agent's camera; see [`crate::check_camera_name`] for what is allowed.
    pub camera: String,
    /// Secret shared with the relay; absent if the agent has none configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The key that the relay gave this agent for this camera when a person accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether the agent can wait until a person accepts it; see [`Waiting`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adoption: bool,
    /// The agent's own version, for people to read.
    #[serde(default)]
    pub version: String,
}

impl std::fmt::Debug for AgentAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentAuth")
            .field("protocol", &self.protocol)
            .field("camera", &self.camera)
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .field("key", &self.key.as_ref().map(|_| "(hidden)"))
            .field("adoption", &self.adoption)
            .field("version", &self.version)
            .finish()
    }
}

/// The relay wants a person to accept the agent first. Nothing is to be sent until
/// [`Accepted`] comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What the person compares on both sides.
    pub code: String,
    /// For people to read.
    #[serde(default)]
    pub message: String,
}

/// A person has accepted the agent. The relay disconnects; the agent is to connect again with the
/// key, then and always.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// For [`AgentAuth::key`].
    pub key: String,
}

impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accepted")
            .field("key", &"(hidden)")
            .finish()
    }
}

/// First argument of a `frame` event; the second is the JPEG.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameMeta {
    /// Sequence number, counted from 0 since the agent started; never reused within a connection.
    pub seq: u64,
    /// Time at which the frame was captured, by the agent's clock.
    pub captured_us: Timestamp,
    /// Time at which the agent handed the frame to its socket, by the agent's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_us: Option<Timestamp>,
    /// Width of the frame in pixels.
    pub width: u32,
    /// Height of the frame in pixels.
    pub height: u32,
    /// Length of the complete JPEG in bytes. If the attachment is shorter, the agent abandoned the
    /// frame while sending it. The agent sends this only to a relay that has set
    /// [`Demand::cut_frames`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Frames of this connection so far that were left out because nobody asked for so many a second,
    /// so that the gap that they leave in `seq` is not taken for a loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paced: Option<u64>,
    /// Whether boxes are drawn into the picture.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub annotated: bool,
}

/// One object that the detector found in a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Name of the object's class, for example `Dog`.
    pub label: String,
    /// Score of the detection, from 0 to 1.
    pub score: f32,
    /// Bounding box: ymin, xmin, ymax, xmax as fractions of the frame's height and width.
    #[serde(rename = "box")]
    pub bounding_box: [f32; 4],
    /// Identity of the object, which stays the same from frame to frame; absent if no tracker runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
}

/// Result of object detection for one frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detections {
    /// Sequence number of the frame.
    pub seq: u64,
    /// Capture time of the frame, by the agent's clock.
    pub captured_us: Timestamp,
    /// Name of the model.
    pub model: String,
    /// Inference engine: `LiteRT` or `tflite`.
    pub engine: String,
    /// Hardware or library that computes the inference, for example `XNNPACK (2 threads)`.
    pub accelerator: String,
    /// Duration of the inference, in milliseconds.
    pub infer_ms: f32,
    /// Objects found in the frame, highest score first.
    pub objects: Vec<Object>,
}

/// Measurements of an agent, which it sends once a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Frames captured per second, measured over the last second.
    pub capture_fps: f32,
    /// Frames sent per second, measured over the last second.
    pub stream_fps: f32,
    /// Frames searched for objects per second, measured over the last second.
    pub detect_fps: f32,
    /// Frames of the last second in which nothing had moved, so that they were not searched.
    #[serde(skip_serializing_if = "is_none_a_second")]
    pub unchanged_fps: f32,
    /// Number of frames dropped since the agent started, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Number of frames repaired since the agent started, because the camera omitted the Huffman
    /// tables or the end-of-image marker.
    #[serde(skip_serializing_if = "is_zero")]
    pub repaired: u64,
    /// Number of frames copied since the agent started, because the driver would otherwise have run
    /// out of buffers.
    #[serde(skip_serializing_if = "is_zero")]
    pub copied: u64,
    /// Number of objects that the tracker has given an identity since the agent started.
    #[serde(skip_serializing_if = "is_zero")]
    pub objects_found: u64,
    /// Number of tracked objects that have disappeared since the agent started.
    #[serde(skip_serializing_if = "is_zero")]
    pub objects_lost: u64,
    /// Processor time used in the last second, in percent of one core.
    pub cpu: f32,
    /// Resident memory of the agent in MB (10^6 bytes).
    pub rss_mb: f32,
    /// Temperature of the board's hottest sensor, in degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temp_c: Option<f32>,
    /// How far the relay's clock is ahead of the agent's, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_us: Option<i64>,
    /// Round-trip time to the relay, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f32>,
    /// Maximum size of re-encoded frames, for example `320x240`; absent unless the link is too slow
    /// for the camera's own JPEGs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduced_to: Option<String>,
    /// Description of the camera's fault for a person to read; absent while the camera delivers
    /// frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera_fault: Option<String>,
    /// Time since which the camera has not delivered frames, by the agent's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera_gone_since_us: Option<Timestamp>,
}

fn is_none_a_second(rate: &f32) -> bool {
    *rate == 0.0
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Relay to agent: acknowledges a frame that the relay has received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Sequence number of the acknowledged frame.
    pub seq: u64,
}

/// Relay to agent: what the viewers want. The relay sends it when the agent connects and after each
/// change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// Number of viewers. At 0 the agent sends detections and only one frame every few seconds.
    pub viewers: u32,
    /// Highest frame rate that any viewer wants, in frames per second; absent if a viewer wants
    /// every frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fps: Option<f32>,
    /// Whether the agent may abandon a frame while sending it, provided that [`FrameMeta::bytes`]
    /// announced the full length. The relay drops an incomplete frame and acknowledges it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_frames: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_meta_matches_the_documented_json() {
        let meta = FrameMeta {
            seq: 7,
            captured_us: Timestamp(1_790_000_000_000_000),
            sent_us: None,
            width: 640,
            height: 480,
            bytes: None,
            paced: None,
            annotated: false,
        };
        assert_eq!(
            serde_json::to_string(&meta).unwrap(),
            r#"{"seq":7,"captured_us":1790000000000000,"width":640,"height":480}"#
        );
    }

    #[test]
    fn unknown_keys_are_ignored() {
        let object: Object =
            serde_json::from_str(r#"{"label":"Dog","score":0.5,"box":[0,0,1,1],"later":1}"#)
                .unwrap();
        assert_eq!((object.label.as_str(), object.id), ("Dog", None));
    }

    #[test]
    fn debug_output_hides_the_token() {
        let auth = AgentAuth {
            protocol: 1,
            camera: "a".into(),
            token: Some("hunter2".into()),
            key: Some("hunter3".into()),
            adoption: true,
            version: String::new(),
        };
        assert!(!format!("{auth:?}").contains("hunter2"));
    }
}
