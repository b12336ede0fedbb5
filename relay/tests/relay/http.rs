//! What is at the relay's port for programs without Socket.IO.

use std::time::Duration;

use cv_relay::{Config, Token};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{PATIENCE, Server, jpeg, meta};

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

async fn get(server: &Server, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("an answer")
        .unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_lowercase(),
        body,
    }
}

#[tokio::test]
async fn the_page_comes_with_a_tag_and_a_strict_policy() {
    let server = Server::start(Config::default()).await;
    let page = get(&server, "/", "").await;
    assert_eq!(page.status, 200);
    assert!(
        page.head.contains("content-type: text/html"),
        "{}",
        page.head
    );
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'")
    );
    let tag = page
        .head
        .split("etag: ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    let again = get(&server, "/", &format!("If-None-Match: {tag}\r\n")).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(get(&server, "/../Cargo.toml", "").await.status, 404);
    assert_eq!(get(&server, "/healthz", "").await.text(), "ok");
}

#[tokio::test]
async fn snapshots_name_the_known_cameras_when_there_is_none() {
    let server = Server::start(Config::default()).await;
    let none = get(&server, "/snapshot/back.jpg", "").await;
    assert_eq!(none.status, 404);
    assert!(none.text().contains("There is none yet"));
    let mut agent = server.agent("Küche 2").await;
    let known = get(&server, "/snapshot/back.jpg", "").await;
    assert!(known.text().contains("Küche 2"), "{}", known.text());
    let empty = get(&server, "/snapshot/K%C3%BCche%202.jpg", "").await;
    assert_eq!(empty.status, 503);
    agent.frame(0).await;
    agent.event("ack").await;
    let picture = get(&server, "/snapshot/K%C3%BCche%202.jpg", "").await;
    assert_eq!(picture.status, 200);
    assert!(picture.head.contains("content-type: image/jpeg"));
    assert_eq!(picture.body, jpeg(2000));
    let list: Value = serde_json::from_slice(&get(&server, "/api/cameras", "").await.body).unwrap();
    assert_eq!(list[0]["name"], "Küche 2");
    let metrics = get(&server, "/metrics", "").await;
    assert!(
        metrics
            .text()
            .contains("cv_relay_frames_in_total{camera=\"Küche 2\"} 1")
    );
}

#[tokio::test]
async fn viewers_endpoints_ask_for_the_token() {
    let server = Server::start(Config {
        viewer_token: Some(Token::new("secret")),
        ..Config::default()
    })
    .await;
    for path in [
        "/api/cameras",
        "/metrics",
        "/snapshot/a.jpg",
        "/stream/a.mjpg",
    ] {
        assert_eq!(get(&server, path, "").await.status, 401, "{path}");
        let wrong = get(&server, &format!("{path}?token=wrong"), "").await;
        assert_eq!(wrong.status, 401, "{path}");
        let right = get(&server, &format!("{path}?token=secret"), "").await;
        assert_ne!(right.status, 401, "{path}");
        let right = get(&server, path, "Authorization: Bearer secret\r\n").await;
        assert_ne!(right.status, 401, "{path}");
    }
    assert_eq!(get(&server, "/", "").await.status, 200);
}

#[tokio::test]
async fn an_mjpeg_client_counts_as_viewer_and_skips_what_it_cannot_take() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET /stream/front.mjpg HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    while agent.event("demand").await.argument["viewers"] != 1 {}
    // Far more than all buffers between here and there hold, while the client reads nothing.
    for seq in 0..200 {
        agent.emit_frame(meta(seq), jpeg(100_000)).await;
        agent.event("ack").await;
    }
    let mut received = Vec::new();
    let wait = tokio::time::sleep(Duration::from_millis(1500));
    tokio::pin!(wait);
    loop {
        tokio::select! {
            read = slow.read_buf(&mut received) => assert_ne!(read.unwrap(), 0),
            () = &mut wait => break,
        }
    }
    let text = String::from_utf8_lossy(&received);
    assert!(
        text.contains("multipart/x-mixed-replace"),
        "{}",
        &text[..300]
    );
    let parts = text.matches("--cv-frame").count();
    assert!((2..=120).contains(&parts), "{parts} parts of 200");
    drop(slow);
    // Frames go on for the relay to notice.
    let mut seq = 200;
    while server.hub.cameras()[0].viewers != 0 {
        agent.frame(seq).await;
        agent.event("ack").await;
        seq += 1;
    }
}
