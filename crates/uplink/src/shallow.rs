//! A TCP stream that keeps back what the kernel could only store.
//!
//! Bytes that the kernel has cannot be taken back, however slow the link has become meanwhile. It
//! would take whole pictures: `TCP_NOTSENT_LOWAT` binds `poll`, while `send` fills the segment at
//! the end of the queue, which may have 64 kB, whatever is unsent. So each write asks `poll` first.
//!
//! What is sent and not acknowledged cannot be taken back either, and a link that was fast a moment
//! ago lets TCP send a whole picture at once. So the kernel's buffer, which holds both, is only as
//! large as the link needs: its round trip, measured with small messages, times what is written.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

/// The most that the kernel buffers for us, in bytes: what a link with 200 ms of round trip holds
/// at 30 frames of 40 kB a second. The window keeps what is really there far below.
const LARGEST_BUFFER: usize = 256 << 10;

/// And what it buffers at least. The kernel takes twice as much, for its own book-keeping.
const SMALLEST_BUFFER: usize = 4 << 10;

/// How many round trips of what is written the buffer holds, so that the rate can grow.
const ROUND_TRIPS: f64 = 4.0;

/// At least this rate is expected at any time, in bytes a second: somebody may begin to watch.
const EXPECTED_RATE: f64 = 500_000.0;

/// How often the size is looked at.
const RESIZE: Duration = Duration::from_secs(1);

/// The link's round trip without anything in its way, as its other users measure it.
#[derive(Debug, Default)]
pub struct RoundTrip(AtomicU64);

impl RoundTrip {
    /// The shortest of late.
    pub fn measured(&self, round_trip: Duration) {
        let us = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        self.0.store(us.max(1), Ordering::Relaxed);
    }

    fn get(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            us => Some(Duration::from_micros(us)),
        }
    }
}

/// The buffer for a link on which so many bytes a second are written.
fn buffer(bytes_per_second: f64, round_trip: Option<Duration>) -> usize {
    let Some(round_trip) = round_trip else {
        return LARGEST_BUFFER;
    };
    let rate = bytes_per_second.max(EXPECTED_RATE);
    let in_flight = ROUND_TRIPS * rate * round_trip.as_secs_f64();
    // A float beyond the range becomes the largest integer.
    SMALLEST_BUFFER
        .saturating_add(in_flight as usize)
        .min(LARGEST_BUFFER)
}

/// The socket takes more only when less than half of this is unsent: about one packet, so that
/// something is ready to go whenever the network takes it.
const UNSENT: u32 = 4 << 10;

/// A connection whose unsent bytes stay in the program, except for a packet or two.
#[derive(Debug)]
pub struct Shallow {
    stream: TcpStream,
    round_trip: Arc<RoundTrip>,
    /// Size of the kernel's buffer, since when bytes are counted for the next one, and how many.
    buffer: usize,
    since: Instant,
    written: usize,
}

impl Shallow {
    /// Connects, without a time limit. The kernel buffers for the link's `round_trip`.
    pub async fn connect(address: SocketAddr, round_trip: Arc<RoundTrip>) -> io::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        let options = SockRef::from(&socket);
        options.set_send_buffer_size(LARGEST_BUFFER)?;
        options.set_tcp_notsent_lowat(UNSENT)?;
        socket.set_nodelay(true)?;
        Ok(Self {
            stream: socket.connect(address).await?,
            round_trip,
            buffer: LARGEST_BUFFER,
            since: Instant::now(),
            written: 0,
        })
    }

    fn count(&mut self, written: usize) {
        self.written += written;
        let elapsed = self.since.elapsed();
        if elapsed < RESIZE {
            return;
        }
        let rate = self.written as f64 / elapsed.as_secs_f64();
        self.since = Instant::now();
        self.written = 0;
        let wanted = buffer(rate, self.round_trip.get());
        // Rates vary: small steps are not worth a system call.
        if wanted.abs_diff(self.buffer) * 4 > self.buffer {
            let resized = SockRef::from(&self.stream).set_send_buffer_size(wanted);
            if let Err(err) = resized {
                log::debug!(
                    "the kernel keeps its buffer of {} bytes: {err}",
                    self.buffer
                );
            }
            self.buffer = wanted;
        }
    }

    /// `WouldBlock` while enough is unsent; the kernel then reports when that has changed.
    fn has_room(&self) -> io::Result<()> {
        let mut sockets = [PollFd::new(&self.stream, PollFlags::OUT)];
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
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Shallow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_io(Interest::WRITABLE, || self.has_room()) {
                Ok(()) => {
                    let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
                    self.count(written);
                    return Poll::Ready(Ok(written));
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                Err(err) => return Poll::Ready(Err(err)),
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn the_buffer_is_what_the_link_holds() {
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(buffer(600_000.0, None), LARGEST_BUFFER);
        // A picture of 20 kB must not fit in on a link in the house.
        assert!(buffer(600_000.0, ms(1)) < 8 << 10);
        assert!((40 << 10..80 << 10).contains(&buffer(600_000.0, ms(20))));
        assert_eq!(buffer(1_200_000.0, ms(200)), LARGEST_BUFFER);
        assert_eq!(buffer(f64::MAX, ms(200)), LARGEST_BUFFER);
        assert_eq!(buffer(0.0, ms(20)), buffer(EXPECTED_RATE, ms(20)));
    }

    /// On a link that was fast, the kernel takes no more than a part of a picture once it is slow.
    #[tokio::test]
    async fn little_is_on_its_way_when_a_fast_link_stops() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let round_trip = Arc::new(RoundTrip::default());
        round_trip.measured(Duration::from_micros(200));
        let address = listener.local_addr().unwrap();
        let mut shallow = Shallow::connect(address, round_trip).await.unwrap();
        let (peer, _) = listener.accept().await.unwrap();
        shallow.write_all(&[0; 1000]).await.unwrap();
        tokio::time::sleep(RESIZE).await;
        shallow.write_all(&[0; 1000]).await.unwrap();
        let size = SockRef::from(&shallow.stream).send_buffer_size().unwrap();
        assert!(size <= 3 * SMALLEST_BUFFER, "{size}");
        drop(peer);
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

        let mut shallow = Shallow::connect(address, Arc::default()).await.unwrap();
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
