//! A link of limited speed between the agent and a relay, and how the agent adapts to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cv_protocol::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until};

use crate::agent::Agent;
use crate::fake_relay::{Connection, FakeRelay};

/// Forwards what an agent sends at `speed` bytes per second, with small buffers in between.
struct SlowLink {
    address: SocketAddr,
    speed: Arc<AtomicU64>,
}

impl SlowLink {
    fn start(to: SocketAddr, speed: u64) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 << 10).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(8).unwrap();
        let address = listener.local_addr().unwrap();
        let speed = Arc::new(AtomicU64::new(speed));
        tokio::spawn(accept(listener, to, speed.clone()));
        Self { address, speed }
    }

    fn set(&self, speed: u64) {
        self.speed.store(speed, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, speed: Arc<AtomicU64>) {
    while let Ok((agent, _)) = listener.accept().await {
        let relay = TcpStream::connect(to).await.unwrap();
        relay.set_nodelay(true).unwrap();
        agent.set_nodelay(true).unwrap();
        let (mut from_agent, mut to_agent) = agent.into_split();
        let (mut from_relay, mut to_relay) = relay.into_split();
        let speed = speed.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 1000];
            let mut free = Instant::now();
            while let Ok(len @ 1..) = from_agent.read(&mut buffer).await {
                let bytes_per_second = speed.load(Ordering::Relaxed) as f64;
                free = free.max(Instant::now());
                free += Duration::from_secs_f64(len as f64 / bytes_per_second);
                sleep_until(free).await;
                if to_relay.write_all(&buffer[..len]).await.is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move {
            // The link ends when either side ends.
            let _ = tokio::io::copy(&mut from_relay, &mut to_agent).await;
        });
    }
}

/// Acknowledges frames for `seconds`, and returns the description of each frame and its age on
/// arrival.
async fn watch(connection: &mut Connection, seconds: u64) -> Vec<(Value, Duration)> {
    let end = SystemTime::now() + Duration::from_secs(seconds);
    let mut frames = Vec::new();
    while SystemTime::now() < end {
        let (meta, _) = connection.frame().await;
        connection.ack(&meta).await;
        let captured = Timestamp(meta["captured_us"].as_u64().unwrap());
        frames.push((meta, Timestamp::now().since(captured)));
    }
    frames
}

#[tokio::test]
async fn frames_shrink_for_a_slow_link_and_grow_again() {
    let relay = FakeRelay::start().await;
    let fast = 20_000_000;
    let link = SlowLink::start(relay.address(), fast);
    let server = link.address.to_string();
    let args = [
        "--source",
        "test:640x480@20",
        "--no-detect",
        "--server",
        &server,
    ];
    let mut agent = Agent::start(&args);
    let mut connection = relay.agent().await;
    let before = watch(&mut connection, 3).await;
    assert!(before.iter().all(|(meta, _)| meta["width"] == 640));
    let bytes = connection.frame().await.1.len() as u64;

    // The speed is a fiftieth of what 20 frames a second need: less than one full-size frame in two
    // seconds.
    link.set(bytes * 20 / 50);
    watch(&mut connection, 12).await;
    let seconds = 8;
    let slow = watch(&mut connection, seconds).await;
    let fps = slow.len() as f64 / seconds as f64;
    let oldest = slow.iter().map(|(_, age)| *age).max().unwrap();
    assert!(fps >= 2.0, "{fps} fps");
    assert!(oldest < Duration::from_millis(1500), "{oldest:?}");
    let reduced = connection.argument("stats").await["reduced_to"].clone();
    let width = &slow.last().unwrap().0["width"];
    assert!(
        reduced.as_str().unwrap().starts_with(&format!("{width}x")),
        "{reduced}"
    );
    agent.says("pictures are reduced to");

    link.set(fast);
    watch(&mut connection, 10).await;
    let after = watch(&mut connection, 2).await;
    assert!(after.iter().all(|(meta, _)| meta["width"] == 640));
    assert!(after.len() > 15, "{} frames in 2 s", after.len());
    agent.says("the camera's own pictures again");
}

#[tokio::test]
async fn a_link_of_a_quarter_of_the_speed_costs_frames_but_not_delay() {
    let relay = FakeRelay::start().await;
    let link = SlowLink::start(relay.address(), 20_000_000);
    let server = link.address.to_string();
    let args = [
        "--source",
        "test:640x480@20",
        "--no-detect",
        "--server",
        &server,
    ];
    let _agent = Agent::start(&args);
    let mut connection = relay.agent().await;
    watch(&mut connection, 1).await;
    let bytes = connection.frame().await.1.len() as u64;
    link.set(bytes * 20 / 4);
    watch(&mut connection, 2).await;
    let seconds = 8;
    let frames = watch(&mut connection, seconds).await;
    let fps = frames.len() as f64 / seconds as f64;
    let oldest = frames.iter().map(|(_, age)| *age).max().unwrap();
    assert!(fps >= 4.0, "{fps} of 5 possible fps");
    assert!(oldest < Duration::from_millis(700), "{oldest:?}");
    assert!(frames.iter().all(|(meta, _)| meta["width"] == 640));
}
