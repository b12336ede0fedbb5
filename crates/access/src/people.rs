//! Signing in and out, and changing passwords.

use std::net::IpAddr;

use crate::Access;
use crate::error::AccessError;
use crate::failures::{Failing, Failures};
use crate::model::{Cameras, Role, Session, now_us};
use crate::password::Password;
use crate::secret::{Kind, Secret};

/// A session in use is noted again after this time.
const TOUCH_US: i64 = 3_600_000_000;

/// Somebody who wants to sign in.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The person's name.
    pub name: String,
    /// The password.
    pub password: Password,
    /// From where.
    pub address: IpAddr,
    /// What the browser calls itself.
    pub browser: String,
}

impl Access {
    /// Checks name and password and starts a session; the result is for the browser's cookie.
    ///
    /// # Errors
    ///
    /// [`AccessError::WrongPassword`], [`AccessError::TooManyFailures`] or [`AccessError::Busy`].
    pub async fn sign_in(
        &self,
        failures: &Failures,
        attempt: SignIn,
    ) -> Result<Secret, AccessError> {
        let from = Failing::address(attempt.address);
        let named = Failing::name(&attempt.name);
        // Strangers who fail as somebody must not lock out the address where that person is at home.
        let at_home = self.has_session_from(&attempt.name, attempt.address);
        let slowed = failures
            .wait(&from)
            .or_else(|| failures.wait(&named).filter(|_| !at_home));
        if let Some(wait) = slowed {
            return Err(AccessError::TooManyFailures(wait));
        }
        let name = attempt.name.clone();
        let known = self.run(move |store| store.password_of(&name)).await?;
        let (id, hash) = known.unzip();
        let right = self.passwords.verify(attempt.password, hash).await?;
        let Some(id) = id.filter(|_| right) else {
            failures.note(from);
            failures.note(named);
            let (actor, subject) = (attempt.name, format!("from {}", attempt.address));
            self.run(move |store| store.note(&actor, "sign-in failed", &subject))
                .await?;
            return Err(AccessError::WrongPassword);
        };
        self.start_session(id, attempt.address, attempt.browser)
            .await
    }

    fn has_session_from(&self, name: &str, address: IpAddr) -> bool {
        let snapshot = self.snapshot();
        let address = address.to_string();
        let person = snapshot
            .users
            .values()
            .find(|user| user.name.eq_ignore_ascii_case(name));
        person.is_some_and(|person| {
            snapshot
                .sessions
                .values()
                .any(|session| session.user == person.id && session.address == address)
        })
    }

    async fn start_session(
        &self,
        user: i64,
        address: IpAddr,
        browser: String,
    ) -> Result<Secret, AccessError> {
        let secret = Secret::generate(Kind::Session)?;
        let digest = secret.digest();
        let address = address.to_string();
        self.run(move |store| store.start_session(user, &digest, &address, &browser))
            .await?;
        Ok(secret)
    }

    /// Creates the first administrator and signs them in.
    ///
    /// # Errors
    ///
    /// [`AccessError::AlreadySetUp`] if there is one, or if name or password break a rule.
    pub async fn set_up(&self, actor: &'static str, first: SignIn) -> Result<Secret, AccessError> {
        let hash = self.passwords.hash(first.password).await?;
        let name = first.name;
        let id = self
            .run(move |store| store.add_first_admin(actor, &name, &hash))
            .await?;
        self.start_session(id, first.address, first.browser).await
    }

    /// Notes that a session is in use, which makes it last. Never waits.
    pub fn touch(&self, session: &Session) {
        if now_us() - session.seen_us > TOUCH_US {
            let id = session.id;
            self.keeper.post(move |store| store.touch_session(id));
        }
    }

    /// Adds a person.
    ///
    /// # Errors
    ///
    /// If name or password break a rule, or the name is taken.
    pub async fn add_user(
        &self,
        actor: String,
        name: String,
        password: Password,
        role: Role,
        cameras: Cameras,
    ) -> Result<(), AccessError> {
        let hash = self.passwords.hash(password).await?;
        self.run(move |store| store.add_user(&actor, &name, &hash, role, &cameras))
            .await
    }

    /// Sets a person's password and ends all their sessions but `keep`.
    ///
    /// # Errors
    ///
    /// If there is no such person.
    pub async fn set_password(
        &self,
        actor: String,
        name: String,
        password: Password,
        keep: Option<i64>,
    ) -> Result<(), AccessError> {
        let hash = self.passwords.hash(password).await?;
        self.run(move |store| store.set_password(&actor, &name, &hash, keep))
            .await
    }

    /// Changes one's own password, which takes the old one.
    ///
    /// # Errors
    ///
    /// As [`Self::sign_in`].
    pub async fn change_password(
        &self,
        failures: &Failures,
        name: &str,
        session: i64,
        old: Password,
        new: Password,
    ) -> Result<(), AccessError> {
        let named = Failing::name(name);
        if let Some(wait) = failures.wait(&named) {
            return Err(AccessError::TooManyFailures(wait));
        }
        let name = name.to_owned();
        let person = name.clone();
        let known = self.run(move |store| store.password_of(&person)).await?;
        let hash = known.map(|(_, hash)| hash);
        if !self.passwords.verify(old, hash).await? {
            failures.note(named);
            return Err(AccessError::WrongPassword);
        }
        self.set_password(name.clone(), name, new, Some(session))
            .await
    }
}
