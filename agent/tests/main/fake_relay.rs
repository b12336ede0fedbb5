//! A relay for one agent, written from docs/protocol.md, which can misbehave on purpose.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

use crate::agent::SOON;

pub struct FakeRelay {
    listener: TcpListener,
}

/// An event that an agent sends.
#[derive(Debug)]
pub enum Sent {
    Frame(Value, Vec<u8>),
    Event(String, Value),
    Closed,
}

pub struct Connection {
    socket: WebSocketStream<TcpStream>,
    /// Auth payload that the agent sent when it connected.
    pub auth: Value,
}

impl FakeRelay {
    pub async fn start() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Returns the value of `--server` for an agent that is to connect to this relay.
    pub fn server(&self) -> String {
        self.address().to_string()
    }

    /// Waits for a TCP connection.
    pub async fn tcp(&self) -> TcpStream {
        timeout(SOON, self.listener.accept())
            .await
            .unwrap()
            .unwrap()
            .0
    }

    /// Waits for an agent and opens WebSocket and Engine.IO, but does not accept the namespace.
    pub async fn engine(&self) -> Connection {
        let config = WebSocketConfig::default();
        let mut socket = accept_async_with_config(self.tcp().await, Some(config))
            .await
            .unwrap();
        let open = json!({"sid": "s", "upgrades": [], "pingInterval": 25000,
            "pingTimeout": 20000, "maxPayload": 1_000_000});
        socket
            .send(Message::text(format!("0{open}")))
            .await
            .unwrap();
        let mut connection = Connection {
            socket,
            auth: Value::Null,
        };
        let connect = connection.text().await.unwrap();
        let auth = connect.strip_prefix("40/cv,").expect("CONNECT of /cv");
        connection.auth = serde_json::from_str(auth).unwrap();
        connection
    }

    /// Waits for an agent and accepts it.
    pub async fn agent(&self) -> Connection {
        let mut connection = self.engine().await;
        connection.say(r#"40/cv,{"sid":"n"}"#).await;
        connection.event("demand", json!({"viewers": 1})).await;
        connection
    }
}

impl FakeRelay {
    /// Waits for an agent that speaks the tutorial's wire, and lets it in as Socket.IO 2 does: the
    /// default namespace is connected without being asked for.
    pub async fn tutorial_agent(&self) -> Connection {
        let mut connection = self.tutorial_engine(300).await;
        connection.say("40").await;
        assert_eq!(connection.text().await.unwrap(), "40/cv,");
        connection.say("40/cv").await;
        connection
    }

    /// Opens WebSocket and Engine.IO for an agent that uses the tutorial's wire.
    pub async fn tutorial_engine(&self, ping_ms: u32) -> Connection {
        let mut connection = Connection {
            socket: accept_async_with_config(self.tcp().await, None)
                .await
                .unwrap(),
            auth: Value::Null,
        };
        let open = json!({"sid": "s", "upgrades": [], "pingInterval": ping_ms,
            "pingTimeout": 60000});
        connection.say(&format!("0{open}")).await;
        connection
    }
}

impl Connection {
    /// The next `cv2server`, which must come on `namespace`: its number and its payload. Pings are
    /// answered as by Engine.IO 3.
    pub async fn tutorial_message(&mut self, namespace: &str) -> (u64, Value) {
        loop {
            let text = self.text().await.unwrap();
            if text == "2" {
                self.say("3").await;
                continue;
            }
            let rest = text.strip_prefix(&format!("42{namespace}")).unwrap();
            let (id, event) = rest.split_at(rest.find('[').unwrap());
            let [name, payload]: [Value; 2] = serde_json::from_str(event).unwrap();
            assert_eq!(name, "cv2server");
            return (id.parse().unwrap(), payload);
        }
    }

    pub async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Sends a text to an agent that may already have disconnected.
    pub async fn try_say(&mut self, text: &str) {
        let _ = self.socket.send(Message::text(text)).await;
    }

    pub async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub async fn event(&mut self, name: &str, argument: Value) {
        self.say(&format!("42/cv,{}", json!([name, argument])))
            .await;
    }

    async fn message(&mut self) -> Option<Message> {
        timeout(SOON, self.socket.next()).await.unwrap()?.ok()
    }

    /// The next message, which must be text.
    pub async fn text(&mut self) -> Option<String> {
        match self.message().await? {
            Message::Text(text) => Some(text.to_string()),
            other => panic!("text expected, not {other:?}"),
        }
    }

    /// Returns the next event of any kind. Checks that an attachment follows its header at once.
    pub async fn next(&mut self) -> Sent {
        loop {
            let text = match self.message().await {
                Some(Message::Text(text)) => text.to_string(),
                Some(Message::Binary(_)) => panic!("an attachment without header"),
                Some(Message::Pong(_)) => continue,
                _ => return Sent::Closed,
            };
            if text == "41/cv," {
                return Sent::Closed;
            }
            if let Some(header) = text.strip_prefix("451-/cv,") {
                let [name, meta, placeholder]: [Value; 3] = serde_json::from_str(header).unwrap();
                assert_eq!(name, "frame");
                assert_eq!(placeholder, json!({"_placeholder": true, "num": 0}));
                match self.message().await {
                    Some(Message::Binary(jpeg)) => return Sent::Frame(meta, jpeg.to_vec()),
                    None => return Sent::Closed,
                    other => panic!("{other:?} after the header of a frame"),
                }
            }
            if let Some(event) = text.strip_prefix("42/cv,") {
                let [name, argument]: [Value; 2] = serde_json::from_str(event).unwrap();
                return Sent::Event(name.as_str().unwrap().into(), argument);
            }
        }
    }

    /// Returns the next frame without acknowledging it.
    pub async fn frame(&mut self) -> (Value, Vec<u8>) {
        loop {
            match self.next().await {
                Sent::Frame(meta, jpeg) => return (meta, jpeg),
                Sent::Event(..) => {}
                Sent::Closed => panic!("closed instead of a frame"),
            }
        }
    }

    /// Acknowledges a frame.
    pub async fn ack(&mut self, meta: &Value) {
        self.event("ack", json!({"seq": meta["seq"]})).await;
    }

    /// Returns the argument of the next event called `wanted`, and acknowledges the frames before
    /// it.
    pub async fn argument(&mut self, wanted: &str) -> Value {
        loop {
            match self.next().await {
                Sent::Frame(meta, _) => self.ack(&meta).await,
                Sent::Event(name, argument) if name == wanted => return argument,
                Sent::Event(..) => {}
                Sent::Closed => panic!("closed instead of {wanted}"),
            }
        }
    }

    /// Serves the agent for `time`, and returns how many frames it sent.
    pub async fn serve(&mut self, time: Duration) -> u32 {
        let mut frames = 0;
        // An error means that the time is up.
        let _ = timeout(time, async {
            loop {
                let (meta, _) = self.frame().await;
                self.ack(&meta).await;
                frames += 1;
            }
        })
        .await;
        frames
    }
}
