//! What administrators do: agents, users, tokens, sessions, the audit log.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use cv_access::{Cameras, Password, Role, now_us};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Body, done, json};
use crate::doors::{Denied, Doors, Offered, Who};
use crate::http::{Relay, sorry};
use crate::sockets;

type Answer = Result<Response, Denied>;

/// Lines of the audit log in one answer.
const AUDIT_PAGE: u32 = 100;

// ---- agents

pub async fn agents(State(Relay { hub, doors }): State<Relay>, offered: Offered) -> Answer {
    let (access, _) = doors.administer(&offered)?;
    let snapshot = access.snapshot();
    let mut accepted: Vec<_> = snapshot.agents.values().collect();
    accepted.sort_by(|a, b| a.name.cmp(&b.name));
    let cameras = hub.cameras();
    let accepted: Vec<_> = accepted
        .into_iter()
        .map(|agent| {
            let camera = cameras.iter().find(|camera| camera.name == agent.name);
            json!({
                "name": agent.name,
                "accepted_us": agent.accepted_us,
                "accepted_by": agent.accepted_by,
                "revoked_us": agent.revoked_us,
                "state": camera.map(|camera| camera.state),
            })
        })
        .collect();
    Ok(json(
        json!({ "waiting": sockets::waiting(&doors), "accepted": accepted }),
    ))
}

#[derive(Deserialize)]
pub struct Accepting {
    name: String,
    code: Option<String>,
}

pub async fn accept(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    Body(agent): Body<Accepting>,
) -> Answer {
    let (access, grant) = doors.administer(&offered)?;
    let actor = grant.actor();
    access
        .run(move |store| store.accept(&actor, &agent.name, agent.code.as_deref()))
        .await?;
    Ok(done())
}

#[derive(Deserialize)]
pub struct Code {
    code: String,
}

pub async fn refuse(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    Body(agent): Body<Code>,
) -> Answer {
    let (access, grant) = doors.administer(&offered)?;
    let actor = grant.actor();
    access
        .run(move |store| store.turn_away(&actor, &agent.code))
        .await?;
    Ok(done())
}

#[derive(Deserialize)]
pub struct Name {
    name: String,
}

pub async fn revoke(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    Body(agent): Body<Name>,
) -> Answer {
    let (access, grant) = doors.administer(&offered)?;
    let actor = grant.actor();
    access
        .run(move |store| store.revoke_agent(&actor, &agent.name))
        .await?;
    Ok(done())
}

pub async fn remove_agent(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    Body(agent): Body<Name>,
) -> Answer {
    let (access, grant) = doors.administer(&offered)?;
    let actor = grant.actor();
    access
        .run(move |store| store.remove_agent(&actor, &agent.name))
        .await?;
    Ok(done())
}

// ---- users

pub async fn users(State(doors): State<Arc<Doors>>, offered: Offered) -> Answer {
    let (access, _) = doors.administer(&offered)?;
    let snapshot = access.snapshot();
    let mut users: Vec<_> = snapshot.users.values().collect();
    users.sort_by_key(|user| user.name.to_lowercase());
    Ok(json(users))
}

#[derive(Deserialize)]
pub struct NewUser {
    name: String,
    password: String,
    role: Role,
    #[serde(default)]
    cameras: Cameras,
}

pub async fn add_user(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    Body(user): Body<NewUser>,
) -> Answer {
    let (access, grant) = doors.administer(&offered)?;
    let password = Password::new(user.password)?;
    access
        .add_user(grant.actor(), user.name, password, user.role, user.cameras)
        .await?;
    Ok(done())
}

#[derive(Deserialize)]
pub struct Change {
    role: Option<Role>,
    /// Given: a list, or `null` for all.
    #[serde(default, deserialize_with = "given")]
    cameras: Option<Cameras>,
    password: Option<String>,
}

/// Tells `null` from nothing.
fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Cameras>, D::Error> {
    Cameras::deserialize(from).map(Some)
}

pub async fn change_user(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    Path(name): Path<String>,
    Body(change): Body<Change>,
) -> Answer {
    let (access, grant) = doors.administer(&offered)?;
    let snapshot = access.snapshot();
    let known = snapshot
        .users
        .values()
        .find(|user| user.name.eq_ignore_ascii_case(&name));
    let password = change.password.map(Password::new).transpose()?;
    if change.role.is_some() || change.cameras.is_some() {
        let role = change.role.or(known.map(|user| user.role));
        let cameras = change.cameras.or(known.map(|user| user.cameras.clone()));
        let (role, cameras) = (role.unwrap_or(Role::Viewer), cameras.unwrap_or_default());
        let (actor, name) = (grant.actor(), name.clone());
        access
            .run(move |store| store.set_rights(&actor, &name, role, &cameras))
            .await?;
    }
    if let Some(password) = password {
        let keep = match &grant.who {
            Who::User { name: own, session } if own.eq_ignore_ascii_case(&name) => Some(*session),
            _ => None,
        };
        access
            .set_password(grant.actor(), name, password, keep)
            .await?;
    }
    Ok(done())
}

