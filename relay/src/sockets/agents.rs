//! Agents on `/cv`, and the tutorial's CV client on `/cv` or `/`.

use std::sync::{Arc, Mutex, PoisonError};

use cv_protocol::tutorial::CV2SERVER;
use cv_protocol::{Ack, AgentAuth, Detections, FrameMeta, Stats, Timestamp, VERSION, event};
use serde::Deserialize;
use socketioxide::extract::SocketRef;
use socketioxide::handler::Value;
use socketioxide::socket::{DisconnectReason, Socket};

use super::adoption::{self, Candidate};
use super::{
    Greeter, On, answer_clock, argument, attachment, describe, offered, refuse, say_last_words,
};
use crate::doors::{Admission, Claim, Doors, Offered};
use crate::hub::{FrameRefused, Hub, Publisher, TAKEN_OVER};
use crate::tutorial;

/// The name of a tutorial's client, which cannot tell one.
const TUTORIAL_CAMERA: &str = "tutorial";

#[derive(Clone)]
pub(super) struct Agents(pub Arc<Hub>, pub Arc<Doors>);

/// What an agent was let in with; looked at again when rights change.
pub(super) enum Visit {
    Agent(Offered, Claim),
    Tutorial(Offered),
}

impl Visit {
    pub fn may_stay(&self, doors: &Doors) -> bool {
        match self {
            Self::Agent(offered, claim) => doors.still_admits(offered, claim),
            Self::Tutorial(offered) => doors.still_admits_tutorial(offered),
        }
    }
}

#[derive(Default, Deserialize)]
pub(super) struct AnyAuth {
    protocol: Option<u32>,
    token: Option<String>,
}

pub(super) fn parse_auth<T: serde::de::DeserializeOwned>(auth: &str) -> Result<T, String> {
    serde_json::from_str(auth).map_err(|err| format!("auth: {err}"))
}

impl Greeter for Agents {
    fn admit(&self, socket: &Arc<Socket>, auth: Option<&str>) -> Result<(), String> {
        let Self(hub, doors) = self;
        let any: AnyAuth = auth.map(parse_auth).transpose()?.unwrap_or_default();
        let offered = offered(socket, any.token.as_deref());
        let visit = match (any.protocol, auth) {
            (Some(VERSION), Some(auth)) => {
                let auth: AgentAuth = parse_auth(auth)?;
                let claim = Claim::from(&auth);
                let admission = doors.agent(&offered, &claim);
                match admission.map_err(|denied| denied.reason().to_owned())? {
                    Admission::Welcome => admit_agent(hub, socket, &auth)?,
                    Admission::Wait(asking) => {
                        socket.extensions.insert(Arc::new(Candidate::new(asking)));
                        on_gone(socket, || ());
                        return Ok(());
                    }
                }
                Visit::Agent(offered, claim)
            }
            (Some(other), _) => {
                return Err(format!(
                    "protocol {other} is not spoken here, expected {VERSION}"
                ));
            }
            (None, _) => {
                doors
                    .tutorial_agent(&offered)
                    .map_err(|denied| denied.reason().to_owned())?;
                accept_tutorial_client(hub, socket, Ok(()));
                Visit::Tutorial(offered)
            }
        };
        socket.extensions.insert(Arc::new(visit));
        Ok(())
    }

    fn greet(&self, socket: &Arc<Socket>) {
        if let Some(candidate) = socket.extensions.get::<Arc<Candidate>>() {
            adoption::announce(socket, &candidate);
            return;
        }
        log::info!("agent connected: {}", describe(socket));
        if let Some(publisher) = socket.extensions.get::<Arc<Publisher>>() {
            forward_demand(socket, &publisher);
        }
    }
}

