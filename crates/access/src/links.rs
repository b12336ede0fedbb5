//! Links to single pictures that work for a while, for programs that can send no header.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::error::AccessError;
use crate::secret::random;

/// Longest time that a link works.
pub const MAX_LINK_SECONDS: u32 = 24 * 3600;

/// The key that links are signed with.
#[derive(Clone)]
pub struct LinkKey([u8; 32]);

impl LinkKey {
    /// A new one; links of others are void.
    ///
    /// # Errors
    ///
    /// If the system has no randomness.
    pub fn generate() -> Result<Self, AccessError> {
        Ok(Self(random()?))
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn mac(&self, path: &str, until_us: i64) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(&until_us.to_be_bytes());
        mac.update(path.as_bytes());
        Some(mac)
    }

    /// The signature of a link to `path` that works until then.
    #[must_use]
    pub fn sign(&self, path: &str, until_us: i64) -> String {
        self.mac(path, until_us)
            .map(|mac| BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
            .unwrap_or_default()
    }

    /// Whether `signature` is that of `path` and the time has not come yet.
    #[must_use]
    pub fn verify(&self, path: &str, until_us: i64, signature: &str, now_us: i64) -> bool {
        let Ok(signature) = BASE64_URL_SAFE_NO_PAD.decode(signature) else {
            return false;
        };
        now_us < until_us
            && self
                .mac(path, until_us)
                .is_some_and(|mac| mac.verify_slice(&signature).is_ok())
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_for_one_path_and_one_time() {
        let key = LinkKey::generate().unwrap();
        let signature = key.sign("/snapshot/front.jpg", 1000);
        assert!(key.verify("/snapshot/front.jpg", 1000, &signature, 999));
        assert!(!key.verify("/snapshot/front.jpg", 1000, &signature, 1000));
        assert!(!key.verify("/snapshot/front.jpg", 2000, &signature, 999));
        assert!(!key.verify("/snapshot/back.jpg", 1000, &signature, 999));
        assert!(!key.verify("/snapshot/front.jpg", 1000, "", 999));
        assert!(!key.verify("/snapshot/front.jpg", 1000, "!", 999));
        let other = LinkKey::generate().unwrap();
        assert!(!other.verify("/snapshot/front.jpg", 1000, &signature, 999));
        assert_eq!(format!("{key:?}"), "LinkKey(hidden)");
    }
}
