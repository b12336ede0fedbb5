//! `rust_socketio` as a client: what others build on it works with this relay.

use std::time::Duration;

use cv_relay::Config;
use rust_socketio::Payload;
use rust_socketio::asynchronous::ClientBuilder;
use tokio::sync::mpsc;

use crate::client::{PATIENCE, Server};

#[tokio::test(flavor = "multi_thread")]
async fn it_connects_and_receives_the_cameras() {
    let server = Server::start(Config::default()).await;
    let _agent = server.agent("front").await;
    let (seen, mut lists) = mpsc::channel(8);
    let client = ClientBuilder::new(format!("http://{}", server.address))
        .namespace("/web")
        .on("cameras", move |payload, _| {
            let seen = seen.clone();
            Box::pin(async move {
                if let Payload::Text(arguments) = payload {
                    let _ = seen.send(arguments).await;
                }
            })
        })
        .connect()
        .await
        .unwrap();
    let list = tokio::time::timeout(PATIENCE, lists.recv()).await.unwrap();
    assert_eq!(list.unwrap()[0][0]["name"], "front");
    let _ = tokio::time::timeout(Duration::from_secs(2), client.disconnect()).await;
}