fn admit_agent(hub: &Arc<Hub>, socket: &Arc<Socket>, auth: &AgentAuth) -> Result<(), String> {
    let evicted = Arc::downgrade(socket);
    let publisher = hub
        .publish(&auth.camera, move |reason| {
            if let Some(socket) = evicted.upgrade() {
                log::warn!("agent {} dropped: {reason}", describe(&socket));
                say_last_words(socket.into(), reason, reason != TAKEN_OVER);
            }
        })
        .map_err(|err| err.to_string())?;
    log::info!(
        "camera {:?} comes from {}, agent version {:?}",
        auth.camera,
        describe(socket),
        auth.version
    );
    let publisher = Arc::new(publisher);
    socket.extensions.insert(publisher.clone());
    answer_clock(socket);

    on_agent(
        hub,
        &publisher,
        socket,
        event::FRAME,
        |socket, publisher, value| {
            if let Some(ack) = take_frame(publisher, value)? {
                // A socket that is full or closing cannot take it; the next one covers it.
                let _ = socket.emit(event::ACK, &ack);
            }
            Ok(())
        },
    );
    on_agent(
        hub,
        &publisher,
        socket,
        event::DETECTIONS,
        |_, publisher, value| {
            publisher.detections(argument::<Detections>(value)?);
            Ok(())
        },
    );
    on_agent(
        hub,
        &publisher,
        socket,
        event::STATS,
        |_, publisher, value| {
            publisher.stats(argument::<Stats>(value)?);
            Ok(())
        },
    );
    on_gone(socket, move || drop(publisher));
    Ok(())
}

/// Takes a `frame` event; returns the acknowledgement that it gets, if any.
pub(super) fn take_frame(publisher: &Publisher, value: &Value) -> Result<Option<Ack>, String> {
    let meta: FrameMeta = argument(value)?;
    let jpeg = attachment(value).ok_or("the picture is missing")?;
    match publisher.frame(meta, jpeg) {
        // A frame that was dropped needs no place in the agent's window either.
        Ok(())
        | Err(
            FrameRefused::OutOfOrder
            | FrameRefused::NotJpeg
            | FrameRefused::Cut
            | FrameRefused::LeftOver,
        ) => Ok(Some(Ack { seq: meta.seq })),
        Err(FrameRefused::Superseded) => Ok(None),
        Err(err @ FrameRefused::TooLarge { .. }) => Err(err.to_string()),
    }
}

/// Calls `handle` for each `event` of an agent; an error refuses the agent.
fn on_agent(
    hub: &Arc<Hub>,
    publisher: &Arc<Publisher>,
    socket: &Arc<Socket>,
    event: &'static str,
    handle: impl Fn(&Socket, &Publisher, &Value) -> Result<(), String> + Send + Sync + 'static,
) {
    let hub = hub.clone();
    // Weak: handlers live as long as the socket, which must not keep the camera alive.
    let publisher = Arc::downgrade(publisher);
    socket.on(
        event,
        On(move |socket: &Arc<Socket>, value: &Value| {
            let Some(publisher) = publisher.upgrade() else {
                return;
            };
            if let Err(reason) = handle(socket, &publisher, value) {
                refuse(&hub, socket, &format!("{event}: {reason}"));
            }
        }),
    );
}

/// Logs the end of a connection, after `then` has dropped what it holds.
fn on_gone(socket: &Arc<Socket>, then: impl FnOnce() + Clone + Send + Sync + 'static) {
    socket.on_disconnect(async move |socket: SocketRef, reason: DisconnectReason| {
        socket.extensions.clear();
        then();
        log::info!("agent disconnected: {} ({reason:?})", describe(&socket));
    });
}

/// Tells the agent what viewers want, now and whenever it changes.
fn forward_demand(socket: &Arc<Socket>, publisher: &Publisher) {
    let mut demand = publisher.demand();
    let socket = Arc::downgrade(socket);
    tokio::spawn(async move {
        loop {
            let wanted = *demand.borrow_and_update();
            match socket.upgrade() {
                Some(socket) if socket.connected() => {
                    // Full: an agent that reads nothing is dropped by its own time limit.
                    let _ = socket.emit(event::DEMAND, &wanted);
                }
                _ => return,
            }
            if demand.changed().await.is_err() {
                return;
            }
        }
    });
}

/// The default namespace: every Engine.IO 3 client is put there first, so all may enter.
#[derive(Clone)]
pub(super) struct DefaultNamespace(pub Arc<Hub>, pub Arc<Doors>);

