//! From an address to an open Socket.IO namespace, each step with a deadline.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use serde::Serialize;
use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message, protocol::WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use url::Url;

use cv_protocol::NAMESPACE_AGENTS;

use super::addresses;
use super::error::UplinkError;
use super::packet::{self, Engine, Handshake, Packet};
use super::shallow::{RoundTrip, Shallow};

/// Time for a TCP connection. Short, because a SYN lost in an outage is repeated after one second
/// and then after ever longer ones: a new attempt is sooner.
const CONNECT: Duration = Duration::from_secs(2);

/// Time for each of: finding the address, upgrading to WebSocket (with TLS), opening Socket.IO.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Addresses of one name that are tried; a pool of servers may have many.
const MOST_ADDRESSES: usize = 8;

/// A relay sends small messages only.
const LARGEST_MESSAGE: usize = 256 << 10;

/// The server's address.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
}

/// An address that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a host, host:port or http(s)://host:port, {reason}")]
pub struct EndpointError {
    reason: String,
}

impl Endpoint {
    /// `server` is a host, `host:port` or an address with `http://` or `https://`; `port` holds
    /// where `server` names none. With a scheme and no port, the scheme's own port is taken.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] if it is none of them.
    pub fn new(server: &str, port: u16) -> Result<Self, EndpointError> {
        let fail = |reason: &str| EndpointError {
            reason: reason.into(),
        };
        let with_scheme = server.contains("://");
        let text = if with_scheme {
            server.to_owned()
        } else if server.matches(':').count() > 1 && !server.starts_with('[') {
            // An IPv6 address is only legal in brackets.
            format!("http://[{server}]")
        } else {
            format!("http://{server}")
        };
        let mut url = Url::parse(&text).map_err(|err| fail(&err.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(fail("not another scheme"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(fail("and there is no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fail("without user and password: use --token"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(fail("without query"));
        }
        // `Url` drops a port that is the scheme's own, so the text decides.
        let port_given = text
            .trim_end_matches('/')
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
        if !with_scheme && !port_given {
            url.set_port(Some(port)).map_err(|()| fail("with a port"))?;
        }
        Ok(Self { url })
    }

    fn host(&self) -> &str {
        // Brackets are for the address bar, not for the resolver.
        let host = self.url.host_str().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    fn websocket(&self) -> String {
        // Servers of Engine.IO 3 take no notice of the number.
        format!(
            "ws{}/socket.io/?EIO=4&transport=websocket",
            // "http" and "https" become "ws" and "wss".
            self.url
                .as_str()
                .trim_start_matches("http")
                .trim_end_matches('/')
        )
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// A WebSocket over TCP or TLS.
pub type Socket = WebSocketStream<MaybeTlsStream<Shallow>>;

/// Connects to `endpoint` and opens a WebSocket: with the first address of its name that has one.
pub async fn open(endpoint: &Endpoint, round_trip: &Arc<RoundTrip>) -> Result<Socket, UplinkError> {
    let mut addresses = resolve(endpoint).await?;
    let mut not_a_relay = None;
    loop {
        let connect = |address| connect(address, round_trip.clone());
        let (address, tcp) = match addresses::race(&addresses, connect).await {
            Ok(connected) => connected,
            Err(err) => {
                let nothing = || UplinkError::Connect(io::ErrorKind::AddrNotAvailable.into());
                return Err(not_a_relay.or(err).unwrap_or_else(nothing));
            }
        };
        match upgrade(endpoint, tcp).await {
            Ok(socket) => return Ok(socket),
            // On a name's other address may be the relay, and another program on this one.
            Err(err) => not_a_relay = Some(err),
        }
        addresses.retain(|other| *other != address);
    }
}

async fn upgrade(endpoint: &Endpoint, tcp: Shallow) -> Result<Socket, UplinkError> {
    let config = WebSocketConfig::default()
        .read_buffer_size(8 << 10)
        // Header and attachment are written together, by one flush.
        .write_buffer_size(256 << 10)
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE));
    let upgrade = client_async_tls_with_config(endpoint.websocket(), tcp, Some(config), None);
    match timeout(HANDSHAKE, upgrade).await {
        Ok(Ok((socket, _response))) => Ok(socket),
        Ok(Err(err)) => Err(UplinkError::Upgrade(Box::new(err))),
        Err(_) => Err(UplinkError::timeout(
            "answer to the WebSocket upgrade",
            HANDSHAKE,
        )),
    }
}

async fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, UplinkError> {
    match timeout(HANDSHAKE, lookup_host((endpoint.host(), endpoint.port()))).await {
        Ok(Ok(found)) => {
            let mut addresses = addresses::in_order(found);
            addresses.truncate(MOST_ADDRESSES);
            Ok(addresses)
        }
        Ok(Err(source)) => Err(UplinkError::Resolve {
            host: endpoint.host().to_owned(),
            source,
        }),
        Err(_) => Err(UplinkError::timeout(
            "answer from the name server",
            HANDSHAKE,
        )),
    }
}

async fn connect(address: SocketAddr, round_trip: Arc<RoundTrip>) -> Result<Shallow, UplinkError> {
    match timeout(CONNECT, Shallow::connect(address, round_trip)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(err)) => Err(UplinkError::Connect(err)),
        Err(_) => Err(UplinkError::timeout("TCP connection", CONNECT)),
    }
}

/// Connects the namespaces, in this order, with `auth`; returns what the server said about pings,
/// and its version.
///
/// Servers of Engine.IO 3 connect the default namespace on their own, so it must not be the first:
/// by the answer to the first one it is known whether to ask for it.
///
/// Reading is not buffered: the messages after the server's last consent stay in `socket`.
pub async fn enter<S>(
    socket: &mut S,
    namespaces: &[&str],
    auth: Option<&impl Serialize>,
) -> Result<(Handshake, Engine), UplinkError>
where
    S: Stream<Item = Result<Message, tungstenite::Error>>
        + Sink<Message, Error = tungstenite::Error>
        + Unpin,
{
    timeout(HANDSHAKE, enter_unbounded(socket, namespaces, auth))
        .await
        .unwrap_or_else(|_| {
            Err(UplinkError::timeout(
                "answer to Socket.IO's CONNECT",
                HANDSHAKE,
            ))
        })
}

async fn enter_unbounded<S>(
    socket: &mut S,
    namespaces: &[&str],
    auth: Option<&impl Serialize>,
) -> Result<(Handshake, Engine), UplinkError>
where
    S: Stream<Item = Result<Message, tungstenite::Error>>
        + Sink<Message, Error = tungstenite::Error>
        + Unpin,
{
    let mut waiting = namespaces.iter().copied();
    let mut namespace = waiting.next().unwrap_or(NAMESPACE_AGENTS);
    let mut opened = None;
    loop {
        let message = match socket.next().await {
            Some(message) => message.map_err(UplinkError::lost)?,
            None => return Err(UplinkError::Closed),
        };
        let Message::Text(text) = message else {
            continue;
        };
        let answer = match Packet::parse(&text, namespace)? {
            Packet::Open(handshake) => {
                opened = Some(handshake);
                packet::connect(namespace, auth)?
            }
            Packet::Connected(engine) => {
                let Some(handshake) = &opened else {
                    continue;
                };
                let next = waiting.find(|next| *next != "/" || engine == Engine::V4);
                match next {
                    Some(next) => namespace = next,
                    None => return Ok((handshake.clone(), engine)),
                }
                packet::connect(namespace, auth)?
            }
            // A server that knows the next one alone.
            Packet::Refused(reason) => match waiting.next() {
                Some(next) => {
                    namespace = next;
                    packet::connect(namespace, auth)?
                }
                None => return Err(UplinkError::Refused(reason)),
            },
            Packet::Closed => return Err(UplinkError::Closed),
            Packet::Ping => packet::PONG.to_owned(),
            Packet::Event(..) | Packet::Acknowledged(_) | Packet::Other => continue,
        };
        socket
            .send(Message::text(answer))
            .await
            .map_err(UplinkError::lost)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_understood_in_every_form() {
        for (server, shown, websocket) in [
            (
                "localhost",
                "http://localhost:5001",
                "ws://localhost:5001/socket.io/",
            ),
            ("10.0.0.7:80", "http://10.0.0.7", "ws://10.0.0.7/socket.io/"),
            ("::1", "http://[::1]:5001", "ws://[::1]:5001/socket.io/"),
            ("[::1]:7", "http://[::1]:7", "ws://[::1]:7/socket.io/"),
            (
                "https://relay.example",
                "https://relay.example",
                "wss://relay.example/socket.io/",
            ),
            ("http://a:5001/", "http://a:5001", "ws://a:5001/socket.io/"),
            ("https://a/sub/", "https://a/sub", "wss://a/sub/socket.io/"),
        ] {
            let endpoint = Endpoint::new(server, 5001).unwrap();
            assert_eq!(endpoint.to_string(), shown);
            assert!(
                endpoint.websocket().starts_with(websocket),
                "{}",
                endpoint.websocket()
            );
        }
        assert_eq!(Endpoint::new("::1", 5001).unwrap().host(), "::1");
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for server in [
            "",
            "ftp://a",
            "http://",
            "a b",
            "host:port",
            "http://u:p@a",
            "http://a?b",
        ] {
            let error = Endpoint::new(server, 5001).unwrap_err().to_string();
            assert!(error.contains("http(s)://host:port"), "{server}: {error}");
        }
    }
}
