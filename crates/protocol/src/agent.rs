//! Messages between an agent and the relay, on `/cv`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Auth payload of an agent's Socket.IO CONNECT packet.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentAuth {
    /// [`crate::VERSION`].
    pub protocol: u32,
    /// The camera's name; see [`crate::check_camera_name`].
    pub camera: String,
    /// Shared secret, if the relay asks for one.
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
    /// Starts at 0 with each capture; never reused within a connection.
    pub seq: u64,
    /// When the picture was taken, by the agent's clock.
    pub captured_us: Timestamp,
    /// When the agent handed the picture to its socket, by the agent's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_us: Option<Timestamp>,
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Size of the picture; an attachment that is shorter was given up on the way. Only towards a
    /// relay that said [`Demand::cut_frames`].
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

/// One object that the detector found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Class name.
    pub label: String,
    /// 0 to 1.
    pub score: f32,
    /// ymin, xmin, ymax, xmax as fractions of the picture.
    #[serde(rename = "box")]
    pub bounding_box: [f32; 4],
    /// The same for one object from frame to frame, where a tracker runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
}

/// What the detector found in one frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detections {
    /// The frame's sequence number.
    pub seq: u64,
    /// The frame's capture time.
    pub captured_us: Timestamp,
    /// Name of the model.
    pub model: String,
    /// `LiteRT` or `tflite`.
    pub engine: String,
    /// What the engine computes on, for example `XNNPACK (2 threads)`.
    pub accelerator: String,
    /// Time that the inference took, in milliseconds.
    pub infer_ms: f32,
    /// Highest score first.
    pub objects: Vec<Object>,
}

/// The agent's own measurements, once a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Frames captured in the last second.
    pub capture_fps: f32,
    /// Frames sent in the last second.
    pub stream_fps: f32,
    /// Frames searched for objects in the last second.
    pub detect_fps: f32,
    /// Frames dropped since the agent started, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Frames repaired since the agent started: tables or an end that the camera had left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub repaired: u64,
    /// Frames copied since the agent started, because the driver would have run out of buffers.
    #[serde(skip_serializing_if = "is_zero")]
    pub copied: u64,
    /// Objects that were given an identity since the agent started.
    #[serde(skip_serializing_if = "is_zero")]
    pub objects_found: u64,
    /// Of these, how many have left.
    #[serde(skip_serializing_if = "is_zero")]
    pub objects_lost: u64,
    /// Processor time used in the last second, in percent of one core.
    pub cpu: f32,
    /// Resident memory in MB (10^6 bytes).
    pub rss_mb: f32,
    /// Temperature of the hottest sensor, in degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temp_c: Option<f32>,
    /// How far the relay's clock is ahead of the agent's, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_us: Option<i64>,
    /// Round trip to the relay, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f32>,
    /// Largest size that re-encoded pictures have while the link is too slow for the camera's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduced_to: Option<String>,
    /// What is wrong with the camera, for a person to read; absent while frames come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera_fault: Option<String>,
    /// Since when the camera has been gone, by the agent's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera_gone_since_us: Option<Timestamp>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Relay to agent: the relay holds this frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The frame's sequence number.
    pub seq: u64,
}

/// Relay to agent: what viewers want, sent on connect and on change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// How many watch; at 0 the agent sends detections and only one frame every few seconds.
    pub viewers: u32,
    /// The most frames per second that any of them wants; absent: all there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fps: Option<f32>,
    /// Whether the agent may end a frame early, once it has said how long it would be: the relay
    /// drops such a frame and acknowledges it.
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
    fn a_token_never_reaches_a_log() {
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
