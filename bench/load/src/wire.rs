//! The part of Engine.IO 4 and Socket.IO 5 over WebSocket that a viewer or an agent needs.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Describes how a socket is made slow on purpose.
#[derive(Clone, Copy, Default)]
pub struct Slowness {
    /// Size of the socket's receive buffer in bytes (SO_RCVBUF).
    pub receive_buffer: Option<usize>,
    /// Maximum number of bytes read per second.
    pub read_rate: Option<u64>,
}

/// An event or frame that a server sent.
pub enum Incoming {
    /// Text of an event without attachments, starting with its `[`.
    Event(String),
    /// Text of an event with one attachment, starting with its `[`, and the attachment.
    Binary(String, Bytes),
    /// Payload of a bare WebSocket frame.
    Raw(Bytes),
}

/// Connection to one namespace of a Socket.IO server, or a bare WebSocket.
pub struct Connection {
    socket: WebSocketStream<Slow>,
    /// Name of the namespace with a comma, for example `/web,`.
    namespace: String,
    header: Option<String>,
}

impl Connection {
    /// Connects to `url` (http://HOST:PORT) and joins `namespace`; `None` for a bare WebSocket.
    pub async fn open(
        url: &str,
        namespace: Option<&str>,
        auth: Option<serde_json::Value>,
        slowness: Slowness,
    ) -> Result<Self> {
        let host = url
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'))
            .with_context(|| format!("{url} is not http://HOST:PORT"))?;
        let address = tokio::net::lookup_host(host)
            .await?
            .next()
            .with_context(|| format!("{host} has no address"))?;
        let socket = match address {
            std::net::SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
            std::net::SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
        };
        if let Some(bytes) = slowness.receive_buffer {
            socket.set_recv_buffer_size(u32::try_from(bytes)?)?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(16 << 20))
            .max_frame_size(Some(16 << 20));
        let (socket, _) = tokio_tungstenite::client_async_with_config(
            format!("ws://{host}/socket.io/?EIO=4&transport=websocket"),
            Slow::new(stream, slowness.read_rate),
            Some(config),
        )
        .await?;
        let mut connection = Self {
            socket,
            namespace: namespace.map(prefix).unwrap_or_default(),
            header: None,
        };
        if namespace.is_some() {
            connection.join(auth).await?;
        }
        Ok(connection)
    }

    async fn join(&mut self, auth: Option<serde_json::Value>) -> Result<()> {
        let namespace = self.namespace.clone();
        let opening = self.text().await?;
        if !opening.starts_with('0') {
            bail!("expected an Engine.IO OPEN packet, got {opening:.80}");
        }
        let auth = auth.map(|auth| auth.to_string()).unwrap_or_default();
        self.socket
            .send(Message::text(format!("40{namespace}{auth}")))
            .await?;
        loop {
            let answer = self.text().await?;
            if answer.starts_with(&format!("40{}", namespace.trim_end_matches(','))) {
                return Ok(());
            }
            if answer.starts_with("44") {
                bail!("the server refused {namespace}: {answer}");
            }
            if answer == "2" {
                self.socket.send(Message::text("3")).await?;
            }
        }
    }

    async fn text(&mut self) -> Result<String> {
        match tokio::time::timeout(Duration::from_secs(20), self.socket.next()).await {
            Err(_) => bail!("no answer for 20 s"),
            Ok(None) => bail!("closed by the server"),
            Ok(Some(message)) => match message? {
                Message::Text(text) => Ok(text.to_string()),
                other => bail!("expected text, got {other:?}"),
            },
        }
    }

    /// Sends an event whose arguments are given as JSON text, without brackets.
    pub async fn emit(&mut self, event: &str, arguments: &str) -> Result<()> {
        let text = format!("42{}[\"{event}\",{arguments}]", self.namespace);
        Ok(self.socket.send(Message::text(text)).await?)
    }

    /// Sends an event of one JSON argument and one attachment.
    pub async fn emit_binary(&mut self, event: &str, argument: &str, data: Bytes) -> Result<()> {
        let placeholder = r#"{"_placeholder":true,"num":0}"#;
        let text = format!(
            "451-{}[\"{event}\",{argument},{placeholder}]",
            self.namespace
        );
        self.socket.feed(Message::text(text)).await?;
        Ok(self.socket.send(Message::binary(data)).await?)
    }

    /// Returns the next event, and answers pings. Returns `None` once the server has closed the
    /// connection.
    pub async fn next(&mut self) -> Result<Option<Incoming>> {
        loop {
            let Some(message) = self.socket.next().await else {
                return Ok(None);
            };
            match message? {
                Message::Binary(data) => {
                    return Ok(Some(match self.header.take() {
                        Some(header) => Incoming::Binary(header, data),
                        None => Incoming::Raw(data),
                    }));
                }
                Message::Text(text) if text.as_str() == "2" => {
                    self.socket.send(Message::text("3")).await?;
                }
                Message::Text(text) => {
                    if let Some(rest) = text.strip_prefix("42") {
                        return Ok(Some(Incoming::Event(arguments(rest)?)));
                    }
                    if let Some(rest) = text.strip_prefix("451-") {
                        self.header = Some(arguments(rest)?);
                    } else if text.starts_with("41") || text.as_str() == "1" {
                        return Ok(None);
                    }
                }
                Message::Close(_) => return Ok(None),
                _ => {}
            }
        }
    }
}

/// What names a namespace at the start of a packet: nothing for the default one.
fn prefix(namespace: &str) -> String {
    match namespace {
        "/" => String::new(),
        name => format!("{name},"),
    }
}

fn arguments(packet: &str) -> Result<String> {
    packet
        .find('[')
        .and_then(|start| packet.get(start..))
        .map(str::to_owned)
        .ok_or_else(|| anyhow!("an event without arguments: {packet:.80}"))
}

/// A socket that is read no faster than asked, so that the sender's TCP window closes.
struct Slow {
    stream: TcpStream,
    rate: Option<u64>,
    pause: Pin<Box<Sleep>>,
}

impl Slow {
    fn new(stream: TcpStream, rate: Option<u64>) -> Self {
        Self {
            stream,
            rate,
            pause: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }
}

impl AsyncRead for Slow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let Some(rate) = self.rate else {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        };
        std::task::ready!(self.pause.as_mut().poll(cx));
        let mut bytes = [0; 4096];
        let wanted = buf.remaining().min(bytes.len());
        let mut part = ReadBuf::new(&mut bytes[..wanted]);
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let count = part.filled().len();
        buf.put_slice(part.filled());
        let pause = Duration::from_secs_f64(count as f64 / rate as f64);
        let due = self.pause.deadline().max(Instant::now() - pause) + pause;
        self.pause.as_mut().reset(due);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Slow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
