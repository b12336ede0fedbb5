//! Messages between the relay and a viewer, on `/web`.

use serde::{Deserialize, Serialize};

use crate::{Detections, FrameMeta, Recording, Stats, Timestamp};

/// Viewer to relay: send me this camera.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// The camera's name, as in `cameras`.
    pub camera: String,
    /// The most frames per second that the viewer wants; absent: all there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fps: Option<f32>,
}

/// Viewer to relay: stop sending this camera.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwatch {
    /// The camera's name.
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
    /// The camera's name.
    pub camera: String,
    /// The frame's sequence number.
    pub seq: u64,
}

/// Whether a camera delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CameraState {
    /// Its agent is connected and captures.
    Live,
    /// Its agent is connected, but the camera does not deliver.
    Fault,
    /// Its agent is not connected.
    Offline,
}

/// One entry of `cameras`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CameraInfo {
    /// The camera's name.
    pub name: String,
    /// Width of its latest picture in pixels; 0 before the first.
    pub width: u32,
    /// Height of its latest picture in pixels; 0 before the first.
    pub height: u32,
    /// Whether it delivers.
    pub state: CameraState,
    /// Since when it has been in this state, by the relay's clock.
    pub since_us: Timestamp,
    /// What is wrong, for a person to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// How many watch it.
    pub viewers: u32,
    /// How far the relay's clock is ahead of the agent's, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_us: Option<i64>,
    /// Its recording; absent where nothing is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
}

/// First argument of a `frame` event towards a viewer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewerFrameMeta {
    /// The camera's name.
    pub camera: String,
    /// As the agent sent it.
    #[serde(flatten)]
    pub frame: FrameMeta,
    /// When the relay received the frame, by the relay's clock.
    pub received_us: Timestamp,
}

/// `detections` towards a viewer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewerDetections {
    /// The camera's name.
    pub camera: String,
    /// As the agent sent them.
    #[serde(flatten)]
    pub detections: Detections,
}

/// `stats` towards a viewer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewerStats {
    /// The camera's name.
    pub camera: String,
    /// As the agent sent them.
    #[serde(flatten)]
    pub stats: Stats,
}

/// `text` towards a viewer: what a tutorial's client wrote beside its picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The camera's name.
    pub camera: String,
    /// Lines joined by `<br />`; anything else in it is plain text, whatever it looks like.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewer_meta_is_one_flat_object() {
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
