//! One agent that publishes ready-made frames at a steady rate.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use bytes::{BufMut, Bytes, BytesMut};
use cv_protocol::{AgentAuth, FrameMeta, NAMESPACE_AGENTS, Timestamp, WINDOW, event, tutorial};
use tokio::time::MissedTickBehavior;

use crate::args::{ViewArgs, Wire};
use crate::report::Published;
use crate::wire::{Connection, Incoming, Slowness};

const WIDTH: u16 = 640;
const HEIGHT: u16 = 480;

/// A connected publisher.
pub struct Publisher {
    connection: Connection,
}

/// Connects as an agent whose camera is `camera`.
pub async fn connect(args: &ViewArgs, camera: &str) -> Result<Publisher> {
    let auth = AgentAuth {
        protocol: cv_protocol::VERSION,
        camera: camera.to_owned(),
        token: None,
        key: None,
        adoption: false,
        version: "load".into(),
    };
    let (namespace, auth) = match args.wire {
        // Its one handler is on the default namespace.
        Wire::Tutorial => ("/", None),
        _ => (NAMESPACE_AGENTS, Some(serde_json::to_value(auth)?)),
    };
    let connection = Connection::open(&args.url, Some(namespace), auth, Slowness::default())
        .await
        .context("the publisher cannot connect")?;
    Ok(Publisher { connection })
}

impl Publisher {
    /// Publishes until the server closes the connection.
    pub async fn run(mut self, args: ViewArgs, published: Published) -> Result<()> {
        let jpeg = picture(args.bytes)?;
        let data_url = format!(
            "{}{}",
            tutorial::DATA_URL_PREFIX,
            base64::engine::general_purpose::STANDARD.encode(&jpeg)
        );
        let interval = 1.0 / args.publish_fps.unwrap_or(30.0);
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(interval));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut in_flight = VecDeque::new();
        let mut seq = 0;
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let meta = FrameMeta {
                        seq,
                        captured_us: Timestamp::now(),
                        sent_us: None,
                        width: WIDTH.into(),
                        height: HEIGHT.into(),
                        bytes: None,
                        paced: None,
                        annotated: false,
                    };
                    seq += 1;
                    if args.wire == Wire::Relay && in_flight.len() >= *WINDOW.end() {
                        published.skipped.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    if args.wire == Wire::Tutorial {
                        let text = format!("captured_us: {}", meta.captured_us.0);
                        let payload = format!(r#"{{"image":"{data_url}","text":"{text}"}}"#);
                        self.connection.emit(tutorial::CV2SERVER, &payload).await?;
                    } else {
                        in_flight.push_back(meta.seq);
                        let meta = serde_json::to_string(&meta)?;
                        self.connection.emit_binary(event::FRAME, &meta, jpeg.clone()).await?;
                    }
                    published.frames.fetch_add(1, Ordering::Relaxed);
                }
                incoming = self.connection.next() => match incoming? {
                    None => return Ok(()),
                    Some(Incoming::Event(text)) if text.starts_with("[\"ack\"") => {
                        let (_, ack): (&str, cv_protocol::Ack) = serde_json::from_str(&text)?;
                        in_flight.retain(|seq| *seq > ack.seq);
                    }
                    Some(_) => {}
                },
            }
        }
    }
}

/// Creates a JPEG of exactly `len` bytes: a grey image and comments.
fn picture(len: usize) -> Result<Bytes> {
    let mut jpeg = Vec::new();
    jpeg_encoder::Encoder::new(&mut jpeg, 50).encode(
        &vec![128; usize::from(WIDTH) * usize::from(HEIGHT)],
        WIDTH,
        HEIGHT,
        jpeg_encoder::ColorType::Luma,
    )?;
    // A comment segment is FF FE, two bytes of length (which count themselves), and text.
    let mut padding = len
        .checked_sub(jpeg.len() + 4)
        .with_context(|| format!("--bytes must be at least {}", jpeg.len() + 4))?
        + 4;
    let mut out = BytesMut::with_capacity(len);
    out.put_slice(&[0xff, 0xd8]);
    while padding > 0 {
        // The last comment segment must have room for its own header.
        let mut segment = padding.min(60_000);
        if padding - segment != 0 && padding - segment < 4 {
            segment -= 4;
        }
        out.put_slice(&[0xff, 0xfe]);
        out.put_u16(u16::try_from(segment - 2)?);
        out.put_bytes(b' ', segment - 4);
        padding -= segment;
    }
    out.put_slice(jpeg.get(2..).unwrap_or_default());
    Ok(out.freeze())
}
