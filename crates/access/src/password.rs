//! Passwords: checked and hashed with argon2id, few at a time and off the async threads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::AccessError;

/// Passwords hashed at the same time: each takes 19 MiB and tens of milliseconds.
const AT_ONCE: usize = 2;

/// Sign-ins that may wait for their turn.
const WAITING: usize = 32;

/// Shortest password, in characters.
pub const MIN_PASSWORD_CHARS: usize = 8;

/// Longest password, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 256;

/// A password in the clear, on its way to being checked or hashed.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// Wraps what somebody typed; any text is accepted for a check.
    #[must_use]
    pub fn offered(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Checks the rules for a new password.
    ///
    /// # Errors
    ///
    /// [`AccessError::Invalid`] with the rule that it breaks.
    pub fn new(text: impl Into<String>) -> Result<Self, AccessError> {
        let text = text.into();
        let chars = text.chars().count();
        if chars < MIN_PASSWORD_CHARS {
            return Err(AccessError::Invalid(format!(
                "a password has at least {MIN_PASSWORD_CHARS} characters, not {chars}"
            )));
        }
        if text.len() > MAX_PASSWORD_BYTES {
            return Err(AccessError::Invalid(format!(
                "a password has at most {MAX_PASSWORD_BYTES} bytes, not {}",
                text.len()
            )));
        }
        Ok(Self(text))
    }

    /// Its hash in PHC format, with a salt of its own. Takes tens of milliseconds.
    ///
    /// # Errors
    ///
    /// If there is no randomness or memory.
    pub fn hash(&self) -> Result<PasswordHashText, AccessError> {
        Argon2::default()
            .hash_password(self.0.as_bytes())
            .map(|hash| PasswordHashText(hash.to_string()))
            .map_err(|err| AccessError::Hashing(err.to_string()))
    }

    fn matches(&self, hash: &PasswordHashText) -> bool {
        self.0.len() <= MAX_PASSWORD_BYTES
            && PasswordHash::new(&hash.0).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(self.0.as_bytes(), &hash)
                    .is_ok()
            })
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

/// A password's hash as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHashText(pub(crate) String);

impl fmt::Debug for PasswordHashText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(hidden)")
    }
}

/// Where passwords are checked: a bounded number at a time, so that sign-ins cannot exhaust memory.
#[derive(Clone, Debug)]
pub struct Passwords {
    places: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    /// Checked for names that do not exist, so that they take as long.
    decoy: PasswordHashText,
}

impl Passwords {
    /// Ready to check.
    ///
    /// # Errors
    ///
    /// If there is no randomness.
    pub fn new() -> Result<Self, AccessError> {
        Ok(Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::default(),
            decoy: Password::offered("nobody has this password").hash()?,
        })
    }

    /// Whether `password` belongs to `hash`; without a hash it takes as long and is wrong.
    ///
    /// # Errors
    ///
    /// [`AccessError::Busy`] if too many wait already.
    pub async fn verify(
        &self,
        password: Password,
        hash: Option<PasswordHashText>,
    ) -> Result<bool, AccessError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        self.run(move || Ok(password.matches(&hash) && known)).await
    }

    /// The hash of a new password.
    ///
    /// # Errors
    ///
    /// [`AccessError::Busy`], or that of [`Password::hash`].
    pub async fn hash(&self, password: Password) -> Result<PasswordHashText, AccessError> {
        self.run(move || password.hash()).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, AccessError> + Send + 'static,
    ) -> Result<T, AccessError> {
        let _waits = Waits::enter(&self.waiting)?;
        let place = self.places.clone().acquire_owned().await;
        let place = place.map_err(|_| AccessError::Closed)?;
        spawn_blocking(move || {
            // Held by the work itself: it goes on when the person who waits for it has left.
            let _place = place;
            work()
        })
        .await
        .map_err(|err| AccessError::Hashing(err.to_string()))?
    }
}

/// One of the sign-ins that wait or are checked.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Result<Self, AccessError> {
        waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < WAITING).then_some(n + 1)
            })
            .map_err(|_| AccessError::Busy)?;
        Ok(Self(waiting))
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_alone_is_right() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords
            .hash(Password::new("correct horse").unwrap())
            .await
            .unwrap();
        assert!(hash.0.starts_with("$argon2id$"), "{}", hash.0);
        let check = async |text: &str, hash| {
            let offered = Password::offered(text);
            passwords.verify(offered, hash).await.unwrap()
        };
        assert!(check("correct horse", Some(hash.clone())).await);
        assert!(!check("correct horsf", Some(hash.clone())).await);
        assert!(!check("", Some(hash)).await);
        assert!(!check("nobody has this password", None).await);
    }

    #[tokio::test]
    async fn a_crowd_is_told_to_come_again() {
        let passwords = Passwords::new().unwrap();
        let checks = (0..WAITING + 8).map(|_| {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.verify(Password::offered("x"), None).await })
        });
        let checks: Vec<_> = checks.collect();
        let mut busy = 0;
        for check in checks {
            match check.await.unwrap() {
                Ok(right) => assert!(!right),
                Err(AccessError::Busy) => busy += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(busy, 8);
        // Their places are free again.
        assert!(passwords.verify(Password::offered("x"), None).await.is_ok());
    }

    #[test]
    fn rules_for_new_ones_and_nothing_printed() {
        assert!(Password::new("short").is_err());
        assert!(Password::new("x".repeat(257)).is_err());
        let password = Password::new("a good one").unwrap();
        assert!(!format!("{password:?}").contains("good"));
    }
}
