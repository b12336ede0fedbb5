//! Who may come in: the one place that decides about requests, connections and each camera.
//!
//! ```text
//!  request or connection --> Offered: address, session, token, link
//!        |
//!        v
//!  Doors::view, Doors::view_picture, Doors::administer --> Grant: who it is, which cameras
//!  Doors::agent -----------------------------------------> Admission: welcome, or wait for a person
//! ```
//!
//! Decisions need memory alone and never wait. What is open to whom:
//!
//! | | without users | with an administrator |
//! | --- | --- | --- |
//! | `--open` | everyone, where no token is set | everyone, where no token is set |
//! | listening on loopback | programs on this machine, where no token is set | sessions and tokens |
//! | listening elsewhere | tokens; else the page for the first administrator | sessions and tokens |

mod grant;
mod offered;

use std::sync::Arc;
use std::time::Duration;

use cv_access::{
    Access, AccessError, Asking, Digest, Failing, Failures, Kind, LinkKey, Secret, Snapshot, now_us,
};
use cv_protocol::AgentAuth;
use tokio::sync::watch;

pub use grant::{Denied, Grant, Who};
pub(crate) use offered::cookie;
pub use offered::{Offered, Secured, cookie_name};

use crate::config::{Config, Open, Token};

/// How often what may have ended by itself is looked at.
pub const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What a picture is asked for as; part of what a link to it is signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Picture {
    /// `/snapshot/NAME.jpg`.
    Snapshot,
    /// `/stream/NAME.mjpg`.
    Stream,
}

impl Picture {
    /// What a link to it is signed for.
    fn signed(self, camera: &str) -> String {
        match self {
            Self::Snapshot => format!("snapshot/{camera}"),
            Self::Stream => format!("stream/{camera}"),
        }
    }
}

/// What an agent says of itself, secrets as digests: it is kept as long as the connection lasts.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The camera's name.
    pub camera: String,
    version: String,
    key: Option<Digest>,
    token: Option<Digest>,
    /// Whether it can wait to be accepted.
    adoption: bool,
}

impl From<&AgentAuth> for Claim {
    fn from(auth: &AgentAuth) -> Self {
        Self {
            camera: auth.camera.clone(),
            version: auth.version.clone(),
            key: auth.key.as_deref().map(Digest::of),
            token: auth.token.as_deref().map(Digest::of),
            adoption: auth.adoption,
        }
    }
}

/// How an agent is let in.
#[derive(Debug)]
pub enum Admission {
    /// It may bring its camera.
    Welcome,
    /// A person has to accept it first.
    Wait(Asking),
}

/// The decisions of one relay.
#[derive(Debug)]
pub struct Doors {
    open: Open,
    one_camera: bool,
    viewer_token: Option<Token>,
    agent_token: Option<Token>,
    access: Option<Arc<Access>>,
    set_up: Option<Secret>,
    link_key: Option<LinkKey>,
    failures: Failures,
    rights: watch::Sender<u64>,
}

impl Doors {
    /// The doors of a relay with these settings.
    #[must_use]
    pub fn new(config: &Config) -> Arc<Self> {
        let access = config.access.clone();
        let needs_set_up = access.as_ref().is_some_and(|a| !a.snapshot().has_admin());
        let link_key = match &access {
            Some(access) => Some(access.link_key().clone()),
            None => known(LinkKey::generate()),
        };
        Arc::new(Self {
            open: config.open,
            one_camera: config.one_camera,
            viewer_token: config.viewer_token,
            agent_token: config.agent_token,
            set_up: needs_set_up
                .then(|| known(Secret::generate(Kind::SetUp)))
                .flatten(),
            link_key,
            access,
            failures: Failures::default(),
            rights: watch::Sender::new(0),
        })
    }

    /// The users and keys, if there can be any.
    #[must_use]
    pub fn access(&self) -> Option<&Arc<Access>> {
        self.access.as_ref()
    }

    /// Who is open to whom without anything.
    #[must_use]
    pub fn open(&self) -> Open {
        self.open
    }

    /// Whether a token from the settings lets people watch.
    #[must_use]
    pub fn asks_for_token(&self) -> bool {
        self.viewer_token.is_some()
    }

    /// Whether a token from the settings lets agents in.
    #[must_use]
    pub fn asks_agents_for_token(&self) -> bool {
        self.agent_token.is_some()
    }

    /// Whether agents may come at all.
    #[must_use]
    pub fn takes_agents(&self) -> bool {
        !self.one_camera
    }

