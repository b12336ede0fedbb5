//! Messages between the relay and a viewer, in the namespace `/web`.

use serde::{Deserialize, Serialize};

use crate::{Detections, FrameMeta, Recording, Stats, Timestamp};

/// Viewer to relay: asks for the frames and detections of one camera.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// Name of the camera, as listed in the `cameras` event.
    pub camera: String,
    /// Highest frame rate that the viewer wants, in frames per second; absent if it wants every
    /// frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fps: Option<f32>,
}

/// Viewer to relay: asks the relay to stop sending one camera.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwatch {
    /// Name of the camera.
    pub camera: String,
}

/// Relay to viewer: a camera that the viewer may not see, whether it exists or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// The camera's name, as in `watch`.
    pub camera: String,
    /// For people to read.
    pub message: String,
}

/// Viewer to relay: this frame, and every earlier one of this camera, has been painted or skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Name of the camera.
    pub camera: String,
    /// Sequence number of the frame.
    pub seq: u64,
}

/// Whether a camera delivers frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CameraState {
    /// The camera's agent is connected, and the camera delivers frames.
    Live,
    /// The camera's agent is connected, but the camera delivers no frames.
    Fault,
    /// The camera's agent is not connected.
    Offline,
}

/// One entry of the `cameras` event: a camera and its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CameraInfo {
    /// Name of the camera.
    pub name: String,
    /// Width of the camera's latest frame in pixels; 0 before the first frame.
    pub width: u32,
    /// Height of the camera's latest frame in pixels; 0 before the first frame.
    pub height: u32,
    /// Whether the camera delivers frames.
    pub state: CameraState,
    /// Time since which the camera has been in this state, by the relay's clock.
    pub since_us: Timestamp,
    /// Description of the camera's fault for a person to read; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Number of viewers that watch the camera.
    pub viewers: u32,
    /// How far the relay's clock is ahead of the agent's, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_us: Option<i64>,
    /// Its recording; absent where nothing is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
}

/// First argument of a `frame` event that the relay sends to a viewer; the second is the JPEG.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewerFrameMeta {
    /// Name of the camera.
    pub camera: String,
    /// The frame's description, as the agent sent it.
    #[serde(flatten)]
    pub frame: FrameMeta,
    /// Time at which the relay received the frame, by the relay's clock.
    pub received_us: Timestamp,
}

/// Argument of a `detections` event that the relay sends to a viewer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewerDetections {
    /// Name of the camera.
    pub camera: String,
    /// The detections, as the agent sent them.
    #[serde(flatten)]
    pub detections: Detections,
}

/// Argument of a `stats` event that the relay sends to a viewer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewerStats {
    /// Name of the camera.
    pub camera: String,
    /// The agent's measurements, as the agent sent them.
    #[serde(flatten)]
    pub stats: Stats,
}

/// Argument of a `text` event that the relay sends to a viewer: the text that a tutorial's client
/// sent beside its frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Name of the camera.
    pub camera: String,
    /// Lines joined by `<br />`. Everything else is plain text, even if it looks like HTML.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_description_for_viewers_is_one_flat_object() {
        let meta = ViewerFrameMeta {
            camera: "front".into(),
            frame: FrameMeta {
                seq: 1,
                captured_us: Timestamp(2),
                sent_us: None,
                width: 3,
                height: 4,
                bytes: None,
                paced: None,
                annotated: true,
            },
            received_us: Timestamp(5),
        };
        let json = serde_json::to_string(&meta).unwrap();
        assert_eq!(
            json,
            r#"{"camera":"front","seq":1,"captured_us":2,"width":3,"height":4,"annotated":true,"received_us":5}"#
        );
        assert_eq!(
            serde_json::from_str::<ViewerFrameMeta>(&json).unwrap(),
            meta
        );
    }
}