pub async fn remove_user(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    Path(name): Path<String>,
) -> Answer {
    let (access, grant) = doors.administer(&offered)?;
    let actor = grant.actor();
    access
        .run(move |store| store.remove_user(&actor, &name))
        .await?;
    Ok(done())
}

// ---- tokens

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    View,
    Admin,
}

impl From<Role> for Scope {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::View,
            Role::Admin => Self::Admin,
        }
    }
}

impl From<Scope> for Role {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::View => Self::Viewer,
            Scope::Admin => Self::Admin,
        }
    }
}

pub async fn tokens(State(doors): State<Arc<Doors>>, offered: Offered) -> Answer {
    let (access, _) = doors.administer(&offered)?;
    let snapshot = access.snapshot();
    let mut tokens: Vec<_> = snapshot.tokens.values().collect();
    tokens.sort_by_key(|token| token.name.to_lowercase());
    let tokens: Vec<_> = tokens
        .into_iter()
        .map(|token| {
            json!({
                "name": token.name,
                "scope": Scope::from(token.scope),
                "created_us": token.created_us,
                "created_by": token.created_by,
                "expires_us": token.expires_us,
            })
        })
        .collect();
    Ok(json(tokens))
}

#[derive(Deserialize)]
pub struct NewToken {
    name: String,
    scope: Scope,
    /// Absent: it does not expire.
    days: Option<u16>,
}

pub async fn add_token(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    Body(token): Body<NewToken>,
) -> Answer {
    let (access, grant) = doors.administer(&offered)?;
    let expires = token
        .days
        .map(|days| now_us() + i64::from(days) * 24 * 3_600_000_000);
    let (actor, name, scope) = (grant.actor(), token.name, token.scope.into());
    let secret = access
        .run(move |store| store.add_token(&actor, &name, scope, expires))
        .await?;
    // Shown once: only its digest is stored.
    Ok(json(json!({ "token": secret.expose() })))
}

pub async fn revoke_token(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    Path(name): Path<String>,
) -> Answer {
    let (access, grant) = doors.administer(&offered)?;
    let actor = grant.actor();
    access
        .run(move |store| store.revoke_token(&actor, &name))
        .await?;
    Ok(done())
}

// ---- sessions

pub async fn sessions(State(doors): State<Arc<Doors>>, offered: Offered) -> Answer {
    let (access, grant) = doors.administer(&offered)?;
    let own = match grant.who {
        Who::User { session, .. } => Some(session),
        _ => None,
    };
    let snapshot = access.snapshot();
    let mut sessions: Vec<_> = snapshot.sessions.values().collect();
    sessions.sort_by_key(|session| std::cmp::Reverse(session.seen_us));
    let sessions: Vec<_> = sessions
        .into_iter()
        .map(|session| {
            json!({
                "id": session.id,
                "user": snapshot.users.get(&session.user).map(|user| &user.name),
                "created_us": session.created_us,
                "seen_us": session.seen_us,
                "address": session.address,
                "browser": session.browser,
                "own": own == Some(session.id),
            })
        })
        .collect();
    Ok(json(sessions))
}

pub async fn end_session(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    Path(id): Path<String>,
) -> Answer {
    let (access, grant) = doors.administer(&offered)?;
    let Ok(id) = id.parse() else {
        return Ok(sorry(
            StatusCode::NOT_FOUND,
            "There is no such session.".into(),
        ));
    };
    let actor = grant.actor();
    access
        .run(move |store| store.end_session(&actor, id))
        .await?;
    Ok(done())
}

// ---- audit log

#[derive(Deserialize)]
pub struct Page {
    before: Option<i64>,
    limit: Option<u32>,
}

pub async fn audit(
    State(doors): State<Arc<Doors>>,
    offered: Offered,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Answer {
    let (access, _) = doors.administer(&offered)?;
    let Ok(Query(page)) = page else {
        return Ok(sorry(
            StatusCode::BAD_REQUEST,
            "Expected ?before=NUMBER&limit=NUMBER, or nothing.".into(),
        ));
    };
    let limit = page.limit.unwrap_or(AUDIT_PAGE).min(AUDIT_PAGE);
    let entries = access
        .run(move |store| store.audit(page.before, limit))
        .await?;
    Ok(json(entries))
}
