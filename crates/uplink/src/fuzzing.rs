//! What must hold for any text that a relay sends, for the fuzz target.
//!
//! The function takes one input and panics if a property does not hold; see `docs/fuzzing.md`.

use std::time::Duration;

use cv_flow::Pace;
use cv_protocol::{Ack, ClockExchange, Demand, NAMESPACE_AGENTS, Timestamp};
use serde_json::value::RawValue;

use crate::packet::{self, Packet};

/// One text message of Engine.IO and Socket.IO.
///
/// What is read can be written and read again; waiting times are bounded and complaints short.
pub fn packet(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for namespace in [NAMESPACE_AGENTS, "/"] {
        match Packet::parse(text, namespace) {
            Ok(Packet::Open(handshake)) => {
                assert!(handshake.ping_interval() <= Duration::from_secs(300));
                assert!(handshake.silence_limit() <= Duration::from_secs(600));
            }
            Ok(Packet::Event(name, argument)) => event(namespace, &name, argument),
            Ok(Packet::Acknowledged(id)) => {
                let text = format!("43{namespace},{id}[]");
                let again = Packet::parse(&text, namespace);
                assert!(matches!(again, Ok(Packet::Acknowledged(number)) if number == id));
            }
            Ok(_) => {}
            Err(err) => assert!(err.to_string().len() < 600, "{err}"),
        }
    }
}

fn event(namespace: &str, name: &str, argument: Option<&RawValue>) {
    let Some(argument) = argument else { return };
    // Names of our own events, the only ones that are written, need no escapes.
    if !name.contains(|c: char| c.is_control() || c == '"' || c == '\\') {
        for id in [None, Some(u64::MAX)] {
            let text = packet::event_text(namespace, id, name, &argument)
                .unwrap_or_else(|err| panic!("{err}"));
            match Packet::parse(&text, namespace) {
                Ok(Packet::Event(again, Some(value))) => {
                    assert_eq!((again.as_str(), value.get()), (name, argument.get()));
                }
                other => panic!("{text} is read as {other:?}"),
            }
        }
    }
    let text = argument.get();
    if let Ok(ack) = serde_json::from_str::<Ack>(text) {
        assert_eq!(round_trip(&ack), ack);
    }
    if let Ok(demand) = serde_json::from_str::<Demand>(text)
        && let Some(fps) = demand.max_fps
    {
        assert!(Pace::interval(fps) <= Duration::from_secs(100));
    }
    if let Ok(exchange) = serde_json::from_str::<ClockExchange>(text) {
        assert_eq!(round_trip(&exchange), exchange);
        if let Some((offset, _)) = exchange.offset(Timestamp::now()) {
            let _ = Timestamp::now().shifted(offset);
        }
    }
}

fn round_trip<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::to_string(value)
        .and_then(|text| serde_json::from_str(&text))
        .unwrap_or_else(|err| panic!("{err}"))
}