    /// Recent failures to sign in.
    #[must_use]
    pub fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Becomes changed when rights may have changed.
    #[must_use]
    pub fn rights(&self) -> watch::Receiver<u64> {
        self.rights.subscribe()
    }

    /// Tells everyone who subscribed to [`Self::rights`] to look again.
    pub fn rights_may_have_changed(&self) {
        self.rights.send_modify(|n| *n = n.wrapping_add(1));
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.access
            .as_ref()
            .map(|access| access.snapshot())
            .unwrap_or_default()
    }

    /// Whether somebody can administer.
    #[must_use]
    pub fn has_admin(&self) -> bool {
        self.snapshot().has_admin()
    }

    /// The secret of the set-up link, while there is no administrator.
    #[must_use]
    pub fn set_up_link(&self) -> Option<&Secret> {
        self.set_up.as_ref().filter(|_| !self.has_admin())
    }

    /// Whether the first administrator may be created with this link, or without one.
    ///
    /// # Errors
    ///
    /// [`Denied`] if not.
    pub fn may_set_up(&self, offered: &Offered, link: Option<&str>) -> Result<(), Denied> {
        let Some(secret) = self.set_up.as_ref().filter(|_| self.access.is_some()) else {
            return Err(Denied::forbidden("there is nothing to set up here"));
        };
        if self.has_admin() {
            return Err(Denied::gone(AccessError::AlreadySetUp.to_string()));
        }
        match link {
            None if offered.at_this_machine() => Ok(()),
            None => Err(Denied::forbidden(
                "open the set-up link that the relay printed at its start, or this page as localhost on the relay's own machine",
            )),
            Some(link) => {
                if Digest::of(link) == secret.digest() {
                    return Ok(());
                }
                Err(Denied::forbidden(
                    "this set-up link is not valid any more; the relay prints a new one at each start",
                ))
            }
        }
    }

    /// Only what people made up can be guessed: the tokens from the settings.
    fn slow(&self, offered: &Offered) -> Result<(), Denied> {
        match self.failures.wait(&Failing::token(offered.address())) {
            Some(wait) => Err(Denied::slow(wait)),
            None => Ok(()),
        }
    }

    fn note_failure(&self, offered: &Offered) {
        self.failures.note(Failing::token(offered.address()));
    }

    /// Whether no door that has no token is closed to whoever offers this.
    fn is_open_to(&self, offered: &Offered, snapshot: &Snapshot) -> bool {
        match self.open {
            Open::Everyone => true,
            Open::Loopback => offered.is_local() && !snapshot.has_admin(),
            Open::Nobody => false,
        }
    }

    /// Who offers a session or a token that is a secret of its own.
    fn recognise(&self, offered: &Offered, snapshot: &Snapshot) -> Option<Grant> {
        let now = now_us();
        if let Some(secret) = &offered.session
            && let Some((session, user)) = snapshot.session(secret, now)
        {
            if let Some(access) = &self.access {
                access.touch(session);
            }
            return Some(Grant::user(user, session.id));
        }
        let token = snapshot.token(offered.token.as_ref()?, now)?;
        Some(Grant::token(token))
    }

    /// What may be seen and done; used again while a connection lasts.
    fn look(&self, offered: &Offered) -> Option<Grant> {
        let snapshot = self.snapshot();
        if let Some(grant) = self.recognise(offered, &snapshot) {
            return Some(grant);
        }
        match (&self.viewer_token, &offered.token) {
            (Some(token), Some(offer)) if token.is(offer) => {
                Some(Grant::everything(Who::SharedToken))
            }
            (None, _) if self.is_open_to(offered, &snapshot) => {
                Some(Grant::everything(Who::Anyone))
            }
            _ => None,
        }
    }

    /// Whether somebody may watch, and what.
    ///
    /// # Errors
    ///
    /// [`Denied`] says what is missing.
    pub fn view(&self, offered: &Offered) -> Result<Grant, Denied> {
        let guesses = self.viewer_token.is_some() && offered.token.is_some();
        if guesses && self.recognise(offered, &self.snapshot()).is_none() {
            self.slow(offered)?;
        }
        if let Some(grant) = self.look(offered) {
            return Ok(grant);
        }
        if guesses {
            self.note_failure(offered);
        }
        Err(Denied::unknown(self.missing(offered)))
    }

    /// Whether somebody may see what tells of every camera.
    ///
    /// # Errors
    ///
    /// [`Denied`] says what is missing.
    pub fn view_everything(&self, offered: &Offered) -> Result<Grant, Denied> {
        let grant = self.view(offered)?;
        if grant.cameras.are_all() {
            return Ok(grant);
        }
        Err(Denied::forbidden(format!(
            "{:?} may see some cameras only, and this tells of all",
            grant.actor()
        )))
    }

