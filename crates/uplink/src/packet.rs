//! The part of Engine.IO and Socket.IO that an agent speaks, as text.
//!
//! Engine.IO puts one digit before each WebSocket text message, Socket.IO another one behind the
//! digit for "message". Protocol 4 of Engine.IO and the older 3 differ in who sends pings; see
//! [`Engine`].

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Version of Engine.IO that a server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// Socket.IO 3 and newer servers: the server pings, the client answers.
    #[default]
    V4,
    /// Socket.IO 2 servers: the client pings.
    V3,
}

/// The server's first message.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handshake {
    /// Milliseconds between pings.
    ping_interval: u64,
    /// Milliseconds that an answer to a ping may take.
    ping_timeout: u64,
}

impl Handshake {
    /// Bounds what a server may ask for; the usual sum is 45 seconds.
    const LONGEST: Duration = Duration::from_secs(300);

    pub fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.ping_interval).min(Self::LONGEST)
    }

    /// A connection on which nothing came for this long is dead.
    pub fn silence_limit(&self) -> Duration {
        self.ping_interval() + Duration::from_millis(self.ping_timeout).min(Self::LONGEST)
    }
}

/// A message from the server, as far as an agent cares.
#[derive(Debug)]
pub enum Packet<'a> {
    /// Engine.IO is open.
    Open(Handshake),
    /// To be answered with [`PONG`].
    Ping,
    /// The namespace is connected. Only servers of the newer version give it an id.
    Connected(Engine),
    /// The namespace refuses us, for this reason.
    Refused(String),
    /// The server closes the namespace or the connection.
    Closed,
    /// An event in our namespace, and its first argument.
    Event(String, Option<&'a RawValue>),
    /// The server has handled the event that carried this number.
    Acknowledged(u64),
    /// Nothing for us: another namespace, a noop, a pong.
    Other,
}

/// A message that is not Socket.IO.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {start:?}")]
pub struct Malformed {
    what: &'static str,
    /// Its first characters.
    start: String,
}

pub const PING: &str = "2";
pub const PONG: &str = "3";

impl<'a> Packet<'a> {
    /// Reads one text message.
    pub fn parse(text: &'a str, namespace: &str) -> Result<Self, Malformed> {
        let malformed = |what| Malformed {
            what,
            start: text.chars().take(40).collect(),
        };
        let mut chars = text.chars();
        Ok(match chars.next() {
            Some('0') => Self::Open(
                serde_json::from_str(chars.as_str())
                    .map_err(|_| malformed("not an Engine.IO handshake"))?,
            ),
            Some('1') => Self::Closed,
            Some('2') => Self::Ping,
            Some('3' | '6') => Self::Other,
            Some('4') => {
                let kind = chars.next();
                let Some(rest) = in_namespace(chars.as_str(), namespace) else {
                    return Ok(Self::Other);
                };
                match kind {
                    Some('0') => Self::Connected(if rest.contains("\"sid\"") {
                        Engine::V4
                    } else {
                        Engine::V3
                    }),
                    Some('1') => Self::Closed,
                    Some('2') => {
                        let (name, argument) =
                            event(rest).ok_or_else(|| malformed("not a Socket.IO event"))?;
                        Self::Event(name, argument)
                    }
                    Some('3') => {
                        Self::Acknowledged(number(rest).0.ok_or_else(|| malformed("not an ack"))?)
                    }
                    Some('4') => Self::Refused(refusal(rest)),
                    // No event with attachments is meant for an agent.
                    Some('5' | '6') => Self::Other,
                    _ => return Err(malformed("not a Socket.IO packet")),
                }
            }
            _ => return Err(malformed("not an Engine.IO packet")),
        })
    }
}

/// What follows `/namespace,`, if the packet belongs to `namespace`.
fn in_namespace<'a>(rest: &'a str, namespace: &str) -> Option<&'a str> {
    if !rest.starts_with('/') {
        return (namespace == "/").then_some(rest);
    }
    let (path, rest) = rest.split_once(',').unwrap_or((rest, ""));
    // Engine.IO 3 servers may repeat the query.
    (path.split('?').next() == Some(namespace)).then_some(rest)
}

/// Digits at the start, and what follows.
fn number(text: &str) -> (Option<u64>, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (digits.parse().ok(), rest)
}

fn event(rest: &str) -> Option<(String, Option<&RawValue>)> {
    let mut arguments: std::vec::IntoIter<&RawValue> =
        serde_json::from_str::<Vec<&RawValue>>(number(rest).1)
            .ok()?
            .into_iter();
    let name = serde_json::from_str(arguments.next()?.get()).ok()?;
    Some((name, arguments.next()))
}

fn refusal(rest: &str) -> String {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Refusal {
        Object { message: String },
        Text(String),
    }
    match serde_json::from_str(rest) {
        Ok(Refusal::Object { message } | Refusal::Text(message)) => message,
        Err(_) => "no reason given".into(),
    }
}

/// What names the namespace at the start of a packet: nothing for the default one.
fn prefix(namespace: &str) -> String {
    if namespace == "/" {
        String::new()
    } else {
        format!("{namespace},")
    }
}

