//! The connection under a request: its address, and the means to cut it.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

/// Send buffer of a connection: with the windows it bounds what a slow viewer can hold.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// Unsent bytes above which the kernel takes no more: frames wait where they can be replaced.
const NOT_SENT_BYTES: u32 = 16 << 10;

/// A peer that takes no byte for this long is gone, whatever its kernel says.
const NO_PROGRESS: Duration = Duration::from_secs(20);

/// Who is at the other end of a connection; found in the extensions of its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    address: SocketAddr,
    stream: Weak<TcpStream>,
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
        if let Some(stream) = self.stream.upgrade() {
            // Fails if it is closed already.
            let _ = SockRef::from(&*stream).shutdown(Shutdown::Both);
        }
    }
}

/// A TCP connection that others can cut; it holds its place among the relay's connections.
#[derive(Debug)]
pub struct Connection {
    stream: Arc<TcpStream>,
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
        let stream = Arc::new(stream);
        let peer = Peer {
            address,
            stream: Arc::downgrade(&stream),
        };
        let connection = Self {
            stream,
            _place: place,
        };
        Ok((connection, peer))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buf.initialize_unfilled()) {
                Ok(n) => {
                    buf.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                Err(err) => return Poll::Ready(Err(err)),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write(buf) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write_vectored(bufs) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.stream).shutdown(Shutdown::Write))
    }
}
