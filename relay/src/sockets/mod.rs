//! Socket.IO: the only module that names `socketioxide`.
//!
//! `socketioxide` starts a task for every message of an asynchronous handler, which costs time and
//! loses the order. Nothing here has to wait, so handlers are plain functions ([`On`]) that run in
//! the connection's own read task.

mod adoption;
mod agents;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod outbox;
mod viewers;

use std::sync::Arc;
use std::time::Duration;

use cv_protocol::{
    ClockExchange, MAX_FRAME_BYTES, NAMESPACE_AGENTS, NAMESPACE_VIEWERS, STALL, Timestamp, event,
};
use serde::de::{Deserialize, DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::SocketRef;
use socketioxide::handler::connect::ConnectHandler;
use socketioxide::handler::{MessageHandler, Value};
use socketioxide::layer::SocketIoLayer;
use socketioxide::socket::Socket;
use socketioxide::{ParserConfig, SocketIo};

use crate::config::Config;
use crate::doors::{Doors, Offered};
use crate::hub::Hub;
use crate::peer::Peer;

pub use adoption::{Listed, list as waiting};

/// Room for the largest frame as a tutorial's data URL (4/3), its text and the JSON around them.
const MAX_MESSAGE_BYTES: usize = MAX_FRAME_BYTES / 3 * 4 + (64 << 10);

/// Messages that may wait for a viewer's socket: windows bound the frames, so these are few.
const MAX_WAITING: usize = 64;

/// Time for the last words before a connection is cut.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The Socket.IO layer over a router, and the hub behind it.
pub fn layer(config: Config, doors: &Arc<Doors>) -> (SocketIoLayer, Arc<Hub>, Sockets) {
    let (layer, io) = SocketIo::builder()
        .max_payload(MAX_MESSAGE_BYTES as u64)
        .ws_max_message_size(MAX_MESSAGE_BYTES)
        .ws_max_frame_size(MAX_MESSAGE_BYTES)
        // Viewers send little; an agent's frame is read past this buffer.
        .ws_read_buffer_size(4096)
        .max_buffer_size(MAX_WAITING)
        .connect_timeout(STALL)
        .with_parser(
            ParserConfig::common()
                .max_incoming_binaries(1)
                .max_incoming_binary_buf_size(MAX_MESSAGE_BYTES)
                .packet_completion_timeout(STALL),
        )
        .build_layer();
    let hub = Hub::new(config, Box::new(outbox::SocketOutbox::new(io.clone())));
    let (any, agents, viewers) = (
        agents::DefaultNamespace(hub.clone(), doors.clone()),
        agents::Agents(hub.clone(), doors.clone()),
        viewers::Viewers(hub.clone(), doors.clone()),
    );
    io.ns("/", Namespace(any));
    io.ns(NAMESPACE_AGENTS, Namespace(agents));
    io.ns(NAMESPACE_VIEWERS, Namespace(viewers));
    (layer, hub, Sockets(io))
}

/// All Socket.IO connections.
#[derive(Clone)]
pub struct Sockets(SocketIo);

impl Sockets {
    /// Ends all of them.
    pub async fn close(&self) {
        self.0.close().await;
    }

    /// Ends the connections that would not be let in any more, and completes what people have
    /// decided about agents that wait.
    pub fn look_again(&self, doors: &Doors) {
        for socket in self.of(NAMESPACE_VIEWERS) {
            if let Some(visit) = socket.extensions.get::<Arc<viewers::Visit>>()
                && !doors.still_grants(&visit.offered, &visit.grant)
            {
                say_last_words(
                    socket,
                    "your rights have changed or your session has ended",
                    true,
                );
            }
        }
        for socket in [NAMESPACE_AGENTS, "/"]
            .into_iter()
            .flat_map(|ns| self.of(ns))
        {
            if let Some(candidate) = socket.extensions.get::<Arc<adoption::Candidate>>() {
                adoption::decide(&socket, &candidate);
            } else if let Some(visit) = socket.extensions.get::<Arc<agents::Visit>>()
                && !visit.may_stay(doors)
            {
                log::info!("agent {} revoked", describe(&socket));
                say_last_words(socket, "an administrator has revoked this agent", false);
            }
        }
    }

    /// Tells administrators' pages which agents wait.
    pub fn tell_waiting(&self, list: &[Listed]) {
        for socket in self.of(NAMESPACE_VIEWERS) {
            if let Some(visit) = socket.extensions.get::<Arc<viewers::Visit>>()
                && visit.grant.is_admin()
            {
                adoption::tell(&socket, list);
            }
        }
    }

    fn of(&self, namespace: &'static str) -> Vec<SocketRef> {
        let all = self.0.of(namespace);
        all.map(|all| all.sockets()).unwrap_or_default()
    }
}

/// What a connection offers: with the request that opened it, and in its auth payload.
fn offered(socket: &Socket, token: Option<&str>) -> Offered {
    let head = socket.req_parts();
    Offered::of(&head.uri, &head.headers, &head.extensions, token)
}

/// What a namespace does with a new connection.
trait Greeter: Clone + Send + Sync + 'static {
    /// Lets the connection in, or says why not. Handlers are set here, before the client is told
    /// that it is connected, so that its first event finds them.
    fn admit(&self, socket: &Arc<Socket>, auth: Option<&str>) -> Result<(), String>;
    /// Sends what a new connection gets.
    fn greet(&self, _socket: &Arc<Socket>) {}
}

