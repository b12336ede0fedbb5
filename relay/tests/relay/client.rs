//! A Socket.IO client that hides nothing: packets as they come, and no reply unless asked for.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use cv_protocol::Timestamp;
use cv_relay::hub::Hub;
use cv_relay::{Config, Relay};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::{
    Frame,
    coding::{Data, OpCode},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longest wait for anything that must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Time in which something that must not come would have come.
pub const QUIET: Duration = Duration::from_millis(300);

/// A relay on a free port; it stops with this value.
pub struct Server {
    pub address: SocketAddr,
    pub hub: Arc<Hub>,
    stop: Option<oneshot::Sender<()>>,
    pub ended: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub async fn start(config: Config) -> Self {
        Self::serve(cv_relay::app(config)).await
    }

    pub async fn serve(relay: Relay) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let hub = relay.hub().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(cv_relay::serve(listener, relay, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            hub,
            stop: Some(stop),
            ended,
        }
    }

    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub async fn agent(&self, camera: &str) -> Client {
        let auth = json!({"protocol": 1, "camera": camera, "version": "test"});
        Client::connect(self.address, "/cv", Some(auth))
            .await
            .unwrap()
    }

    pub async fn viewer(&self) -> Client {
        let mut viewer = Client::connect(self.address, "/web", None).await.unwrap();
        viewer.event("cameras").await;
        viewer
    }

    /// A viewer that watches `camera` already.
    pub async fn watching(&self, camera: &str) -> Client {
        let mut viewer = self.viewer().await;
        viewer.emit("watch", json!({"camera": camera})).await;
        viewer
    }
}

/// An event as it came.
#[derive(Clone, Debug)]
pub struct Event {
    pub name: String,
    pub argument: Value,
    pub attachment: Option<Bytes>,
}

impl Event {
    pub fn seq(&self) -> u64 {
        self.argument["seq"].as_u64().unwrap()
    }
}

pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    namespace: &'static str,
    /// Events that came while another was waited for.
    waiting: Vec<Event>,
}

impl Client {
    /// Connects to a namespace; `Err` is the CONNECT_ERROR's message.
    pub async fn connect(
        address: SocketAddr,
        namespace: &'static str,
        auth: Option<Value>,
    ) -> Result<Self, String> {
        Self::connect_with(address, namespace, auth, "", None).await
    }

    /// Connects with more in the query (as in `&token=...`) and a cookie.
    pub async fn connect_with(
        address: SocketAddr,
        namespace: &'static str,
        auth: Option<Value>,
        query: &str,
        cookie: Option<&str>,
    ) -> Result<Self, String> {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket{query}");
        let mut request = url.into_client_request().unwrap();
        if let Some(cookie) = cookie {
            let cookie = cookie.parse().unwrap();
            request.headers_mut().insert("cookie", cookie);
        }
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        let auth = auth.map(|auth| auth.to_string()).unwrap_or_default();
        let packet = match namespace {
            "/" => format!("40{auth}"),
            _ => format!("40{namespace},{auth}"),
        };
        socket.send(Message::text(packet)).await.unwrap();
        let mut client = Self {
            socket,
            namespace,
            waiting: Vec::new(),
        };
        loop {
            let text = client.text().await.expect("an answer to CONNECT");
            match text.get(..2) {
                Some("40") => return Ok(client),
                Some("44") => {
                    let json = text.split_once(',').unwrap().1;
                    let error: Value = serde_json::from_str(json).unwrap();
                    return Err(error["message"].as_str().unwrap().to_owned());
                }
                _ => {}
            }
        }
    }

