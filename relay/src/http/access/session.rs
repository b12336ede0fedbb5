//! Who is signed in; signing in and out; the first administrator.

use std::sync::Arc;

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cv_access::{Access, Password, Role, SESSION_TIME, Secret, SignIn};
use serde::{Deserialize, Serialize};

use super::{Body, done, json};
use crate::config::Open;
use crate::doors::{Denied, Doors, Grant, Offered, Secured, Who, cookie_name};

/// Who is signed in, and what the page offers.
#[derive(Serialize)]
struct Shown {
    /// The person's name.
    name: Option<String>,
    role: Option<Role>,
    /// The cameras that may be seen; `null` for all.
    cameras: Option<cv_access::Cameras>,
    may_watch: bool,
    may_administer: bool,
    /// What is missing, in a sentence.
    lacks: Option<String>,
    /// Whether people can sign in.
    users: bool,
    /// Whether a token from the settings opens the page.
    token: bool,
    /// How the first administrator is created: by the `link`, or `here`.
    set_up: Option<&'static str>,
    /// `everyone` or `this machine`, if strangers may come in.
    open: Option<&'static str>,
    /// Whether what is sent can be read on the way.
    encrypted: bool,
}

/// What the page has to know before it asks anything of anybody.
pub async fn show(State(doors): State<Arc<Doors>>, offered: Offered, parts: Parts) -> Response {
    let has_admin = doors.has_admin();
    let grant = doors.view(&offered);
    let set_up =
        (doors.access().is_some() && !has_admin).then(|| match doors.may_set_up(&offered, None) {
            Ok(()) => "here",
            Err(_) => "link",
        });
    let lacks = match &grant {
        Err(denied) => Some(denied.reason().to_owned()),
        Ok(grant) => lacks(grant, has_admin),
    };
    let grant = grant.ok();
    let (name, session) = match grant.as_ref().map(|grant| &grant.who) {
        Some(Who::User { name, .. }) => (Some(name.clone()), true),
        _ => (None, false),
    };
    let mut response = json(Shown {
        name,
        role: grant.as_ref().map(|grant| grant.role),
        may_watch: grant.is_some(),
        may_administer: grant.as_ref().is_some_and(Grant::is_admin),
        cameras: grant.map(|grant| grant.cameras),
        lacks,
        users: has_admin,
        token: doors.asks_for_token(),
        set_up,
        open: match doors.open() {
            Open::Everyone => Some("everyone"),
            Open::Loopback if !has_admin => Some("this machine"),
            _ => None,
        },
        encrypted: parts.extensions.get::<Secured>().is_some(),
    });
    if session {
        // The cookie lasts as long as the session, which this visit has made longer.
        renew_cookie(&mut response, &parts);
    }
    response
}

fn lacks(grant: &Grant, has_admin: bool) -> Option<String> {
    if grant.is_admin() {
        return None;
    }
    let watch = if grant.cameras.are_all() {
        "You may watch every camera"
    } else {
        "You may watch some of the cameras"
    };
    has_admin.then(|| format!("{watch}; changing anything takes an administrator."))
}

#[derive(Deserialize)]
pub struct Login {
    name: String,
    password: String,
}

pub async fn sign_in(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    parts: Parts,
    Body(login): Body<Login>,
) -> Result<Response, Denied> {
    let access = users(&doors)?;
    let attempt = SignIn {
        name: login.name,
        password: Password::offered(login.password),
        address: offered.address(),
        browser: browser(&parts),
    };
    let secret = access.sign_in(doors.failures(), attempt).await?;
    Ok(with_cookie(&parts, &secret))
}

#[derive(Deserialize)]
pub struct First {
    link: Option<String>,
    name: String,
    password: String,
}

pub async fn set_up(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    parts: Parts,
    Body(first): Body<First>,
) -> Result<Response, Denied> {
    doors.may_set_up(&offered, first.link.as_deref())?;
    let actor = match first.link {
        Some(_) => "set-up link",
        None => "set-up on this machine",
    };
    let attempt = SignIn {
        name: first.name,
        password: Password::new(first.password)?,
        address: offered.address(),
        browser: browser(&parts),
    };
    let secret = users(&doors)?.set_up(actor, attempt).await?;
    Ok(with_cookie(&parts, &secret))
}

pub async fn sign_out(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    parts: Parts,
) -> Result<Response, Denied> {
    if let Ok(Grant {
        who: Who::User { name, session },
        ..
    }) = doors.view(&offered)
    {
        users(&doors)?
            .run(move |store| store.end_session(&name, session))
            .await?;
    }
    let mut response = done();
    set_cookie(&mut response, &parts, "", 0);
    Ok(response)
}

#[derive(Deserialize)]
pub struct NewPassword {
    old: String,
    new: String,
}

pub async fn change_password(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    Body(passwords): Body<NewPassword>,
) -> Result<Response, Denied> {
    let access = users(&doors)?;
    let Grant {
        who: Who::User { name, session },
        ..
    } = doors.view(&offered)?
    else {
        return Err(Denied::sign_in());
    };
    let old = Password::offered(passwords.old);
    let new = Password::new(passwords.new)?;
    access
        .change_password(doors.failures(), &name, session, old, new)
        .await?;
    Ok(done())
}

fn users(doors: &Doors) -> Result<&Arc<Access>, Denied> {
    doors.access().ok_or_else(Denied::no_users)
}

fn browser(parts: &Parts) -> String {
    let agent = parts.headers.get(header::USER_AGENT);
    agent
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or("unknown")
        .to_owned()
}

fn with_cookie(parts: &Parts, secret: &Secret) -> Response {
    let mut response = done();
    set_cookie(
        &mut response,
        parts,
        secret.expose(),
        SESSION_TIME.as_secs(),
    );
    response
}

fn set_cookie(response: &mut Response, parts: &Parts, value: &str, seconds: u64) {
    let secure = match parts.extensions.get::<Secured>() {
        Some(Secured) => "; Secure",
        None => "",
    };
    let name = cookie_name(&parts.headers, &parts.extensions);
    let cookie =
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    match HeaderValue::from_str(&cookie) {
        Ok(mut cookie) => {
            cookie.set_sensitive(true);
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        Err(_) => *response = StatusCode::BAD_REQUEST.into_response(),
    }
}

fn renew_cookie(response: &mut Response, parts: &Parts) {
    let name = cookie_name(&parts.headers, &parts.extensions);
    if let Some(value) = crate::doors::cookie(&parts.headers, &name) {
        set_cookie(response, parts, value, SESSION_TIME.as_secs());
    }
}
