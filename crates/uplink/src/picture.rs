//! One picture on its way to the socket, in parts, so that it can be given up.
//!
//! When a link falls to a small part of its rate, the picture under way would take seconds, and
//! everything behind it as long. A WebSocket message may be sent in fragments: after each one the
//! sender may decide that it was the last. The frame has said how long it would be, and a relay
//! that said [`Demand::cut_frames`](cv_protocol::Demand::cut_frames) drops what is shorter.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Sink, SinkExt as _};
use tokio_tungstenite::tungstenite::protocol::frame::{
    Frame,
    coding::{Data, OpCode},
};
use tokio_tungstenite::tungstenite::{self, Message};

/// A picture goes in so many parts at most. While one is being sent, up to two more are in the
/// kernel, which nobody can take back.
const PARTS: usize = 8;

/// Two packets of Ethernet: less in a part would only cost more.
const SMALLEST_PART: usize = 2800;

/// Where the socket takes so many parts in so short a time, the link carries them as they come, and
/// the rest goes whole: each part costs a system call here and a wake-up there. Behind a slow link
/// the kernel stores two or three.
const AT_ONCE: usize = 3;
const SHORT: Duration = Duration::from_millis(2);

/// A picture that the socket has not taken within this time is given up: with fewer than two
/// pictures a second, smaller ones are due.
const PATIENCE: Duration = Duration::from_millis(500);

/// Bytes of each part of a picture of `len` bytes; `None` if it is too small to be divided.
pub fn part(len: usize) -> Option<usize> {
    let part = len.div_ceil(PARTS).max(SMALLEST_PART);
    (part < len).then_some(part)
}

/// Sends a picture's header and the picture with nothing in between; returns how many bytes of it
/// have gone when it ended, early or not.
///
/// `open` holds while the socket is in the middle of a message; see [`finish`].
pub async fn send<W>(
    sink: &mut W,
    header: String,
    mut jpeg: Bytes,
    part: usize,
    mut open: impl FnMut(bool),
) -> Result<usize, tungstenite::Error>
where
    W: Sink<Message, Error = tungstenite::Error> + Unpin,
{
    let start = Instant::now();
    let len = jpeg.len();
    let mut kind = Data::Binary;
    let mut parts = 0;
    sink.feed(Message::text(header)).await?;
    loop {
        let elapsed = start.elapsed();
        let size = if jpeg.len() <= part || (parts == AT_ONCE && elapsed < SHORT) {
            jpeg.len()
        } else if elapsed < PATIENCE {
            part
        } else {
            0
        };
        let next = jpeg.split_to(size);
        let last = next.is_empty() || jpeg.is_empty();
        sink.feed(fragment(next, kind, last)).await?;
        open(!last);
        sink.flush().await?;
        if last {
            return Ok(len - jpeg.len());
        }
        kind = Data::Continue;
        parts += 1;
    }
}

/// Ends a picture in the middle of which [`send`] was dropped.
pub async fn finish<W>(sink: &mut W) -> Result<(), tungstenite::Error>
where
    W: Sink<Message, Error = tungstenite::Error> + Unpin,
{
    sink.send(fragment(Bytes::new(), Data::Continue, true))
        .await
}

fn fragment(bytes: Bytes, kind: Data, last: bool) -> Message {
    Message::Frame(Frame::message(bytes, OpCode::Data(kind), last))
}