    /// Whether somebody may have this picture.
    ///
    /// # Errors
    ///
    /// [`Denied`] says what is missing.
    pub fn view_picture(
        &self,
        offered: &Offered,
        picture: Picture,
        camera: &str,
    ) -> Result<Grant, Denied> {
        if self.has_link(offered, picture, camera) {
            return Ok(Grant::link(camera));
        }
        let grant = self.view(offered).map_err(Denied::or_by_basic)?;
        if grant.cameras.include(camera) {
            Ok(grant)
        } else {
            Err(Denied::camera(camera))
        }
    }

    fn has_link(&self, offered: &Offered, picture: Picture, camera: &str) -> bool {
        offered.link.as_ref().is_some_and(|link| {
            let signed = picture.signed(camera);
            self.link_key
                .as_ref()
                .is_some_and(|key| key.verify(&signed, link.until_us, &link.signature, now_us()))
        })
    }

    /// Signs a link to a picture; `None` if the system gave no key for it.
    #[must_use]
    pub fn sign(&self, picture: Picture, camera: &str, until_us: i64) -> Option<String> {
        let key = self.link_key.as_ref()?;
        Some(key.sign(&picture.signed(camera), until_us))
    }

    /// Whether what was granted still holds; without a link, which ends by itself.
    #[must_use]
    pub fn still_grants(&self, offered: &Offered, grant: &Grant) -> bool {
        matches!(grant.who, Who::Link) || self.look(offered).as_ref() == Some(grant)
    }

    /// Whether a picture that is being streamed may go on.
    #[must_use]
    pub fn still_shows(&self, offered: &Offered, picture: Picture, camera: &str) -> bool {
        self.has_link(offered, picture, camera)
            || self
                .look(offered)
                .is_some_and(|grant| grant.cameras.include(camera))
    }

    /// Whether somebody may administer.
    ///
    /// # Errors
    ///
    /// [`Denied`] says what is missing.
    pub fn administer(&self, offered: &Offered) -> Result<(&Arc<Access>, Grant), Denied> {
        let Some(access) = &self.access else {
            return Err(Denied::no_users());
        };
        let grant = self.view(offered)?;
        match &grant.who {
            _ if grant.is_admin() => Ok((access, grant)),
            Who::Anyone | Who::Link | Who::SharedToken => Err(Denied::unknown(
                "this is for administrators: sign in as one, or give an API token with the scope admin"
                    .to_owned(),
            )),
            Who::User { name, .. } | Who::Token(name) => Err(Denied::forbidden(format!(
                "{name:?} may watch; this is for administrators"
            ))),
        }
    }