impl Greeter for DefaultNamespace {
    fn admit(&self, socket: &Arc<Socket>, auth: Option<&str>) -> Result<(), String> {
        let Self(hub, doors) = self;
        let auth: AnyAuth = auth
            .and_then(|auth| parse_auth(auth).ok())
            .unwrap_or_default();
        let offered = offered(socket, auth.token.as_deref());
        let admitted = doors.tutorial_agent(&offered);
        if admitted.is_ok() {
            socket.extensions.insert(Arc::new(Visit::Tutorial(offered)));
        }
        let admitted = admitted.map_err(|denied| denied.reason().to_owned());
        accept_tutorial_client(hub, socket, admitted);
        Ok(())
    }
}

/// Takes `cv2server`, or refuses it if the client was not admitted; the first one makes the
/// connection a camera.
fn accept_tutorial_client(hub: &Arc<Hub>, socket: &Arc<Socket>, admitted: Result<(), String>) {
    let camera: Arc<Mutex<Option<TutorialCamera>>> = Arc::default();
    let owner = Arc::downgrade(&camera);
    let hub = hub.clone();
    socket.on(
        CV2SERVER,
        On(move |socket: &Arc<Socket>, value: &Value| {
            let Some(camera) = owner.upgrade() else {
                return;
            };
            let mut camera = camera.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = admitted
                .clone()
                .and_then(|()| take_tutorial_frame(&hub, socket, &mut camera, value));
            if let Err(reason) = taken {
                refuse(&hub, socket, &reason);
            }
        }),
    );
    on_gone(socket, move || drop(camera));
}

struct TutorialCamera {
    publisher: Publisher,
    next_seq: u64,
}

/// A `cv2server` payload without the guarantee that its fields are small.
#[derive(Deserialize)]
pub(super) struct Cv2Server {
    pub(super) image: String,
    #[serde(default)]
    pub(super) text: String,
}

fn take_tutorial_frame(
    hub: &Arc<Hub>,
    socket: &Arc<Socket>,
    camera: &mut Option<TutorialCamera>,
    value: &Value,
) -> Result<(), String> {
    let payload: Cv2Server = argument(value).map_err(|err| format!("{CV2SERVER}: {err}"))?;
    let picture = tutorial::decode(&payload.image, &payload.text).map_err(|err| err.to_string())?;
    let camera = match camera {
        Some(camera) => camera,
        None => camera.insert(TutorialCamera {
            publisher: publish_tutorial_camera(hub, socket)?,
            next_seq: 0,
        }),
    };
    let meta = FrameMeta {
        seq: camera.next_seq,
        // Its clock is not known: the picture is as old as its way through the network at least.
        captured_us: Timestamp::now(),
        sent_us: None,
        width: picture.width,
        height: picture.height,
        // The tutorial draws its boxes into the picture.
        bytes: None,
        paced: None,
        annotated: true,
    };
    camera.next_seq += 1;
    camera.publisher.text(payload.text);
    match camera.publisher.frame(meta, picture.jpeg) {
        Err(FrameRefused::TooLarge { bytes }) => {
            Err(tutorial::BadPayload::ImageTooLarge { bytes }.to_string())
        }
        // Superseded: the connection is being closed.
        _ => Ok(()),
    }
}

fn publish_tutorial_camera(hub: &Arc<Hub>, socket: &Arc<Socket>) -> Result<Publisher, String> {
    let name = hub.free_name(TUTORIAL_CAMERA);
    let evicted = Arc::downgrade(socket);
    let publisher = hub
        .publish(&name, move |reason| {
            if let Some(socket) = evicted.upgrade() {
                log::warn!("agent {} dropped: {reason}", describe(&socket));
                say_last_words(socket.into(), reason, reason != TAKEN_OVER);
            }
        })
        .map_err(|err| err.to_string())?;
    publisher.stats(Stats {
        clock_offset_us: Some(0),
        ..Stats::default()
    });
    log::info!(
        "camera {name:?} comes from {}, a tutorial's client",
        describe(socket)
    );
    Ok(publisher)
}