#[derive(Clone)]
struct Namespace<G>(G);

impl<G: Greeter> ConnectHandler<LocalAdapter, G> for Namespace<G> {
    fn call(&self, socket: Arc<Socket>, _auth: Option<Value>) {
        self.0.greet(&socket);
    }

    fn call_middleware<'a>(
        &'a self,
        socket: Arc<Socket>,
        auth: &'a Option<Value>,
    ) -> std::pin::Pin<
        Box<dyn Future<Output = Result<(), Box<dyn std::fmt::Display + Send>>> + Send + 'a>,
    > {
        let auth = match auth {
            Some(Value::Str(text, _)) => Some(text.as_str()),
            _ => None,
        };
        let admitted = self.0.admit(&socket, auth).map_err(|reason| {
            log::warn!("{} {} refused: {reason}", socket.ns(), describe(&socket));
            Box::new(reason) as Box<dyn std::fmt::Display + Send>
        });
        Box::pin(std::future::ready(admitted))
    }
}

/// An event's handler that runs in the connection's read task.
struct On<F>(F);

enum Plain {}

impl<F> MessageHandler<LocalAdapter, Plain> for On<F>
where
    F: Fn(&Arc<Socket>, &Value) + Send + Sync + 'static,
{
    fn call(&self, socket: Arc<Socket>, value: Value, _ack: Option<i64>) {
        (self.0)(&socket, &value);
    }
}

/// The first argument of an event; what follows is ignored.
fn argument<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    struct First<T>(T);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Arguments<T>(std::marker::PhantomData<T>);
            impl<'de, T: Deserialize<'de>> Visitor<'de> for Arguments<T> {
                type Value = First<T>;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an event with an argument")
                }

                fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<First<T>, A::Error> {
                    let missing = || serde::de::Error::custom("the argument is missing");
                    seq.next_element::<IgnoredAny>()?.ok_or_else(missing)?;
                    let first = seq.next_element()?.ok_or_else(missing)?;
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                    Ok(First(first))
                }
            }
            deserializer.deserialize_seq(Arguments(std::marker::PhantomData))
        }
    }

    let Value::Str(text, _) = value else {
        return Err("expected JSON".into());
    };
    serde_json::from_str(text)
        .map(|First(argument)| argument)
        .map_err(|err| err.to_string())
}

/// The binary attachment of an event.
fn attachment(value: &Value) -> Option<bytes::Bytes> {
    match value {
        Value::Str(_, attachments) => attachments.as_ref()?.front().cloned(),
        Value::Bytes(_) => None,
    }
}

/// Answers `clock`, on every namespace that has it.
fn answer_clock(socket: &Arc<Socket>) {
    socket.on(
        event::CLOCK,
        On(|socket: &Arc<Socket>, value: &Value| {
            let t1 = Timestamp::now();
            if let Ok(question) = argument::<ClockExchange>(value) {
                let answer = ClockExchange {
                    t0: question.t0,
                    t1: Some(t1),
                    t2: Some(Timestamp::now()),
                };
                // A full or closed socket has no use for the time.
                let _ = socket.emit(event::CLOCK, &answer);
            }
        }),
    );
}

/// Tells the peer which rule it broke, and disconnects it.
fn refuse(hub: &Hub, socket: &Arc<Socket>, reason: &str) {
    hub.metrics.refused.add(1);
    log::warn!("{} {} refused: {reason}", socket.ns(), describe(socket));
    say_last_words(socket.clone().into(), reason, false);
}

#[derive(serde::Serialize)]
struct LastWords<'a> {
    message: &'a str,
    /// Whether the peer may come back at once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    again: bool,
}

/// Sends `refused`, disconnects, and cuts the connection even if the peer does not read. `again` is
/// whether the peer may come back at once.
fn say_last_words(socket: SocketRef, reason: &str, again: bool) {
    let peer = Peer::of(&socket.req_parts().extensions).cloned();
    // If the socket is full, the connection is cut all the same.
    let _ = socket.emit(
        event::REFUSED,
        &LastWords {
            message: reason,
            again,
        },
    );
    let _ = socket.disconnect();
    if let Some(peer) = peer {
        peer.cut_after(LAST_WORDS);
    }
}

/// Id and address of a connection, for the log.
fn describe(socket: &Socket) -> String {
    match Peer::of(&socket.req_parts().extensions) {
        Some(peer) => format!("{} from {}", socket.id, peer.address()),
        None => socket.id.to_string(),
    }
}
