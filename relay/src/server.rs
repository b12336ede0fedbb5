//! Accepts connections and serves them until it is told to stop.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower_service::Service as _;

use crate::Relay;
use crate::descriptors::{self, Complaint};
use crate::peer::{Connection, Peer};

/// Bytes of a response that may wait in this process: a frame that does not fit is not chosen yet.
const RESPONSE_BUFFER_BYTES: usize = 16 << 10;

/// Time for a client to send a request's head.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// Connections beside agents and viewers: page loads, health checks.
const OTHER_CONNECTIONS: usize = 256;

/// Time for connections to end by themselves after the stop.
const STOP_TIME: Duration = Duration::from_secs(2);

/// After an accept that failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Tells the log where a page that is served on `address` can be opened: here and, if there is a
/// network, from other machines.
pub fn announce_page(address: SocketAddr) {
    let open = |ip| format!("open http://{}", SocketAddr::new(ip, address.port()));
    if !address.ip().is_unspecified() {
        log::info!("{}", open(address.ip()));
        return;
    }
    log::info!("{}", open(Ipv4Addr::LOCALHOST.into()));
    if let Some(own) = address_on_the_network() {
        log::info!("{} from other machines", open(own));
    }
}

/// This machine's address towards others: the one a packet to them would carry.
pub(crate) fn address_on_the_network() -> Option<IpAddr> {
    // Connecting a datagram socket sends nothing; 192.0.2.1 is reserved for documentation.
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Serves `relay` on `listener` until `stop` completes; then says goodbye to everyone.
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// let relay = cv_relay::app(cv_relay::Config::default());
/// let listener = tokio::net::TcpListener::bind(("127.0.0.1", 5000)).await?;
/// cv_relay::serve(listener, relay, std::future::pending()).await
/// # }
/// ```
///
/// # Errors
///
/// If the listener breaks; single connections do not end it.
pub async fn serve(
    listener: TcpListener,
    relay: Relay,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let limits = relay.hub().config().limits;
    let wanted = limits.agents + limits.viewers + OTHER_CONNECTIONS;
    let places = descriptors::places(wanted.min(Semaphore::MAX_PERMITS));
    let free = Arc::new(Semaphore::new(places));
    let mut trouble = Complaint::default();
    let (stopping, stopped) = watch::channel(false);
    let housekeeping = tokio::spawn(relay.clone().keep_house());
    let telling = relay
        .hub()
        .config()
        .archive
        .clone()
        .map(|archive| tokio::spawn(crate::archive::keep_told(archive, relay.hub().clone())));
    let mut stop = pin!(stop);
    let outcome = loop {
        let accepted = tokio::select! {
            () = &mut stop => break Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Closing at once tells more than letting it wait.
                if let Ok(place) = free.clone().try_acquire_owned() {
                    let router = relay.router().clone();
                    tokio::spawn(connection(stream, router, place, stopped.clone()));
                }
            }
            Err(err) if concerns_one_connection(&err) => {}
            // Too many open files, for example: a pause lets connections end.
            Err(err) => {
                if let Some(often) = trouble.again(Instant::now()) {
                    log::error!("cannot accept a connection: {err}{often}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    };
    housekeeping.abort();
    if let Some(telling) = telling {
        telling.abort();
    }
    drop(listener);
    // Ends keep-alive connections and MJPEG streams, then Socket.IO.
    stopping.send_replace(true);
    drop(stopped);
    let goodbye = async {
        relay.close_sockets().await;
        stopping.closed().await;
    };
    if tokio::time::timeout(STOP_TIME, goodbye).await.is_err() {
        log::warn!("some connections did not end in time and are cut");
    }
    outcome
}

fn concerns_one_connection(err: &io::Error) -> bool {
    matches!(
        err.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

async fn connection(
    stream: TcpStream,
    router: Router,
    place: OwnedSemaphorePermit,
    mut stopped: watch::Receiver<bool>,
) {
    let Ok((stream, peer)) = Connection::new(stream, place) else {
        return;
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert::<Peer>(peer.clone());
        router.clone().call(request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME)
        .max_buf_size(RESPONSE_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    // Errors are the peer's: it went away, or did not speak HTTP.
    tokio::select! {
        _ = &mut serving => return,
        _ = stopped.wait_for(|stopped| *stopped) => serving.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(STOP_TIME, serving).await;
}
