//! A TCP connection of the relay: its address, the means to cut it, and a lane for pictures.
//!
//! Socket.IO's library takes about 10 us of processor time to carry one picture to one viewer: a
//! channel, a wake-up, a copy into its buffer. Pictures to viewers are by far the most that a relay
//! sends, so they take a lane of their own onto the connection: the hub writes the ready-made
//! WebSocket messages straight to the socket, between the library's own messages. What the socket
//! does not take at once is written by a short-lived task; the library waits until it is.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

/// Send buffer of a connection: with the windows it bounds what a slow viewer can hold.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// Unsent bytes above which the kernel takes no more: frames wait where they can be replaced.
const NOT_SENT_BYTES: u32 = 16 << 10;

/// A peer that takes no byte for this long is gone, whatever its kernel says.
const NO_PROGRESS: Duration = Duration::from_secs(20);

/// Pieces written by one call.
const MAX_PIECES: usize = 16;

/// Who is at the other end of a connection; found in the extensions of its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    address: SocketAddr,
    writer: Weak<Writer>,
}

impl Peer {
    /// The peer of a request, if it came over a socket.
    #[must_use]
    pub fn of(extensions: &axum::http::Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the connection at once, also if a write to it is waiting.
    pub fn cut(&self) {
        if let Some(writer) = self.writer.upgrade() {
            // Fails if it is closed already.
            let _ = SockRef::from(writer.socket()).shutdown(Shutdown::Both);
        }
    }

    /// Ends the connection after a time for last words.
    pub fn cut_after(&self, time: Duration) {
        let Some(writer) = self.writer.upgrade() else {
            return;
        };
        let peer = self.clone();
        writer.runtime.spawn(async move {
            tokio::time::sleep(time).await;
            peer.cut();
        });
    }

    /// Writes `message` in one piece between the messages of the connection's owner. Never waits.
    ///
    /// The message must be whole as the owner's protocol sees it. A closed connection drops it.
    pub fn send(&self, message: &[Bytes]) {
        let Some(writer) = self.writer.upgrade() else {
            return;
        };
        let mut lane = writer.lock();
        if lane.between_messages && lane.waiting.is_empty() {
            // An error is seen by the connection's reader too, which ends it.
            let Ok(written) = writer.write(message.iter()) else {
                return;
            };
            keep_rest(&mut lane.waiting, message, written);
            if !lane.waiting.is_empty() {
                writer.start_to_finish();
            }
        } else {
            // `finish` runs already, or the owner's own bytes come first.
            lane.waiting.extend(message.iter().cloned());
        }
    }
}

/// The sending side of a connection, shared by its owner and the lane for pictures.
#[derive(Debug)]
struct Writer {
    half: OwnedWriteHalf,
    /// Pictures may come from any thread.
    runtime: Handle,
    lane: Mutex<Lane>,
}

#[derive(Debug)]
struct Lane {
    /// The connection's owner is not in the middle of its own bytes.
    between_messages: bool,
    /// Bytes of pictures that the socket has not taken yet.
    waiting: VecDeque<Bytes>,
    /// The owner, if it waits for the lane.
    owner: Option<Waker>,
}

impl Writer {
    fn socket(&self) -> &TcpStream {
        self.half.as_ref()
    }

