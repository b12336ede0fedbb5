//! What a relay may rely on once it runs.

use std::fmt;
use std::sync::Arc;

use cv_archive::Archive;

/// A shared secret; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// Whether `offered` is the secret, in a time that depends only on the lengths.
    #[must_use]
    pub fn matches(&self, offered: &str) -> bool {
        let difference = self
            .0
            .bytes()
            .zip(offered.bytes())
            .fold(0, |sum, (a, b)| sum | (a ^ b));
        self.0.len() == offered.len() && difference == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Bounds on what peers may cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Agents connected at once.
    pub agents: usize,
    /// Viewers connected at once, MJPEG streams included.
    pub viewers: usize,
    /// Cameras that one viewer may watch.
    pub cameras_per_viewer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            agents: 64,
            viewers: 1000,
            cameras_per_viewer: 16,
        }
    }
}

/// Settings of a relay.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What an agent must present; absent: any agent may connect.
    pub agent_token: Option<Token>,
    /// What a viewer must present; absent: anyone who reaches the port may watch.
    pub viewer_token: Option<Token>,
    /// Where events and recordings are kept; absent: nothing is recorded.
    pub archive: Option<Arc<Archive>>,
    /// Bounds.
    pub limits: Limits,
}

/// Whether `offered` satisfies a token that may not be asked for.
pub(crate) fn admits(required: Option<&Token>, offered: Option<&str>) -> bool {
    required.is_none_or(|token| offered.is_some_and(|offered| token.matches(offered)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_admits_only_itself_and_is_never_shown() {
        let token = Token::new("secret");
        assert!(token.matches("secret"));
        for wrong in ["", "secre", "secrets", "Secret"] {
            assert!(!token.matches(wrong), "{wrong}");
        }
        assert!(!format!("{token:?}").contains("secret"));
        assert!(admits(None, None));
        assert!(!admits(Some(&token), None));
    }
}
