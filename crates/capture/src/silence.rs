//! Detects that a source is open but delivers no frames.

use std::time::{Duration, Instant};

use super::error::CaptureError;
use super::jpeg::BadPicture;

/// Measures how long a source has not delivered a usable frame.
#[derive(Debug)]
pub struct Silence {
    what: String,
    limit: Duration,
    since: Instant,
    bad_pictures: u64,
    last_bad: Option<BadPicture>,
}

impl Silence {
    /// Starts the measurement. More than `limit` of silence is an error that names the source as
    /// `what`.
    pub fn new(what: String, limit: Duration) -> Self {
        Self {
            what,
            limit,
            since: Instant::now(),
            bad_pictures: 0,
            last_bad: None,
        }
    }

    /// Notes that the source has delivered a usable frame, which ends the silence.
    pub fn end(&mut self) {
        self.since = Instant::now();
        self.bad_pictures = 0;
    }

    /// Notes that the source has delivered `pictures` frames that are not usable, the last one for
    /// `reason`.
    pub fn bad(&mut self, pictures: u64, reason: BadPicture) {
        self.bad_pictures += pictures;
        self.last_bad = Some(reason);
    }

    /// Returns [`CaptureError::Silent`] if the silence has lasted longer than the limit.
    pub fn check(&self) -> Result<(), CaptureError> {
        let since = self.since.elapsed();
        if since < self.limit {
            return Ok(());
        }
        Err(CaptureError::Silent {
            what: self.what.clone(),
            since,
            bad_pictures: self.bad_pictures,
            reason: self.last_bad.map_or(String::new(), |bad| bad.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_ends_the_silence_and_the_error_names_bad_frames() {
        let mut silence = Silence::new("/dev/video0".into(), Duration::ZERO);
        silence.bad(3, BadPicture::NoSoi);
        let message = silence.check().unwrap_err().to_string();
        assert!(
            message.contains("3 were bad, the last one: not JPEG"),
            "{message}"
        );
        silence.limit = Duration::from_secs(60);
        silence.end();
        assert!(silence.check().is_ok());
        assert_eq!(silence.bad_pictures, 0);
    }
}
