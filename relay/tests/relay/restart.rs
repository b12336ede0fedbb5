//! A relay that ends and starts again while everybody is there.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cv_protocol::Timestamp;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::client::jpeg;

const AGENTS: usize = 64;
const VIEWERS: usize = 500;

/// Everybody, and who of them is being served.
#[derive(Default)]
struct Crowd {
    served: AtomicUsize,
    refused: AtomicUsize,
}

/// Counts as served for as long as it lives.
struct Served(Arc<Crowd>);

impl Served {
    fn new(crowd: &Arc<Crowd>) -> Self {
        crowd.served.fetch_add(1, Ordering::Relaxed);
        Self(crowd.clone())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.served.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits that double from `first` to `cap`, between a half and the whole: as the page and the agent
/// do it.
async fn back_off(failures: u32, first: u64, cap: u64) {
    let full = cap.min(first << failures.min(10));
    let share = 0.5 + f64::from(fastrand::u32(0..1000)) / 2000.0;
    sleep(Duration::from_millis(full).mul_f64(share)).await;
}

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Connects to `namespace`; counts a refusal.
async fn enter(address: SocketAddr, namespace: &str, auth: &str, crowd: &Crowd) -> Option<Socket> {
    let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
    let connecting = tokio_tungstenite::connect_async(url);
    let (mut socket, _) = match timeout(Duration::from_secs(5), connecting).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(tokio_tungstenite::tungstenite::Error::Http(_))) => {
            crowd.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        _ => return None,
    };
    let connect = format!("40{namespace},{auth}");
    socket.send(Message::text(connect)).await.ok()?;
    loop {
        let text = socket.next().await?.ok()?.into_text().ok()?;
        if text.starts_with("40") {
            return Some(socket);
        }
        if text.starts_with("44") {
            crowd.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
    }
}

async fn agent(address: SocketAddr, number: usize, crowd: Arc<Crowd>) {
    let auth = json!({"protocol": 1, "camera": format!("camera-{number}"), "version": "test"});
    let mut failures = 0;
    loop {
        if let Some(mut socket) = enter(address, "/cv", &auth.to_string(), &crowd).await {
            failures = 0;
            let _served = Served::new(&crowd);
            let mut seq = 0;
            let mut ticks = tokio::time::interval(Duration::from_millis(500));
            loop {
                tokio::select! {
                    _ = ticks.tick() => {
                        let meta = json!({"seq": seq, "captured_us": Timestamp::now(), "width": 640, "height": 480});
                        seq += 1;
                        let body = json!(["frame", meta, {"_placeholder": true, "num": 0}]);
                        if socket.feed(Message::text(format!("451-/cv,{body}"))).await.is_err()
                            || socket.send(Message::Binary(jpeg(2000))).await.is_err() {
                            break;
                        }
                    }
                    message = socket.next() => match message {
                        Some(Ok(_)) => {}
                        _ => break,
                    }
                }
            }
        }
        back_off(failures, 100, 1000).await;
        failures += 1;
    }
}

async fn viewer(address: SocketAddr, number: usize, crowd: Arc<Crowd>) {
    let camera = format!("camera-{}", number % AGENTS);
    let mut failures = 0;
    loop {
        if let Some(mut socket) = enter(address, "/web", "", &crowd).await {
            failures = 0;
            let watch = json!(["watch", {"camera": camera}]);
            let mut served = None;
            let _ = socket.send(Message::text(format!("42/web,{watch}"))).await;
            while let Some(Ok(message)) = socket.next().await {
                let Message::Text(text) = message else {
                    continue;
                };
                let Some(body) = text.strip_prefix("451-/web,") else {
                    continue;
                };
                served.get_or_insert_with(|| Served::new(&crowd));
                let meta: Value = serde_json::from_str(body).unwrap();
                let shown = json!(["shown", {"camera": camera, "seq": meta[1]["seq"]}]);
                if socket
                    .send(Message::text(format!("42/web,{shown}")))
                    .await
                    .is_err()
                {
                    break;
                }
            }
        }
        back_off(failures, 300, 3500).await;
        failures += 1;
    }
}

/// Starts the relay and waits until it is ready.
fn start(port: u16) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cv-relay"))
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .env_remove("NOTIFY_SOCKET")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the relay ended");
    }
    // It must not stop because nobody reads what it says.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    child
}

/// Processor time that a process has used.
fn processor_time(child: &Child) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
    let ticks: u64 = fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

async fn all_are_served(crowd: &Crowd, limit: Duration) -> Duration {
    let start = Instant::now();
    while crowd.served.load(Ordering::Relaxed) < AGENTS + VIEWERS {
        let served = crowd.served.load(Ordering::Relaxed);
        assert!(
            start.elapsed() < limit,
            "after {limit:?} only {served} are served"
        );
        sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_back_within_five_seconds_of_a_restart() {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut relay = start(port);
    let crowd = Arc::new(Crowd::default());
    for number in 0..AGENTS {
        tokio::spawn(agent(address, number, crowd.clone()));
    }
    for number in 0..VIEWERS {
        tokio::spawn(viewer(address, number, crowd.clone()));
    }
    all_are_served(&crowd, Duration::from_secs(60)).await;
    // A short restart, and one after which all wait for as long as they ever do.
    for pause in [Duration::from_millis(100), Duration::from_secs(12)] {
        relay.kill().unwrap();
        relay.wait().unwrap();
        sleep(pause).await;
        relay = start(port);
        let (back, busy) = tokio::join!(all_are_served(&crowd, Duration::from_secs(5)), async {
            sleep(Duration::from_secs(1)).await;
            processor_time(&relay)
        });
        println!(
            "down for {pause:?}: all back after {back:?}, {busy:?} of processor time in the first second"
        );
        assert!(busy < Duration::from_millis(800), "{busy:?}");
    }
    assert_eq!(crowd.refused.load(Ordering::Relaxed), 0);
    relay.kill().unwrap();
    relay.wait().unwrap();
}
