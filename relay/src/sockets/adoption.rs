//! Agents that wait until a person accepts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cv_access::{Asking, Waiting};
use cv_protocol::{Accepted, event};
use serde::Serialize;
use socketioxide::extract::SocketRef;
use socketioxide::socket::Socket;

use super::{LAST_WORDS, describe, say_last_words};
use crate::doors::Doors;
use crate::peer::Peer;

/// An agent that waits.
pub struct Candidate {
    asking: Asking,
    /// A person has decided, and that is being carried out.
    decided: AtomicBool,
}

impl Candidate {
    pub(super) fn new(asking: Asking) -> Self {
        Self {
            asking,
            decided: AtomicBool::new(false),
        }
    }
}

/// An agent that waits, as administrators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    #[serde(flatten)]
    waiting: Waiting,
    /// Whether another agent has the name, which would lose it.
    replaces: bool,
}

/// The agents that wait for a decision, those that have waited longest first.
pub fn list(doors: &Doors) -> Vec<Listed> {
    let Some(access) = doors.access() else {
        return Vec::new();
    };
    let snapshot = access.snapshot();
    let undecided = |w: &&Waiting| w.accepted_by.is_none() && !w.refused;
    let mut list: Vec<_> = snapshot
        .waiting
        .values()
        .filter(undecided)
        .map(|waiting| Listed {
            replaces: snapshot.agents.contains_key(&waiting.name),
            waiting: waiting.clone(),
        })
        .collect();
    list.sort_by(|a, b| {
        let order = |listed: &Listed| (listed.waiting.since_us, listed.waiting.code.clone());
        order(a).cmp(&order(b))
    });
    list
}

/// Sends an administrator the list.
pub(super) fn tell(socket: &Socket, list: &[Listed]) {
    // Fails only if the socket closes or is full; the next change brings the list again.
    let _ = socket.emit(event::WAITING, &(list,));
}

/// Tells an agent that it has to wait, and the log whom to accept.
pub(super) fn announce(socket: &Arc<Socket>, candidate: &Candidate) {
    let code = candidate.asking.code();
    let name = candidate.asking.name();
    log::info!(
        "{name:?} wants to join, code {code}: {}; accept it on the page or with: cv-relay agents accept {name:?}",
        describe(socket)
    );
    let _ = socket.emit(
        event::WAITING,
        &cv_protocol::Waiting {
            code: code.to_owned(),
            message: "an administrator has to accept this agent first".into(),
        },
    );
}

/// Carries out what a person has decided, if somebody has.
pub(super) fn decide(socket: &SocketRef, candidate: &Arc<Candidate>) {
    let Some(accepted) = candidate.asking.verdict() else {
        return;
    };
    if candidate.decided.swap(true, Ordering::Relaxed) {
        return;
    }
    let name = candidate.asking.name();
    if !accepted {
        log::info!("agent {} turned away as {name:?}", describe(socket));
        say_last_words(
            socket.clone(),
            "an administrator has turned this agent away",
            false,
        );
        return;
    }
    let (socket, candidate) = (socket.clone(), candidate.clone());
    tokio::spawn(async move {
        let name = candidate.asking.name();
        match candidate.asking.adopt().await {
            Ok(key) => {
                log::info!("agent {} accepted as {name:?}", describe(&socket));
                let key = key.expose().to_owned();
                // If it does not arrive, the agent asks again and can be accepted again.
                let _ = socket.emit(event::ACCEPTED, &Accepted { key });
                let peer = Peer::of(&socket.req_parts().extensions).cloned();
                let _ = socket.disconnect();
                if let Some(peer) = peer {
                    peer.cut_after(LAST_WORDS);
                }
            }
            Err(err) => {
                log::error!("cannot accept {name:?}: {err}");
                say_last_words(socket, "the relay could not store the key", true);
            }
        }
    });
}
