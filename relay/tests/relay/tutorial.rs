//! The tutorial's client and page, with packets written by hand.

use cv_relay::Config;
use serde_json::json;

use crate::client::{Client, Server, detections, jpeg};

const DATA_URL: &str = "data:image/jpeg;base64,/9j/wAARCAHgAoADAQ==";

#[tokio::test]
async fn its_client_becomes_a_camera_on_both_namespaces() {
    let server = Server::start(Config::default()).await;
    let mut first = Client::connect(server.address, "/cv", None).await.unwrap();
    let mut second = Client::connect(server.address, "/", None).await.unwrap();
    let mut viewer = server.watching("tutorial").await;
    viewer.emit("watch", json!({"camera": "tutorial-2"})).await;
    let payload = json!({"image": DATA_URL, "text": "a<br />b"});
    first.emit("cv2server", payload.clone()).await;
    let frame = viewer.event("frame").await;
    assert_eq!(frame.argument["camera"], "tutorial");
    assert_eq!(frame.argument["width"], 640);
    assert_eq!(frame.argument["annotated"], true);
    assert_eq!(frame.attachment, Some(jpeg(13)));
    assert_eq!(viewer.event("text").await.argument["text"], "a<br />b");
    second.emit("cv2server", payload).await;
    let text = viewer.event("text").await.argument;
    assert_eq!(text, json!({"camera": "tutorial-2", "text": "a<br />b"}));
}

#[tokio::test]
async fn a_viewer_that_lags_gets_the_last_text_in_the_end() {
    let server = Server::start(Config::default()).await;
    let mut client = Client::connect(server.address, "/cv", None).await.unwrap();
    let mut viewer = server.watching("tutorial").await;
    for text in ["a", "b", "c"] {
        let payload = json!({"image": DATA_URL, "text": text});
        client.emit("cv2server", payload).await;
    }
    let first = viewer.event("frame").await;
    viewer.event("frame").await;
    assert_eq!(viewer.event("text").await.argument["text"], "a");
    assert_eq!(viewer.event("text").await.argument["text"], "b");
    assert!(viewer.stays_without("text").await, "no place for it");
    viewer.shown(&first).await;
    assert_eq!(viewer.event("text").await.argument["text"], "c");
}

#[tokio::test]
async fn hostile_payloads_are_refused_and_harm_nobody() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut viewer = server.watching("front").await;
    while agent.event("demand").await.argument["viewers"] != 1 {}
    for (payload, reason) in [
        (json!({"image": "http://x/y.jpg", "text": ""}), "data URL"),
        (
            json!({"image": "data:image/jpeg;base64,R0lGODlh", "text": ""}),
            "not a JPEG",
        ),
        (
            json!({"image": DATA_URL, "text": "x".repeat(5 << 20)}),
            "16384 are allowed",
        ),
        (json!({"image": 5}), "invalid type"),
        (
            json!({"image": format!("{DATA_URL}{}", "A".repeat(11_200_000))}),
            "8388608 are allowed",
        ),
    ] {
        let mut client = Client::connect(server.address, "/cv", None).await.unwrap();
        client.emit("cv2server", payload).await;
        let message = client.event("refused").await.argument.to_string();
        assert!(message.contains(reason), "{message}");
        client.closed().await;
    }
    // Above what the socket takes at all: the connection ends while the message is on its way.
    let mut client = Client::connect(server.address, "/cv", None).await.unwrap();
    let huge = format!(
        "42/cv,[\"cv2server\",{{\"image\":\"{}\"}}]",
        "A".repeat(50 << 20)
    );
    let _ = client.raw(huge).await;
    client.closed().await;
    agent.frame(0).await;
    assert_eq!(viewer.event("frame").await.seq(), 0);
    assert_eq!(
        server.hub.cameras().len(),
        1,
        "none of them became a camera"
    );
}

#[tokio::test]
async fn a_viewer_that_never_watches_gets_server2web_of_our_agents() {
    let server = Server::start(Config::default()).await;
    let mut agent = server.agent("front").await;
    let mut page = Client::connect(server.address, "/web", None).await.unwrap();
    agent.emit("detections", detections(0)).await;
    while agent.event("demand").await.argument["viewers"] != 1 {}
    agent.emit_frame(crate::client::meta(0), jpeg(13)).await;
    let shown = page.event("server2web").await.argument;
    assert_eq!(shown["image"], DATA_URL);
    assert_eq!(
        shown["text"],
        "Model: ssd<br />Engine: LiteRT<br />Accelerator: XNNPACK<br />\
         Inference time: 0.012 s<br />Objects:<br />Dog: 87.50%"
    );
    // A page that watches after all is served like one that always did.
    page.emit("watch", json!({"camera": "front"})).await;
    page.event("frame").await;
    agent.frame(1).await;
    page.event("frame").await;
    assert!(page.stays_without("server2web").await);
}

#[tokio::test]
async fn its_page_follows_whatever_camera_delivers() {
    let server = Server::start(Config::default()).await;
    let mut page = Client::connect(server.address, "/web", None).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let mut one = server.agent("one").await;
    while one.event("demand").await.argument["viewers"] != 1 {}
    one.frame(0).await;
    page.event("server2web").await;
    let mut two = server.agent("two").await;
    drop(one);
    while two.event("demand").await.argument["viewers"] != 1 {}
    two.frame(0).await;
    page.event("server2web").await;
}
