//! A TCP stream that keeps back what the kernel could only store.
//!
//! Bytes that the kernel has cannot be taken back, however slow the link has become meanwhile. It
//! would take whole pictures: `TCP_NOTSENT_LOWAT` binds `poll`, while `send` fills the segment at
//! the end of the queue, which may have 64 kB, whatever is unsent. So each write asks `poll` first.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

/// The most that the kernel buffers for us, in bytes: what a link with 200 ms of round trip holds
/// at 30 frames of 40 kB a second. The window keeps what is really there far below.
const SEND_BUFFER: usize = 256 << 10;

/// The socket takes more only when less than half of this is unsent: about one packet, so that
/// something is ready to go whenever the network takes it.
const UNSENT: u32 = 4 << 10;

/// A connection whose unsent bytes stay in the program, except for a packet or two.
#[derive(Debug)]
pub struct Shallow(TcpStream);

impl Shallow {
    /// Connects, without a time limit.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        let options = SockRef::from(&socket);
        options.set_send_buffer_size(SEND_BUFFER)?;
        options.set_tcp_notsent_lowat(UNSENT)?;
        socket.set_nodelay(true)?;
        socket.connect(address).await.map(Self)
    }

    /// `WouldBlock` while enough is unsent; the kernel then reports when that has changed.
    fn has_room(&self) -> io::Result<()> {
        let mut sockets = [PollFd::new(&self.0, PollFlags::OUT)];
        match poll(&mut sockets, Some(&Timespec::default()))? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }
}

impl AsyncRead for Shallow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Shallow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_io(Interest::WRITABLE, || self.has_room()) {
                Ok(()) => return Pin::new(&mut self.0).poll_write(cx, buf),
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                Err(err) => return Poll::Ready(Err(err)),
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// Bytes that the kernel took while the other side reads nothing, in writes of `piece` bytes.
    async fn taken(writer: &mut (impl AsyncWrite + Unpin), piece: usize) -> usize {
        let bytes = vec![0; piece];
        let mut taken = 0;
        while let Ok(written) = timeout(Duration::from_millis(300), writer.write(&bytes)).await {
            taken += written.unwrap();
        }
        taken
    }

    #[tokio::test]
    async fn hardly_anything_is_stored_and_writing_goes_on_when_there_is_room() {
        const PIECE: usize = 3000;
        let listener = TcpSocket::new_v4().unwrap();
        // What the other side's kernel takes, so that the rest is unsent.
        listener.set_recv_buffer_size(16 << 10).unwrap();
        listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener: TcpListener = listener.listen(2).unwrap();
        let address = listener.local_addr().unwrap();

        let mut plain = TcpStream::connect(address).await.unwrap();
        let (_reads_nothing, _) = listener.accept().await.unwrap();
        let stored_otherwise = taken(&mut plain, PIECE).await;

        let mut shallow = Shallow::connect(address).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let stored = taken(&mut shallow, PIECE).await;
        assert!(
            stored < (64 << 10) && stored * 4 < stored_otherwise,
            "{stored} of {stored_otherwise} bytes"
        );

        let reading = tokio::spawn(async move {
            let mut received = Vec::new();
            peer.read_to_end(&mut received).await.unwrap();
            received.len()
        });
        let more = vec![0; 1 << 20];
        timeout(Duration::from_secs(20), shallow.write_all(&more))
            .await
            .unwrap()
            .unwrap();
        shallow.shutdown().await.unwrap();
        assert_eq!(reading.await.unwrap(), stored + more.len());
    }
}