    pub async fn emit(&mut self, event: &str, argument: Value) {
        let body = json!([event, argument]);
        let text = format!("42{}{body}", self.prefix());
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn emit_frame(&mut self, meta: Value, jpeg: Bytes) {
        let body = json!(["frame", meta, {"_placeholder": true, "num": 0}]);
        let text = format!("451-{}{body}", self.prefix());
        self.socket.feed(Message::text(text)).await.unwrap();
        self.socket.send(Message::binary(jpeg)).await.unwrap();
    }

    /// Sends a picture as fragments of one WebSocket message.
    pub async fn emit_frame_in_parts(&mut self, meta: Value, parts: &[Bytes]) {
        let body = json!(["frame", meta, {"_placeholder": true, "num": 0}]);
        let text = format!("451-{}{body}", self.prefix());
        self.socket.feed(Message::text(text)).await.unwrap();
        for (index, part) in parts.iter().enumerate() {
            let kind = if index == 0 {
                Data::Binary
            } else {
                Data::Continue
            };
            let last = index + 1 == parts.len();
            let part = Frame::message(part.clone(), OpCode::Data(kind), last);
            self.socket.send(Message::Frame(part)).await.unwrap();
        }
    }

    /// Sends a picture of 2 kB with this number, taken now.
    pub async fn frame(&mut self, seq: u64) {
        self.emit_frame(meta(seq), jpeg(2000)).await;
    }

    pub async fn shown(&mut self, frame: &Event) {
        let shown = json!({"camera": frame.argument["camera"], "seq": frame.seq()});
        self.emit("shown", shown).await;
    }

    /// Sends a text as it is.
    pub async fn raw(&mut self, text: String) -> Result<(), String> {
        let sent = self.socket.send(Message::text(text)).await;
        sent.map_err(|err| err.to_string())
    }

    fn prefix(&self) -> String {
        match self.namespace {
            "/" => String::new(),
            namespace => format!("{namespace},"),
        }
    }

    /// The next event of this name; others are kept.
    pub async fn event(&mut self, name: &str) -> Event {
        if let Some(index) = self.waiting.iter().position(|event| event.name == name) {
            return self.waiting.remove(index);
        }
        let wait = async {
            loop {
                let event = self.next().await;
                let event = event.unwrap_or_else(|| panic!("closed before {name:?} came"));
                if event.name == name {
                    return event;
                }
                self.waiting.push(event);
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("{name:?} did not come"))
    }

    /// Whether no event of this name comes for a while.
    pub async fn stays_without(&mut self, name: &str) -> bool {
        assert!(self.waiting.iter().all(|event| event.name != name));
        tokio::time::timeout(QUIET, async {
            while let Some(event) = self.next().await {
                let came = event.name == name;
                self.waiting.push(event);
                if came {
                    return;
                }
            }
        })
        .await
        .is_err()
    }

    /// Waits until the relay has disconnected this client.
    pub async fn closed(&mut self) {
        let wait = async { while self.next().await.is_some() {} };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("the relay disconnects");
    }

    /// The next event; `None` when the namespace or the connection is closed.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let text = self.text().await?;
            let after_type = match text.get(..2)? {
                "42" => &text[2..],
                "45" => text[2..].split_once('-')?.1,
                "41" => return None,
                _ => continue,
            };
            let body = &after_type[after_type.find('[')?..];
            let mut arguments: Vec<Value> = serde_json::from_str(body).unwrap();
            let attachment = match text.starts_with("45") {
                true => Some(self.binary().await?),
                false => None,
            };
            return Some(Event {
                name: arguments[0].as_str().unwrap().to_owned(),
                argument: arguments.get_mut(1).map(Value::take).unwrap_or_default(),
                attachment,
            });
        }
    }

    async fn text(&mut self) -> Option<String> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Text(text) if text.as_str() == "2" => {
                    self.socket.send(Message::text("3")).await.ok()?;
                }
                Message::Text(text) => return Some(text.to_string()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    async fn binary(&mut self) -> Option<Bytes> {
        match self.socket.next().await?.ok()? {
            Message::Binary(bytes) => Some(bytes),
            other => panic!("expected an attachment, got {other:?}"),
        }
    }
}

pub fn meta(seq: u64) -> Value {
    json!({"seq": seq, "captured_us": Timestamp::now().0, "width": 640, "height": 480})
}

pub fn detections(seq: u64) -> Value {
    json!({"seq": seq, "captured_us": 1, "model": "ssd", "engine": "LiteRT",
        "accelerator": "XNNPACK", "infer_ms": 12.0,
        "objects": [{"label": "Dog", "score": 0.875, "box": [0.1, 0.2, 0.3, 0.4]}]})
}

/// Starts like a JPEG of 640x480; `bytes` long.
pub fn jpeg(bytes: usize) -> Bytes {
    let mut jpeg = vec![
        0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0x01, 0xe0, 0x02, 0x80, 3, 1,
    ];
    jpeg.resize(bytes, 0x55);
    jpeg.into()
}
