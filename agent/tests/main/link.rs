//! Relays that are absent, slow, broken or hostile.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use crate::agent::Agent;
use crate::fake_relay::{FakeRelay, Sent};

fn video(server: &str) -> Agent {
    Agent::start(&[
        "--source",
        "test:320x240@30",
        "--no-detect",
        "--server",
        server,
    ])
}

#[tokio::test]
async fn the_agent_names_an_absent_relay_and_waits_for_it() {
    let relay = FakeRelay::start().await;
    let address = relay.address();
    drop(relay);
    let mut agent = video(&address.to_string());
    let line = agent.says("Failed to connect to");
    assert!(
        line.contains(&address.to_string()) && line.contains("refused"),
        "{line}"
    );
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let (stream, _) = tokio::time::timeout(crate::agent::SOON, listener.accept())
        .await
        .unwrap()
        .unwrap();
    drop(stream);
}

#[tokio::test]
async fn after_a_lost_connection_the_agent_reconnects_with_new_frames() {
    let relay = FakeRelay::start().await;
    let mut agent = video(&relay.server());
    let mut connection = relay.agent().await;
    let (before, _) = connection.frame().await;
    drop(connection);
    agent.says("Disconnected from");
    let mut connection = relay.agent().await;
    let (after, _) = connection.frame().await;
    assert!(after["seq"].as_u64() > before["seq"].as_u64());
    assert!(connection.serve(Duration::from_secs(1)).await > 5);
}

#[tokio::test]
async fn at_most_two_frames_are_sent_before_the_first_acknowledgement() {
    let relay = FakeRelay::start().await;
    let _agent = video(&relay.server());
    let mut connection = relay.agent().await;
    let mut frames = Vec::new();
    // Five measurements, one second apart, prove that the agent had time to send more frames.
    let mut stats = 0;
    while stats < 5 {
        match connection.next().await {
            Sent::Frame(meta, _) => frames.push(meta),
            Sent::Event(name, argument) if name == "stats" => {
                stats += 1;
                if stats == 5 {
                    assert!(
                        argument["dropped"]["link"].as_u64().unwrap() > 10,
                        "{argument}"
                    );
                }
            }
            Sent::Event(..) => {}
            Sent::Closed => panic!("closed"),
        }
    }
    assert_eq!(frames.len(), 2);
    connection.ack(&frames[1]).await;
    let (next, _) = connection.frame().await;
    // The agent sends the newest frame, not the ones that waited.
    assert!(next["seq"].as_u64().unwrap() > frames[1]["seq"].as_u64().unwrap() + 30);
}

#[tokio::test]
async fn the_agent_disconnects_from_a_relay_that_stops_reading_or_acknowledging() {
    let relay = FakeRelay::start().await;
    let mut agent = video(&relay.server());
    let stalled = relay.agent().await;
    let line = agent.says("Disconnected from");
    assert!(line.contains("within 10s"), "{line}");
    let mut connection = relay.agent().await;
    assert!(connection.serve(Duration::from_secs(1)).await > 5);
    drop(stalled);
    // The agent must not have kept in memory what it could not send.
    assert!(agent.resident() < 60_000_000, "{}", agent.resident());
}

#[tokio::test]
async fn a_refusal_is_logged_and_retried_only_after_a_long_wait() {
    let relay = FakeRelay::start().await;
    let mut agent = video(&relay.server());
    let mut connection = relay.engine().await;
    connection.say(r#"44/cv,{"message":"wrong token"}"#).await;
    let line = agent.says("Failed to connect to");
    assert!(
        line.contains("refuses") && line.contains("wrong token"),
        "{line}"
    );
    // The agent connects again after 15 s at the earliest.
    let again = tokio::time::timeout(Duration::from_secs(3), relay.tcp()).await;
    assert!(again.is_err(), "came back within 3 s");
}

#[tokio::test]
async fn the_agent_logs_that_another_agent_took_its_name() {
    let relay = FakeRelay::start().await;
    let mut agent = video(&relay.server());
    let mut connection = relay.agent().await;
    connection
        .event("refused", json!({"message": "another agent took the name"}))
        .await;
    let line = agent.says("Disconnected from");
    assert!(line.contains("another agent took the name"), "{line}");
}

#[tokio::test]
async fn garbage_and_oversized_messages_end_the_connection_but_not_the_agent() {
    let relay = FakeRelay::start().await;
    let mut agent = video(&relay.server());
    let mut connection = relay.agent().await;
    connection.say("<html>").await;
    agent.says("not a Socket.IO server");

    let mut connection = relay.agent().await;
    connection
        .try_say(&format!("42/cv,[\"ack\",\"{}\"]", "x".repeat(1 << 20)))
        .await;
    agent.says("Disconnected from");

    // The agent survives messages that are valid but unusual.
    let mut connection = relay.agent().await;
    for odd in [
        "6",
        r#"42/cv,["ack"]"#,
        r#"42/cv,["ack",{"seq":-1}]"#,
        r#"42/cv,["ack",{"seq":18446744073709551615}]"#,
        r#"42/cv,["demand",{"viewers":"many"}]"#,
        r#"42/cv,["clock",{"t0":18446744073709551615,"t1":0,"t2":1}]"#,
        r#"42/cv,["unheard of",{}]"#,
        r#"42/web,["ack",{"seq":1}]"#,
    ] {
        connection.say(odd).await;
    }
    connection.send(Message::Binary(vec![1, 2, 3].into())).await;
    connection.send(Message::Ping(vec![1].into())).await;
    connection.say("2").await;
    assert!(connection.serve(Duration::from_secs(1)).await > 5);
}

#[tokio::test]
async fn a_server_of_another_kind_is_named() {
    let relay = FakeRelay::start().await;
    let mut agent = video(&relay.server());
    let mut stream = relay.tcp().await;
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await.unwrap();
    stream
        .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    let line = agent.says("Failed to connect to");
    assert!(line.contains("404"), "{line}");

    let mut stream = relay.tcp().await;
    stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
    drop(stream);
    agent.says("no WebSocket there");
}

/// The relay listens on one of the addresses of `localhost`, and another program on the other one.
#[tokio::test]
async fn all_addresses_of_a_name_are_tried() {
    let relay = FakeRelay::start().await;
    let port = relay.address().port();
    let Ok(other) = TcpListener::bind(("::1", port)).await else {
        return; // This machine has no IPv6: then the name has one address.
    };
    let other = tokio::spawn(async move {
        let (mut stream, _) = other.accept().await.unwrap();
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        stream
    });
    let server = format!("localhost:{port}");
    let _agent = Agent::start(&["--source", "test", "--no-detect", "--server", &server]);
    let mut connection = relay.agent().await;
    connection.frame().await;
    let ipv6_is_known = tokio::net::lookup_host(("localhost", port))
        .await
        .unwrap()
        .any(|address| address.is_ipv6());
    assert_eq!(other.is_finished(), ipv6_is_known);
}
