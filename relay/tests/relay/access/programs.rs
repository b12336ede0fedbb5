//! Programs: API tokens, HTTP Basic for pictures, signed links.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cv_access::Role;
use serde_json::json;

use super::house::House;
use crate::client::Client;

async fn token(house: &House, name: &'static str, scope: Role, expires_us: Option<i64>) -> String {
    let secret = house
        .access
        .run(move |store| store.add_token("test", name, scope, expires_us))
        .await
        .unwrap();
    secret.expose().to_owned()
}

#[tokio::test]
async fn a_token_opens_what_its_scope_allows_until_it_is_revoked() {
    let house = House::build().await;
    let mut front = house.front().await;
    front.frame(0).await;
    front.event("ack").await;
    let eva = house.cookie("eva").await;
    let made = json!({"name": "home", "scope": "view", "days": 30});
    let made = house.send(&eva, "POST", "/api/tokens", made).await.json();
    let view = made["token"].as_str().unwrap().to_owned();
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let get =
        async |path: &str, headers: &str| house.request("GET", path, headers, "").await.status;
    assert_eq!(get("/api/cameras", &bearer(&view)).await, 200);
    assert_eq!(get(&format!("/api/cameras?token={view}"), "").await, 200);
    assert_eq!(get("/metrics", &bearer(&view)).await, 200);
    assert_eq!(get("/api/users", &bearer(&view)).await, 403);
    let basic = BASE64_STANDARD.encode(format!("anybody:{view}"));
    let basic = format!("Authorization: Basic {basic}\r\n");
    assert_eq!(get("/snapshot/front.jpg", &basic).await, 200);
    assert_eq!(get("/stream/front.mjpg", &basic).await, 200);
    assert_eq!(get("/api/cameras", &basic).await, 401, "for pictures only");
    let asks = house.request("GET", "/stream/front.mjpg", "", "").await;
    assert!(
        asks.head.contains("www-authenticate: Basic"),
        "{}",
        asks.head
    );
    let auth = Some(json!({"token": view}));
    let mut viewer = Client::connect(house.server.address, "/web", auth)
        .await
        .unwrap();
    viewer.event("cameras").await;

    let admin = token(&house, "admin", Role::Admin, None).await;
    assert_eq!(get("/api/users", &bearer(&admin)).await, 200);
    let list = house
        .request("GET", "/api/tokens", &bearer(&admin), "")
        .await;
    assert!(
        list.body.contains("\"home\"") && !list.body.contains(&view),
        "{}",
        list.body
    );
    let gone = house
        .request("DELETE", "/api/tokens/home", &bearer(&admin), "")
        .await;
    assert_eq!(gone.status, 204);
    assert_eq!(get("/api/cameras", &bearer(&view)).await, 401);
    viewer.event("refused").await;
    viewer.closed().await;
}

#[tokio::test]
async fn a_token_expires() {
    let house = House::build().await;
    let soon = cv_access::now_us() + 1_500_000;
    let token = token(&house, "short", Role::Viewer, Some(soon)).await;
    let auth = Some(json!({"token": token}));
    let mut viewer = Client::connect(house.server.address, "/web", auth.clone())
        .await
        .unwrap();
    viewer.event("cameras").await;
    // The relay looks every five seconds for what has ended by itself.
    viewer.event("refused").await;
    viewer.closed().await;
    let again = Client::connect(house.server.address, "/web", auth).await;
    assert!(again.err().unwrap().contains("wrong or has expired"));
}

#[tokio::test]
async fn a_signed_link_is_for_one_picture_and_a_while() {
    let house = House::build().await;
    let mut front = house.front().await;
    front.frame(0).await;
    front.event("ack").await;
    let bob = house.cookie("bob").await;
    let link = async |query: &str| {
        let path = format!("/api/link?{query}");
        house.send(&bob, "GET", &path, json!(null)).await
    };
    let made = link("camera=front&kind=snapshot&seconds=2").await.json();
    let path = format!("/{}", made["path"].as_str().unwrap());
    let get = async |path: &str| house.request("GET", path, "", "").await.status;
    assert_eq!(get(&path).await, 200);
    assert_eq!(get(&path.replace("front", "back")).await, 401);
    let stream = path.replace("snapshot", "stream").replace(".jpg", ".mjpg");
    assert_eq!(get(&stream).await, 401);
    assert_eq!(get(&path.replace("until=1", "until=2")).await, 401);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(get(&path).await, 401);
    for wrong in [
        "camera=front",
        "camera=front&kind=x",
        "camera=front&kind=snapshot&seconds=0",
        "camera=front&kind=snapshot&seconds=86401",
    ] {
        assert_eq!(link(wrong).await.status, 400, "{wrong}");
    }
    // A link to a stream ends it, too.
    let made = link("camera=front&kind=stream&seconds=1").await.json();
    let path = format!("/{}", made["path"].as_str().unwrap());
    assert_eq!(get(&path).await, 200);
}

#[tokio::test]
async fn a_name_with_odd_characters_has_links_too() {
    let house = House::build().await;
    let bob = house.cookie("bob").await;
    let path = "/api/link?camera=K%C3%BCche%202&kind=snapshot";
    let made = house.send(&bob, "GET", path, json!(null)).await.json();
    let path = made["path"].as_str().unwrap();
    assert!(
        path.starts_with("snapshot/K%C3%BCche%202.jpg?until="),
        "{path}"
    );
    // There is no such camera, but the link was good.
    let answer = house.request("GET", &format!("/{path}"), "", "").await;
    assert_eq!(answer.status, 404, "{}", answer.body);
}
