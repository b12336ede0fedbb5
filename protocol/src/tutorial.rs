//! The events of the tutorial's Flask-SocketIO relay, which both sides still speak.

use serde::{Deserialize, Serialize};

/// CV client to server, on `/cv` or `/`: [`Payload`].
pub const CV2SERVER: &str = "cv2server";

/// Server to page, on `/web`: [`Payload`].
pub const SERVER2WEB: &str = "server2web";

/// What every JPEG data URL starts with.
pub const DATA_URL_PREFIX: &str = "data:image/jpeg;base64,";

/// Longest text that is passed on, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 16 << 10;

/// A picture and the text beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// A JPEG as a data URL; see [`DATA_URL_PREFIX`].
    pub image: String,
    /// Lines joined by `<br />`.
    pub text: String,
}