    /// Notes in the audit log, if there is one, what somebody has changed.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn note(
        &self,
        actor: String,
        action: &'static str,
        subject: String,
    ) -> Result<(), AccessError> {
        match &self.access {
            Some(access) => {
                access
                    .run(move |store| store.note(&actor, action, &subject))
                    .await
            }
            None => Ok(()),
        }
    }

    fn missing(&self, offered: &Offered) -> String {
        let wrong = match (&offered.token, &offered.session) {
            (Some(_), _) => "; the token offered is wrong or has expired",
            (None, Some(_)) => "; the session has ended",
            (None, None) => "",
        };
        let needed = match (&self.access, &self.viewer_token) {
            (Some(access), _) if access.snapshot().has_admin() => {
                "sign in, or give a token (Authorization: Bearer, or ?token=)"
            }
            (_, Some(_)) => {
                return format!(
                    "this relay asks viewers for a token{}",
                    if wrong.is_empty() {
                        ""
                    } else {
                        ", and this is not it"
                    }
                );
            }
            (Some(_), None) => {
                "this relay has no administrator yet: open the set-up link that it printed at its start, or run cv-relay user add --admin NAME"
            }
            (None, None) if self.open == Open::Loopback => {
                "this relay is open to programs on its own machine alone"
            }
            (None, None) => {
                "this relay is closed to viewers: it has neither users (--data-dir) nor a token (--viewer-token), and was not started with --open"
            }
        };
        format!("{needed}{wrong}")
    }

    /// Whether an agent may bring its camera, or waits until a person accepts it.
    ///
    /// # Errors
    ///
    /// [`Denied`] with the reason; also if it would have to wait and cannot.
    pub fn agent(&self, offered: &Offered, claim: &Claim) -> Result<Admission, Denied> {
        if self.one_camera {
            return Err(Denied::forbidden(ONE_CAMERA));
        }
        let guesses = self.agent_token.is_some() && claim.token.is_some();
        if guesses && !self.snapshot().agents.contains_key(&claim.camera) {
            self.slow(offered)?;
        }
        let refusal = match self.know_agent(offered, claim) {
            Known::Yes => return Ok(Admission::Welcome),
            Known::WrongToken => {
                self.note_failure(offered);
                return Err(Denied::forbidden(BAD_AGENT_TOKEN));
            }
            Known::Revoked => {
                return Err(Denied::forbidden(format!(
                    "an administrator has revoked this agent's key for {:?}; let one accept it again",
                    claim.camera
                )));
            }
            Known::Not(why) => why,
        };
        let Some(access) = self.access.as_ref().filter(|_| claim.adoption) else {
            return Err(Denied::forbidden(format!(
                "{refusal}, and this agent cannot ask for it: {}",
                if self.access.is_none() {
                    "start the relay with --data-dir, --agent-token or --open"
                } else {
                    "update it, or give both sides the same token (--agent-token at the relay, --token at the agent)"
                }
            )));
        };
        cv_protocol::check_camera_name(&claim.camera).map_err(Denied::forbidden)?;
        access
            .ask(&claim.camera, offered.address(), &claim.version)
            .map(Admission::Wait)
            .map_err(|err| Denied::forbidden(err.to_string()))
    }

    /// Whether an agent that was let in may stay.
    #[must_use]
    pub fn still_admits(&self, offered: &Offered, claim: &Claim) -> bool {
        matches!(self.know_agent(offered, claim), Known::Yes)
    }

    fn know_agent(&self, offered: &Offered, claim: &Claim) -> Known {
        let snapshot = self.snapshot();
        if let Some(agent) = snapshot.agents.get(&claim.camera) {
            // The name is bound: neither the shared token nor an open door takes it away.
            let key = claim.key;
            return match (key == Some(agent.key), agent.revoked_us) {
                (true, None) => Known::Yes,
                (true, Some(_)) => Known::Revoked,
                (false, _) => Known::Not("the camera's name belongs to another agent"),
            };
        }
        match (&self.agent_token, claim.token.as_ref()) {
            (Some(token), Some(offer)) if token.is(offer) => Known::Yes,
            (Some(_), Some(_)) => Known::WrongToken,
            (Some(_), None) if self.access.is_none() => Known::WrongToken,
            (None, _) if self.is_open_to(offered, &snapshot) => Known::Yes,
            _ => Known::Not("an administrator has to accept this agent first"),
        }
    }

    /// Whether a tutorial's client may bring a camera: it knows nothing of keys.
    ///
    /// # Errors
    ///
    /// [`Denied`] with the reason.
    pub fn tutorial_agent(&self, offered: &Offered) -> Result<(), Denied> {
        if self.one_camera {
            return Err(Denied::forbidden(ONE_CAMERA));
        }
        match (&self.agent_token, &offered.token) {
            (Some(token), Some(offer)) => {
                self.slow(offered)?;
                if token.is(offer) {
                    return Ok(());
                }
                self.note_failure(offered);
                Err(Denied::forbidden(BAD_AGENT_TOKEN))
            }
            (Some(_), None) => Err(Denied::forbidden(BAD_AGENT_TOKEN)),
            (None, _) if self.is_open_to(offered, &self.snapshot()) => Ok(()),
            (None, _) => Err(Denied::forbidden(
                "this relay takes no cameras from strangers: start it with --open, or with --agent-token and put ?token=... behind the client's address",
            )),
        }
    }

    /// Whether a tutorial's client that was let in may stay.
    #[must_use]
    pub fn still_admits_tutorial(&self, offered: &Offered) -> bool {
        match (&self.agent_token, &offered.token) {
            (Some(token), Some(offer)) => token.is(offer),
            (Some(_), None) => false,
            (None, _) => self.is_open_to(offered, &self.snapshot()),
        }
    }
}

/// Without randomness some doors stay shut; the rest works.
fn known<T>(made: Result<T, AccessError>) -> Option<T> {
    made.inspect_err(|err| log::error!("{err}")).ok()
}

const ONE_CAMERA: &str = "this page shows the camera of its own machine and takes no others";

const BAD_AGENT_TOKEN: &str = "this relay asks agents for a token, and this is not it";

/// What is known about an agent.
enum Known {
    Yes,
    WrongToken,
    Revoked,
    /// Why not.
    Not(&'static str),
}
