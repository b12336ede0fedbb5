//! The outcome of a decision: what is granted, or what is missing.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cv_access::{AccessError, ApiToken, Cameras, Role, User};

/// Who has been let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody at an open door.
    Anyone,
    /// Whoever has a signed link to a picture.
    Link,
    /// Whoever has the token from the settings.
    SharedToken,
    /// The program with the API token of this name.
    Token(String),
    /// A person.
    User {
        /// The person's name.
        name: String,
        /// The session's number.
        session: i64,
    },
}

/// What somebody may see and do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who it is.
    pub who: Who,
    /// Watch, or administer.
    pub role: Role,
    /// The cameras.
    pub cameras: Cameras,
}

impl Grant {
    pub(super) fn user(user: &User, session: i64) -> Self {
        Self {
            who: Who::User {
                name: user.name.clone(),
                session,
            },
            role: user.role,
            cameras: match user.role {
                Role::Admin => Cameras::All,
                Role::Viewer => user.cameras.clone(),
            },
        }
    }

    pub(super) fn token(token: &ApiToken) -> Self {
        Self {
            who: Who::Token(token.name.clone()),
            role: token.scope,
            cameras: Cameras::All,
        }
    }

    pub(super) fn everything(who: Who) -> Self {
        Self {
            who,
            role: Role::Viewer,
            cameras: Cameras::All,
        }
    }

    pub(super) fn link(camera: &str) -> Self {
        Self {
            who: Who::Link,
            role: Role::Viewer,
            cameras: Cameras::Named([camera.to_owned()].into()),
        }
    }

    /// Whether it may administer.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Who acts, for the audit log.
    #[must_use]
    pub fn actor(&self) -> String {
        match &self.who {
            Who::Anyone => "anyone".into(),
            Who::Link => "a link".into(),
            Who::SharedToken => "the viewers' token".into(),
            Who::Token(name) => format!("token {name}"),
            Who::User { name, .. } => name.clone(),
        }
    }
}

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    status: StatusCode,
    reason: String,
    retry_after: Option<Duration>,
    /// How a program can say who it is.
    challenge: Option<&'static str>,
}

impl Denied {
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            retry_after: None,
            challenge: None,
        }
    }

    /// Nobody knows who asks.
    pub(super) fn unknown(reason: String) -> Self {
        Self {
            challenge: Some("Bearer"),
            ..Self::new(StatusCode::UNAUTHORIZED, reason)
        }
    }

    /// It is known who asks, or no answer would help.
    pub(super) fn forbidden(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason)
    }

    /// A program asks for what only a person who is signed in can do.
    pub(crate) fn sign_in() -> Self {
        Self::unknown("sign in first".into())
    }

    /// There is no place where users could be kept.
    pub(crate) fn no_users() -> Self {
        Self::forbidden("this relay keeps no users: start it with --data-dir")
    }

    pub(super) fn gone(reason: String) -> Self {
        Self::new(StatusCode::GONE, reason)
    }

    /// Too many failures.
    pub(super) fn slow(wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                AccessError::TooManyFailures(wait).to_string(),
            )
        }
    }

    /// A camera that the person may not see, whether it exists or not.
    #[must_use]
    pub fn camera(camera: &str) -> Self {
        Self::forbidden(format!(
            "{camera:?} is not among the cameras that you may see; ask an administrator"
        ))
    }

    /// Where pictures are asked for, a token may come as the password of HTTP Basic.
    pub(super) fn or_by_basic(mut self) -> Self {
        if self.challenge.is_some() {
            self.challenge = Some("Basic realm=\"cv-relay\", Bearer");
        }
        self
    }

    /// What is missing, for a person.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<AccessError> for Denied {
    fn from(err: AccessError) -> Self {
        let status = match &err {
            AccessError::TooManyFailures(wait) => return Self::slow(*wait),
            AccessError::Exists { .. } | AccessError::LastAdministrator(_) => StatusCode::CONFLICT,
            AccessError::Unknown { .. } => StatusCode::NOT_FOUND,
            AccessError::Invalid(_) => StatusCode::BAD_REQUEST,
            AccessError::AlreadySetUp => StatusCode::GONE,
            AccessError::WrongPassword => StatusCode::UNAUTHORIZED,
            AccessError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            _ => {
                log::error!("{err}");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, err.to_string())
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let mut text = self.reason;
        // It follows a colon in the log, and is a sentence of its own here.
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let mut response = (
            self.status,
            [(header::CACHE_CONTROL, "no-store")],
            text + "\n",
        )
            .into_response();
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, (wait.as_secs() + 1).into());
        }
        response
    }
}
