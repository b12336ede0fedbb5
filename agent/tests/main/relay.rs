//! Runs the agent with the real relay: what a viewer receives, and how each recovers from the
//! other's failure.
//!
//! The relay runs on threads of its own, because a test that waits for the agent's log lines
//! blocks.

use std::net::SocketAddr;
use std::time::Duration;

use cv_relay::{Config, Relay, Token, app, serve};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::agent::{Agent, SOON};

const PICTURE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../crates/detect/tests/fixtures/pictures/cat.jpg"
);

struct Served {
    address: SocketAddr,
    relay: Relay,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Served {
    async fn start(address: &str, config: Config) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let relay = app(config);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, relay.clone(), async {
            let _ = stopped.await;
        }));
        Self {
            address,
            relay,
            stop,
            task,
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(SOON, self.task).await.unwrap().unwrap().unwrap();
    }

    /// Starts an agent that sends to this relay.
    fn agent(&self, args: &[&str]) -> Agent {
        let server = self.address.to_string();
        let mut all = vec!["--no-detect", "--server", &server];
        all.extend(args);
        Agent::start(&all)
    }

    /// Waits for a frame of a camera, and returns the newest one.
    async fn snapshot(&self, camera: &str) -> Vec<u8> {
        let deadline = Instant::now() + SOON;
        loop {
            let response = get(self.address, &format!("/snapshot/{camera}.jpg")).await;
            if let Some(body) = response.body_of(200) {
                return body;
            }
            assert!(Instant::now() < deadline, "no snapshot: {}", response.head);
            sleep(Duration::from_millis(20)).await;
        }
    }
}

struct Response {
    head: String,
    body: Vec<u8>,
}

impl Response {
    fn body_of(&self, status: u16) -> Option<Vec<u8>> {
        let start = format!("HTTP/1.1 {status}");
        self.head.starts_with(&start).then(|| self.body.clone())
    }
}

async fn get(address: SocketAddr, path: &str) -> Response {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    Response {
        head: String::from_utf8_lossy(&answer[..end]).into_owned(),
        body: answer[end + 4..].to_vec(),
    }
}

/// Returns how many frames a camera's MJPEG stream delivers within `time`, after the first frame.
async fn streamed(address: SocketAddr, camera: &str, time: Duration) -> u32 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /stream/{camera}.mjpg HTTP/1.1\r\nhost: relay\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    let mut count = 0;
    let mut end = Instant::now() + SOON;
    while let Ok(read) = timeout_at(end, &mut lines, &mut line).await {
        assert_ne!(read, 0, "the stream ended");
        if line
            .to_ascii_lowercase()
            .starts_with(b"content-type: image/jpeg")
        {
            count += 1;
            if count == 1 {
                end = Instant::now() + time;
            }
        }
        line.clear();
    }
    count - 1
}

async fn timeout_at(
    end: Instant,
    lines: &mut BufReader<TcpStream>,
    line: &mut Vec<u8>,
) -> Result<usize, tokio::time::error::Elapsed> {
    tokio::time::timeout_at(end, lines.read_until(b'\n', line))
        .await
        .map(Result::unwrap)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_arrives_byte_for_byte() {
    let relay = Served::start("127.0.0.1:0", Config::default()).await;
    let _agent = relay.agent(&["--source", PICTURE, "--name", "cat"]);
    let picture = relay.snapshot("cat").await;
    assert!(picture == std::fs::read(PICTURE).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_gets_the_cameras_rate_and_sees_a_stopped_agent_as_offline() {
    let relay = Served::start("127.0.0.1:0", Config::default()).await;
    let agent = relay.agent(&["--source", "test:320x240@20", "--name", "a"]);
    relay.snapshot("a").await;
    let seconds = 4;
    let frames = streamed(relay.address, "a", Duration::from_secs(seconds)).await;
    // A busy machine may cost some frames; a stuck window or pace would cost most of them.
    assert!(frames >= 50, "{frames} frames in {seconds} s at 20 fps");
    agent.signal("TERM");
    assert!(agent.wait().0.success());
    let deadline = Instant::now() + SOON;
    while relay.relay.hub().cameras()[0].state != cv_protocol::CameraState::Offline {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn video_resumes_after_the_relay_was_restarted() {
    let relay = Served::start("127.0.0.1:0", Config::default()).await;
    let address = relay.address.to_string();
    let mut agent = relay.agent(&["--source", PICTURE, "--name", "cat"]);
    relay.snapshot("cat").await;
    relay.stop().await;
    agent.says("Disconnected from");
    agent.says("Failed to connect to");
    let relay = Served::start(&address, Config::default()).await;
    let begin = Instant::now();
    relay.snapshot("cat").await;
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_refused_and_the_right_one_is_accepted() {
    let config = Config {
        agent_token: Some(Token::new("right")),
        ..Config::default()
    };
    let relay = Served::start("127.0.0.1:0", config).await;
    let mut agent = relay.agent(&["--source", "test", "--name", "a", "--token", "wrong"]);
    let line = agent.says("Failed to connect to");
    assert!(line.contains("refuses"), "{line}");
    let _agent = relay.agent(&["--source", "test", "--name", "a", "--token", "right"]);
    relay.snapshot("a").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newer_of_two_agents_with_the_same_name_replaces_the_older() {
    let relay = Served::start("127.0.0.1:0", Config::default()).await;
    let mut older = relay.agent(&["--source", "test", "--name", "a"]);
    relay.snapshot("a").await;
    let mut newer = relay.agent(&["--source", "test", "--name", "a"]);
    newer.says("Successfully connected");
    let line = older.says("Disconnected from");
    assert!(line.contains("refuses"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_streamer_serves_the_page_and_the_frames() {
    let args = [
        "--source",
        PICTURE,
        "--no-detect",
        "--name",
        "cat",
        "--use-streamer",
    ];
    let mut args = args.to_vec();
    args.extend(["--streamer-host", "127.0.0.1", "--streamer-port", "0"]);
    let mut agent = Agent::start(&args);
    let line = agent.says("open http://");
    let address: SocketAddr = line.split("http://").nth(1).unwrap().parse().unwrap();
    let deadline = Instant::now() + SOON;
    let picture = loop {
        if let Some(body) = get(address, "/snapshot/cat.jpg").await.body_of(200) {
            break body;
        }
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(20)).await;
    };
    assert!(picture == std::fs::read(PICTURE).unwrap());
    let page = get(address, "/").await.body_of(200).unwrap();
    assert!(String::from_utf8_lossy(&page).contains("<html"));
    assert!(streamed(address, "cat", Duration::from_secs(2)).await > 0);
    agent.signal("INT");
    assert!(agent.wait().0.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let args = [
        "--source",
        "test",
        "--no-detect",
        "--use-streamer",
        "--streamer-port",
        &port,
    ];
    let (status, said) = Agent::start(&args).wait();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains(&port) && said.contains("--streamer-port"),
        "{said}"
    );
}
