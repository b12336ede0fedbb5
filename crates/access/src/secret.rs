//! Secrets: made at random, stored as digests, compared in constant time, never printed.

use std::fmt;
use std::hash::{Hash, Hasher};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::error::AccessError;

/// Random bytes of a secret: nobody guesses 256 bits, so a fast digest protects them.
const SECRET_BYTES: usize = 32;

/// What a secret is for; its text begins with the kind, so that a person who finds one knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person's session, in a cookie.
    Session,
    /// An API token of a program.
    Token,
    /// An agent's key for one camera.
    AgentKey,
    /// The link that creates the first administrator.
    SetUp,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Session => "cvs_",
            Self::Token => "cvt_",
            Self::AgentKey => "cvk_",
            Self::SetUp => "cvu_",
        }
    }
}

/// A random secret in the clear; it lives only until its owner has it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A new one.
    ///
    /// # Errors
    ///
    /// If the system has no randomness.
    pub fn generate(kind: Kind) -> Result<Self, AccessError> {
        let text = BASE64_URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()?);
        Ok(Self(format!("{}{text}", kind.prefix())))
    }

    /// The secret itself, for its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], AccessError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|err| AccessError::Random(err.to_string()))?;
    Ok(bytes)
}

/// SHA-256 of a secret. Two digests are compared in constant time.
#[derive(Clone, Copy, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a secret that somebody offers.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(hidden)")
    }
}

/// A secret from the settings, which several may know; only its digest is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SharedSecret(Digest);

impl SharedSecret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl AsRef<str>) -> Self {
        Self(Digest::of(secret.as_ref()))
    }

    /// Whether `offered` is the secret, in constant time.
    #[must_use]
    pub fn matches(&self, offered: &str) -> bool {
        self.is(&Digest::of(offered))
    }

    /// Whether this is the secret's digest, in constant time.
    #[must_use]
    pub fn is(&self, offered: &Digest) -> bool {
        self.0 == *offered
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_name_their_kind_and_are_not_printed() {
        let a = Secret::generate(Kind::Token).unwrap();
        let b = Secret::generate(Kind::Token).unwrap();
        assert_ne!(a.expose(), b.expose());
        assert_eq!(a.expose().len(), 4 + 43);
        assert!(a.expose().starts_with("cvt_"));
        assert_eq!(a.digest(), Digest::of(a.expose()));
        assert_ne!(a.digest(), b.digest());
        let printed = format!("{a:?} {:?}", a.digest());
        assert!(!printed.contains(&a.expose()[4..]), "{printed}");
    }

    #[test]
    fn a_shared_secret_admits_only_itself() {
        let secret = SharedSecret::new("secret");
        assert!(secret.matches("secret"));
        for wrong in ["", "secre", "secrets", "Secret"] {
            assert!(!secret.matches(wrong), "{wrong}");
        }
        assert_eq!(format!("{secret:?}"), "(hidden)");
    }
}
