//! Notices that a source is there but makes no pictures.

use std::time::{Duration, Instant};

use super::error::CaptureError;
use super::jpeg::BadPicture;

/// How long a source has made no usable picture.
#[derive(Debug)]
pub struct Silence {
    what: String,
    limit: Duration,
    since: Instant,
    bad_pictures: u64,
    last_bad: Option<BadPicture>,
}

impl Silence {
    /// Begins now; more than `limit` of it is an error.
    pub fn new(what: String, limit: Duration) -> Self {
        Self {
            what,
            limit,
            since: Instant::now(),
            bad_pictures: 0,
            last_bad: None,
        }
    }

    /// There was a usable picture.
    pub fn end(&mut self) {
        self.since = Instant::now();
        self.bad_pictures = 0;
    }

    /// There were some that were not usable.
    pub fn bad(&mut self, pictures: u64, reason: BadPicture) {
        self.bad_pictures += pictures;
        self.last_bad = Some(reason);
    }

    /// An error if it has lasted too long.
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
    fn silence_ends_with_a_picture_and_names_what_was_bad() {
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
