//! Events and recordings: what the relay tells viewers of them, and how the past is played.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Sequence numbers of frames that are played start here, above those of any live frame.
pub const FIRST_PLAYED_SEQ: u64 = 1 << 40;

/// Slowest and fastest that recordings are played, in times of their own pace.
pub const PLAY_RATE: std::ops::RangeInclusive<f32> = 0.25..=16.0;

/// An event as HTTP and `event` tell it. Times are by the relay's clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventInfo {
    /// Its id; ids sort by the time of the start.
    pub id: String,
    /// The camera's name.
    pub camera: String,
    /// The object's class.
    pub label: String,
    /// When the object was first seen.
    pub start_us: Timestamp,
    /// When it was last seen; `null` while it stays.
    pub end_us: Option<Timestamp>,
    /// Score of the best sight, 0 to 1.
    pub score: f32,
    /// Box of the best sight: ymin, xmin, ymax, xmax as fractions of the picture.
    #[serde(rename = "box")]
    pub bounding_box: [f32; 4],
    /// When the best sight was captured.
    pub best_us: Timestamp,
    /// Zones that the object has entered.
    pub zones: Vec<String>,
    /// Whether the object rests.
    pub stationary: bool,
    /// Whether the event is kept for good.
    pub kept: bool,
    /// Path of the best sight's picture at the relay; `null` if there is none.
    pub snapshot: Option<String>,
    /// Path of the footage as Matroska.
    pub clip: String,
}

/// What happened to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventChange {
    /// It has begun.
    Start,
    /// Something that people can see has changed.
    Update,
    /// Its object has left, or rests for long.
    End,
    /// It was deleted, by a person or because its time was up.
    Delete,
}

/// Relay to viewer, `event`: sent once it has been stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventMessage {
    /// What happened.
    pub change: EventChange,
    /// The event as it is now.
    pub event: EventInfo,
}

/// Viewer to relay, `play`: show a camera's recordings instead of its live picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Play {
    /// The camera's name.
    pub camera: String,
    /// From when on, by the relay's clock.
    pub from_us: Timestamp,
    /// How many times faster than they were captured.
    #[serde(default = "own_pace")]
    pub rate: f32,
    /// The most frames per second that the viewer wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fps: Option<f32>,
}

fn own_pace() -> f32 {
    1.0
}

/// Viewer to relay, `pause`: stay at the frame that is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The camera's name.
    pub camera: String,
}

/// Viewer to relay, `seek`: show another moment, playing or paused as before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seek {
    /// The camera's name.
    pub camera: String,
    /// The first frame at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_us: Option<Timestamp>,
    /// Instead of a time: so many frames on, or back if negative. Playing pauses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<i32>,
}

/// Viewer to relay, `live`: show the live picture again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// The camera's name.
    pub camera: String,
    /// As in `watch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fps: Option<f32>,
}

/// How playing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlayState {
    /// Frames come.
    Playing,
    /// It stays where it is.
    Paused,
    /// Nothing later is stored yet; what is, will be played.
    End,
}

/// Relay to viewer, `position`: where playing is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The camera's name.
    pub camera: String,
    /// Time of the newest frame that was sent, by the relay's clock.
    pub at_us: Timestamp,
    /// How it goes on.
    pub state: PlayState,
    /// How many times faster than they were captured.
    pub rate: f32,
}

/// The recording of a camera, as `cameras` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Whether frames are being stored now.
    pub on: bool,
    /// Events that have not ended.
    pub events: u64,
    /// Why nothing can be recorded; absent while all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn play_needs_no_more_than_a_camera_and_a_time() {
        let play: Play = serde_json::from_str(r#"{"camera":"a","from_us":7}"#).unwrap();
        assert_eq!((play.rate, play.max_fps), (1.0, None));
    }

    #[test]
    fn a_running_event_has_a_null_end() {
        let event = EventInfo {
            id: "1".into(),
            camera: "front".into(),
            label: "dog".into(),
            start_us: Timestamp(1),
            end_us: None,
            score: 0.5,
            bounding_box: [0.0, 0.25, 0.5, 1.0],
            best_us: Timestamp(2),
            zones: vec!["lawn".into()],
            stationary: false,
            kept: true,
            snapshot: None,
            clip: "/api/events/1/clip.mkv".into(),
        };
        let message = EventMessage {
            change: EventChange::Start,
            event,
        };
        assert_eq!(
            serde_json::to_string(&message).unwrap(),
            r#"{"change":"start","event":{"id":"1","camera":"front","label":"dog","start_us":1,"end_us":null,"score":0.5,"box":[0.0,0.25,0.5,1.0],"best_us":2,"zones":["lawn"],"stationary":false,"kept":true,"snapshot":null,"clip":"/api/events/1/clip.mkv"}}"#
        );
    }
}
