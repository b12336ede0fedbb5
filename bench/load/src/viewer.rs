//! One viewer: receives frames, acknowledges them, and reports them to the collector.

use anyhow::{Context, Result};
use bytes::Bytes;
use cv_protocol::{Shown, Timestamp, ViewerFrameMeta, Watch, event};
use tokio::sync::mpsc::UnboundedSender;

use crate::args::{ViewArgs, Wire};
use crate::wire::{Connection, Incoming, Slowness};

/// One frame as one viewer received it.
pub struct Sample {
    pub viewer: usize,
    /// Index of the camera in the list of the cameras to watch.
    pub camera: usize,
    pub seq: u64,
    pub delay_us: u64,
    pub bytes: usize,
    /// Width and height in pixels; 0 if the wire does not carry the size.
    pub size: (u32, u32),
    /// Time of arrival.
    pub at: tokio::time::Instant,
}

/// Connects and asks for the cameras to watch.
pub async fn connect(args: &ViewArgs) -> Result<Connection> {
    let namespace = (args.wire != Wire::Bare).then_some(cv_protocol::NAMESPACE_VIEWERS);
    let slowness = Slowness {
        receive_buffer: args.receive_buffer,
        read_rate: args.read_rate,
    };
    let mut connection = Connection::open(&args.url, namespace, None, slowness).await?;
    if args.wire == Wire::Relay && !args.idle {
        for camera in &args.cameras {
            let watch = Watch {
                camera: camera.clone(),
                max_fps: args.max_fps,
            };
            let watch = serde_json::to_string(&watch)?;
            connection.emit(event::WATCH, &watch).await?;
        }
    }
    Ok(connection)
}

/// Receives frames until the server closes the connection.
pub async fn run(
    mut connection: Connection,
    viewer: usize,
    args: ViewArgs,
    samples: UnboundedSender<Sample>,
) -> Result<()> {
    loop {
        let ended = take(&mut connection, viewer, &args, &samples).await;
        if !args.reconnect {
            return ended;
        }
        connection = loop {
            match connect(&args).await {
                Ok(connection) => break connection,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
            }
        };
    }
}

async fn take(
    connection: &mut Connection,
    viewer: usize,
    args: &ViewArgs,
    samples: &UnboundedSender<Sample>,
) -> Result<()> {
    while let Some(incoming) = connection.next().await? {
        let at = tokio::time::Instant::now();
        let now = Timestamp::now();
        let Some(frame) = Frame::read(&incoming)? else {
            continue;
        };
        if args.wire == Wire::Relay {
            let shown = Shown {
                camera: frame.camera.clone(),
                seq: frame.seq,
            };
            let shown = serde_json::to_string(&shown)?;
            connection.emit(event::SHOWN, &shown).await?;
        }
        let sample = Sample {
            viewer,
            camera: args
                .cameras
                .iter()
                .position(|name| *name == frame.camera)
                .unwrap_or(0),
            seq: frame.seq,
            delay_us: now.0.saturating_sub(frame.captured.0),
            bytes: frame.bytes,
            size: frame.size,
            at,
        };
        if samples.send(sample).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

struct Frame {
    camera: String,
    seq: u64,
    captured: Timestamp,
    bytes: usize,
    size: (u32, u32),
}

impl Frame {
    fn read(incoming: &Incoming) -> Result<Option<Self>> {
        match incoming {
            Incoming::Binary(text, jpeg) if text.starts_with("[\"frame\"") => {
                Self::of_frame(text, jpeg).map(Some)
            }
            Incoming::Event(text) if text.starts_with("[\"server2web\"") => {
                Self::of_tutorial(text).map(Some)
            }
            Incoming::Raw(data) => Self::of_bare(data).map(Some),
            _ => Ok(None),
        }
    }

    fn of_frame(text: &str, jpeg: &Bytes) -> Result<Self> {
        /// First argument of a `frame` event from a relay that passes on what the publisher sent.
        #[derive(serde::Deserialize)]
        struct Plain {
            #[serde(default)]
            camera: String,
            #[serde(flatten)]
            frame: cv_protocol::FrameMeta,
        }
        type Arguments<'a, T> = (&'a str, T, serde::de::IgnoredAny);
        let (camera, meta) = match serde_json::from_str::<Arguments<ViewerFrameMeta>>(text) {
            Ok((_, meta, _)) => (meta.camera, meta.frame),
            Err(_) => {
                let (_, meta, _) = serde_json::from_str::<Arguments<Plain>>(text)
                    .with_context(|| format!("cannot read {text}"))?;
                (meta.camera, meta.frame)
            }
        };
        Ok(Self {
            camera,
            seq: meta.seq,
            captured: meta.captured_us,
            bytes: jpeg.len(),
            size: (meta.width, meta.height),
        })
    }

    /// Reads the capture time from the text, where the publisher or the tutorial client's `--stamp`
    /// put it.
    fn of_tutorial(text: &str) -> Result<Self> {
        let captured = text
            .rfind("captured_us: ")
            .and_then(|at| text.get(at + "captured_us: ".len()..))
            .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next())
            .and_then(|digits| digits.parse().ok())
            .map(Timestamp)
            // A frame without a time still counts; its delay reads as 0.
            .unwrap_or_else(Timestamp::now);
        Ok(Self {
            camera: String::new(),
            seq: captured.0,
            captured,
            bytes: text.len(),
            size: (0, 0),
        })
    }

    fn of_bare(data: &Bytes) -> Result<Self> {
        let word = |at: usize| -> Result<u64> {
            let bytes = data
                .get(at..at + 8)
                .context("the frame does not contain its times")?;
            Ok(u64::from_be_bytes(bytes.try_into()?))
        };
        Ok(Self {
            camera: String::new(),
            seq: word(0)?,
            captured: Timestamp(word(8)?),
            bytes: data.len(),
            size: (0, 0),
        })
    }
}