/// CONNECT, with an auth payload if there is one.
pub fn connect(namespace: &str, auth: Option<&impl Serialize>) -> serde_json::Result<String> {
    let auth = auth.map(serde_json::to_string).transpose()?;
    Ok(format!(
        "40{}{}",
        prefix(namespace),
        auth.unwrap_or_default()
    ))
}

/// DISCONNECT from a namespace.
pub fn disconnect(namespace: &str) -> String {
    format!("41{}", prefix(namespace))
}

/// An event with one argument; `id` asks the server to acknowledge it.
pub fn event_text(
    namespace: &str,
    id: Option<u64>,
    name: &str,
    argument: &impl Serialize,
) -> serde_json::Result<String> {
    let mut text = format!("42{}", prefix(namespace));
    if let Some(id) = id {
        // Writing to a string cannot fail.
        let _ = write!(text, "{id}");
    }
    let _ = write!(text, "[\"{name}\",{}]", serde_json::to_string(argument)?);
    Ok(text)
}

/// The header of an event with one argument and one attachment, which follows as the next message.
pub fn event_header(
    namespace: &str,
    name: &str,
    argument: &impl Serialize,
) -> serde_json::Result<String> {
    Ok(format!(
        "451-{}[\"{name}\",{},{{\"_placeholder\":true,\"num\":0}}]",
        prefix(namespace),
        serde_json::to_string(argument)?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(text: &str) -> Packet<'_> {
        Packet::parse(text, "/cv").unwrap()
    }

    #[test]
    fn a_handshake_gives_the_longest_silence() {
        let Packet::Open(handshake) = parse(
            r#"0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1}"#,
        ) else {
            panic!("not open");
        };
        assert_eq!(handshake.silence_limit(), Duration::from_secs(45));
        let Packet::Open(greedy) =
            parse(r#"0{"pingInterval":18446744073709551615,"pingTimeout":18446744073709551615}"#)
        else {
            panic!("not open");
        };
        assert_eq!(greedy.silence_limit(), Duration::from_secs(600));
    }

    #[test]
    fn packets_of_our_namespace_are_read() {
        assert!(matches!(parse("2"), Packet::Ping));
        assert!(matches!(
            parse(r#"40/cv,{"sid":"x"}"#),
            Packet::Connected(Engine::V4)
        ));
        assert!(matches!(parse("40/cv"), Packet::Connected(Engine::V3)));
        assert!(matches!(parse("40/cv?a=1,"), Packet::Connected(Engine::V3)));
        assert!(matches!(parse("41/cv,"), Packet::Closed));
        assert!(matches!(parse("43/cv,17[]"), Packet::Acknowledged(17)));
        assert!(
            matches!(parse(r#"44/cv,{"message":"bad token"}"#), Packet::Refused(m) if m == "bad token")
        );
        assert!(matches!(parse(r#"44/cv,"old style""#), Packet::Refused(m) if m == "old style"));
        let Packet::Event(name, Some(argument)) = parse(r#"42/cv,["ack",{"seq":4},"more"]"#) else {
            panic!("not an event");
        };
        assert_eq!((name.as_str(), argument.get()), ("ack", r#"{"seq":4}"#));
        assert!(matches!(
            parse(r#"42/cv,["hello"]"#),
            Packet::Event(_, None)
        ));
    }

    #[test]
    fn other_namespaces_are_left_alone() {
        for text in [
            "40",
            r#"40{"sid":"x"}"#,
            "41",
            "41/web,",
            r#"42["ack",{"seq":1}]"#,
            "6",
            "3",
        ] {
            assert!(matches!(parse(text), Packet::Other), "{text}");
        }
        assert!(matches!(
            Packet::parse("40", "/").unwrap(),
            Packet::Connected(Engine::V3)
        ));
    }

    #[test]
    fn garbage_is_named_and_cut_short() {
        for text in [
            "", "x", "9", "0{", "42/cv,[", "42/cv,[]", "43/cv,", "<html>",
        ] {
            assert!(Packet::parse(text, "/cv").is_err(), "{text}");
        }
        let long = "y".repeat(1000);
        assert!(Packet::parse(&long, "/cv").unwrap_err().to_string().len() < 100);
    }

    #[test]
    fn packets_are_written_as_the_protocol_says() {
        let json = json!({"a": 1});
        assert_eq!(connect("/cv", Some(&json)).unwrap(), r#"40/cv,{"a":1}"#);
        assert_eq!(connect("/cv", None::<&()>).unwrap(), "40/cv,");
        assert_eq!(
            event_text("/cv", None, "stats", &json).unwrap(),
            r#"42/cv,["stats",{"a":1}]"#
        );
        assert_eq!(
            event_text("/cv", Some(7), "x", &json).unwrap(),
            r#"42/cv,7["x",{"a":1}]"#
        );
        assert_eq!(
            event_header("/cv", "frame", &json).unwrap(),
            r#"451-/cv,["frame",{"a":1},{"_placeholder":true,"num":0}]"#
        );
        assert_eq!(disconnect("/cv"), "41/cv,");
        assert_eq!(connect("/", Some(&json)).unwrap(), r#"40{"a":1}"#);
        assert_eq!(
            event_text("/", Some(7), "x", &json).unwrap(),
            r#"427["x",{"a":1}]"#
        );
        assert_eq!(disconnect("/"), "41");
    }
}