    fn lock(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what the socket takes now; returns how many bytes that were.
    fn write<'a>(&self, message: impl Iterator<Item = &'a Bytes>) -> io::Result<usize> {
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        let mut count = 0;
        for (piece, bytes) in pieces.iter_mut().zip(message) {
            *piece = IoSlice::new(bytes);
            count += 1;
        }
        let written = match &pieces[..count] {
            // The kernel's way is shorter for a single piece.
            [piece] => self.half.try_write(piece),
            pieces => self.half.try_write_vectored(pieces),
        };
        match written {
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    fn start_to_finish(self: &Arc<Self>) {
        let writer = self.clone();
        self.runtime.spawn(async move { writer.finish().await });
    }

    /// Writes what waits, as the socket takes it, then lets the owner go on.
    async fn finish(&self) {
        loop {
            let writable = self.half.writable().await;
            let mut lane = self.lock();
            let written = writable.and_then(|()| self.write(lane.waiting.iter()));
            match written {
                Ok(written) => take_away(&mut lane.waiting, written),
                Err(_) => lane.waiting.clear(),
            }
            if lane.waiting.is_empty() {
                if let Some(owner) = lane.owner.take() {
                    owner.wake();
                }
                return;
            }
        }
    }

    /// Writes `bytes` of the owner by `write`, unless pictures are on their way.
    fn poll_own(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        bytes: usize,
        write: impl Fn(&OwnedWriteHalf) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut lane = self.lock();
            if lane.between_messages && !lane.waiting.is_empty() {
                lane.owner = Some(cx.waker().clone());
                return Poll::Pending;
            }
            match write(&self.half) {
                Ok(written) => {
                    // The owner offers all it has: what is taken whole ends with a message.
                    lane.between_messages = written == bytes;
                    if lane.between_messages && !lane.waiting.is_empty() {
                        self.start_to_finish();
                    }
                    return Poll::Ready(Ok(written));
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                    drop(lane);
                    ready!(self.socket().poll_write_ready(cx))?;
                }
                Err(err) => return Poll::Ready(Err(err)),
            }
        }
    }
}

/// Keeps what is left of `message` after its first `written` bytes.
fn keep_rest(waiting: &mut VecDeque<Bytes>, message: &[Bytes], mut written: usize) {
    for piece in message {
        let skipped = written.min(piece.len());
        written -= skipped;
        if skipped < piece.len() {
            waiting.push_back(piece.slice(skipped..));
        }
    }
}

/// Removes the first `count` bytes.
fn take_away(waiting: &mut VecDeque<Bytes>, mut count: usize) {
    while let Some(first) = waiting.front_mut() {
        if first.len() > count {
            first.advance(count);
            return;
        }
        count -= first.len();
        waiting.pop_front();
    }
}

/// A TCP connection that others can cut and send pictures on; it holds its place among the relay's
/// connections.
#[derive(Debug)]
pub struct Connection {
    reader: OwnedReadHalf,
    writer: Arc<Writer>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Takes over an accepted stream and sets its options.
    ///
    /// # Errors
    ///
    /// If the peer is gone already.
    pub fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> io::Result<(Self, Peer)> {
        let address = stream.peer_addr()?;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
        #[cfg(target_os = "linux")]
        {
            socket.set_tcp_notsent_lowat(NOT_SENT_BYTES)?;
            socket.set_tcp_user_timeout(Some(NO_PROGRESS))?;
        }
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(NO_PROGRESS)
                .with_interval(NO_PROGRESS / 4),
        )?;
        let (reader, half) = stream.into_split();
        let writer = Arc::new(Writer {
            half,
            runtime: Handle::current(),
            lane: Mutex::new(Lane {
                between_messages: true,
                waiting: VecDeque::new(),
                owner: None,
            }),
        });
        let peer = Peer {
            address,
            writer: Arc::downgrade(&writer),
        };
        let connection = Self {
            reader,
            writer,
            _place: place,
        };
        Ok((connection, peer))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writer
            .poll_own(cx, buf.len(), |half| half.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = bufs.iter().map(|buf| buf.len()).sum();
        self.writer
            .poll_own(cx, bytes, |half| half.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(self.writer.socket()).shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::Semaphore;

    async fn pair() -> (Connection, Peer, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (connection, peer) = Connection::new(accepted.unwrap().0, place).unwrap();
        (connection, peer, client.unwrap())
    }

    #[tokio::test]
    async fn both_lanes_arrive_whole_however_slowly_they_are_read() {
        let (mut connection, peer, mut client) = pair().await;
        let piece = |letter: u8| Bytes::from(vec![letter; 100_000]);
        let reading = tokio::spawn(async move {
            let mut order = Vec::new();
            let mut message = vec![0; 200_000];
            for _ in 0..60 {
                client.read_exact(&mut message).await.unwrap();
                assert!(message.iter().all(|byte| *byte == message[0]), "torn");
                order.push(message[0]);
            }
            order
        });
        for _ in 0..20 {
            peer.send(&[piece(b'p'), piece(b'p')]);
            connection.write_all(&[b'o'; 200_000]).await.unwrap();
            peer.send(&[piece(b'q'), piece(b'q')]);
        }
        let order = reading.await.unwrap();
        let count = |letter| order.iter().filter(|byte| **byte == letter).count();
        assert_eq!((count(b'p'), count(b'o'), count(b'q')), (20, 20, 20));
    }

    #[tokio::test]
    async fn a_cut_ends_a_write_that_waits() {
        let (mut connection, peer, _client) = pair().await;
        let writing = tokio::spawn(async move {
            loop {
                if connection.write_all(&[0; 100_000]).await.is_err() {
                    return;
                }
            }
        });
        peer.cut_after(Duration::from_millis(50));
        writing.await.unwrap();
        peer.send(&[Bytes::from_static(b"x")]);
    }
}
