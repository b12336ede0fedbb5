//! People: the first administrator, signing in and out, what each may see.

use std::time::{Duration, Instant};

use serde_json::json;

use super::house::{House, PASSWORD, request};
use crate::client::{Client, PATIENCE, Server};
use cv_access::Access;
use cv_relay::{Config, Open};

/// A relay without people, and its set-up link.
async fn new_relay() -> (Server, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let relay = cv_relay::app(Config {
        open: Open::Nobody,
        access: Some(Access::open(folder.path(), Duration::from_secs(60)).unwrap()),
        ..Config::default()
    });
    let link = relay.doors().set_up_link().unwrap().expose().to_owned();
    (Server::serve(relay).await, link, folder)
}

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn the_set_up_link_works_once() {
    let (server, link, _folder) = new_relay().await;
    let other = "Host: relay.example\r\nContent-Type: application/json\r\n";
    let first =
        |link: Option<&str>| json!({"link": link, "name": "eva", "password": PASSWORD}).to_string();
    let shown = request(&server, "GET", "/api/session", "", "").await.json();
    assert_eq!(shown["set_up"], "here");
    let without = request(&server, "POST", "/api/set-up", other, &first(None)).await;
    assert_eq!(without.status, 403, "{}", without.body);
    assert!(without.body.contains("set-up link"), "{}", without.body);
    // A proxy on this machine brings people from elsewhere.
    let proxy = "X-Forwarded-For: 192.0.2.7\r\nContent-Type: application/json\r\n";
    let forwarded = request(&server, "POST", "/api/set-up", proxy, &first(None)).await;
    assert_eq!(forwarded.status, 403);
    let wrong = request(&server, "POST", "/api/set-up", JSON, &first(Some("cvu_x"))).await;
    assert_eq!(wrong.status, 403);
    let short = json!({"link": link, "name": "eva", "password": "short"}).to_string();
    let short = request(&server, "POST", "/api/set-up", JSON, &short).await;
    assert_eq!(
        (short.status, short.body.contains("8 characters")),
        (400, true)
    );

    let made = request(&server, "POST", "/api/set-up", JSON, &first(Some(&link))).await;
    assert_eq!(made.status, 204, "{}", made.body);
    let cookie = format!("Cookie: {}\r\n", made.cookie().unwrap());
    let shown = request(&server, "GET", "/api/session", &cookie, "")
        .await
        .json();
    assert_eq!(shown["name"], "eva");
    assert_eq!(
        (&shown["may_administer"], &shown["set_up"]),
        (&json!(true), &json!(null))
    );
    let twice = request(&server, "POST", "/api/set-up", JSON, &first(Some(&link))).await;
    assert_eq!(twice.status, 410, "{}", twice.body);
    let here = request(&server, "POST", "/api/set-up", JSON, &first(None)).await;
    assert_eq!(here.status, 410, "{}", here.body);
}

#[tokio::test]
async fn on_the_relays_own_machine_set_up_needs_no_link() {
    let (server, _, _folder) = new_relay().await;
    assert!(
        Client::connect(server.address, "/web", None)
            .await
            .err()
            .unwrap()
            .contains("no administrator yet")
    );
    let first = json!({"name": "eva", "password": PASSWORD}).to_string();
    let made = request(&server, "POST", "/api/set-up", JSON, &first).await;
    assert_eq!(made.status, 204, "{}", made.body);
}

#[tokio::test]
async fn signing_in_and_out() {
    let house = House::build().await;
    let sign_in = async |name: &str, password: &str, headers: &str| {
        let body = json!({"name": name, "password": password}).to_string();
        house.request("POST", "/api/session", headers, &body).await
    };
    let wrong = sign_in("eva", "wrong", JSON).await;
    assert_eq!((wrong.status, wrong.cookie()), (401, None));
    let nobody = sign_in("nobody", PASSWORD, JSON).await;
    assert_eq!((nobody.status, &nobody.body), (401, &wrong.body));
    let form = sign_in("eva", PASSWORD, "Content-Type: text/plain\r\n").await;
    assert_eq!(form.status, 415, "a foreign page's form must not sign in");
    let right = sign_in("eva", PASSWORD, JSON).await;
    assert_eq!(right.status, 204);
    for part in [
        "; HttpOnly",
        "; SameSite=Lax",
        "; Path=/",
        "Max-Age=2592000",
    ] {
        assert!(right.head.contains(part), "{}", right.head);
    }
    let cookie = right.cookie().unwrap();
    let mut page = house.web(&cookie).await.unwrap();
    page.event("cameras").await;
    let stream = house.front().await;
    let out = house
        .send(&cookie, "DELETE", "/api/session", json!(null))
        .await;
    assert_eq!(out.status, 204);
    let start = Instant::now();
    let reason = page.event("refused").await.argument.to_string();
    assert!(reason.contains("session has ended"), "{reason}");
    page.closed().await;
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(
        house
            .web(&cookie)
            .await
            .err()
            .unwrap()
            .contains("session has ended")
    );
    drop(stream);
}

#[tokio::test]
async fn whoever_keeps_failing_is_slowed() {
    let house = House::build().await;
    let body = json!({"name": "eva", "password": "wrong"}).to_string();
    for _ in 0..5 {
        let wrong = house.request("POST", "/api/session", JSON, &body).await;
        assert_eq!(wrong.status, 401);
    }
    let slowed = house.request("POST", "/api/session", JSON, &body).await;
    assert_eq!(slowed.status, 429, "{}", slowed.body);
    assert!(slowed.head.contains("retry-after: "), "{}", slowed.head);
    // Sessions go on.
    let cookie = house.cookie("bob").await;
    let known = house
        .send(&cookie, "GET", "/api/cameras", json!(null))
        .await;
    assert_eq!(known.status, 200);
}

#[tokio::test]
async fn a_viewer_of_some_cameras_sees_no_others() {
    let house = House::build().await;
    let mut front = house.front().await;
    let cookie = house.cookie("carl").await;
    let mut page = house.web(&cookie).await.unwrap();
    assert_eq!(page.event("cameras").await.argument, json!([]));
    page.emit("watch", json!({"camera": "front"})).await;
    let denied = page.event("denied").await.argument;
    assert_eq!(denied["camera"], "front");
    // Nor is told whether there is one.
    page.emit("watch", json!({"camera": "none"})).await;
    let none = page.event("denied").await.argument["message"].to_string();
    assert_eq!(none.replace("none", "front"), denied["message"].to_string());
    let auth = json!({"protocol": 1, "camera": "back", "key": house.back_key.expose()});
    let mut back = Client::connect(house.server.address, "/cv", Some(auth))
        .await
        .unwrap();
    let list = page.event("cameras").await.argument;
    assert_eq!(
        (list[0]["name"].as_str(), list[1].is_null()),
        (Some("back"), true)
    );
    page.emit("watch", json!({"camera": "back"})).await;
    while back.event("demand").await.argument["viewers"] != 1 {}
    front.frame(0).await;
    back.frame(0).await;
    assert_eq!(page.event("frame").await.argument["camera"], "back");
    let answer = house
        .send(&cookie, "GET", "/snapshot/front.jpg", json!(null))
        .await;
    assert_eq!(answer.status, 403);
    let none = house
        .send(&cookie, "GET", "/snapshot/none.jpg", json!(null))
        .await;
    assert_eq!(
        (none.status, none.body),
        (403, answer.body.replace("front", "none"))
    );

    // More rights come with a new connection.
    let eva = house.cookie("eva").await;
    let more = json!({"cameras": null});
    let changed = house.send(&eva, "PATCH", "/api/users/carl", more).await;
    assert_eq!(changed.status, 204, "{}", changed.body);
    page.event("refused").await;
    let mut page = house.web(&cookie).await.unwrap();
    assert_eq!(
        page.event("cameras")
            .await
            .argument
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_stream_ends_with_the_session() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let house = House::build().await;
    let mut front = house.front().await;
    let cookie = house.cookie("bob").await;
    let mut stream = tokio::net::TcpStream::connect(house.server.address)
        .await
        .unwrap();
    let head = format!(
        "GET /stream/front.mjpg HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {}\r\n\r\n",
        // The port is a part of the cookie's name.
        cookie.replace(&format!("cv-{}", house.server.address.port()), "cv")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    while front.event("demand").await.argument["viewers"] != 1 {}
    let eva = house.cookie("eva").await;
    let removed = house
        .send(&eva, "DELETE", "/api/users/bob", json!(null))
        .await;
    assert_eq!(removed.status, 204, "{}", removed.body);
    let start = Instant::now();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .expect("the stream ends")
        .unwrap();
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn administrators_manage_people_and_the_log_tells_of_it() {
    let house = House::build().await;
    let eva = house.cookie("eva").await;
    let send = async |method: &str, path: &str, body| house.send(&eva, method, path, body).await;
    let new =
        json!({"name": "dora", "password": "dora's own", "role": "viewer", "cameras": ["front"]});
    assert_eq!(send("POST", "/api/users", new.clone()).await.status, 204);
    assert_eq!(send("POST", "/api/users", new).await.status, 409);
    let users = send("GET", "/api/users", json!(null)).await.json();
    assert_eq!(users[2]["name"], "dora");
    assert_eq!(users[2]["cameras"], json!(["front"]));
    assert!(!users.to_string().contains("argon2"));
    let admin = json!({"role": "admin"});
    assert_eq!(send("PATCH", "/api/users/dora", admin).await.status, 204);
    let nobody = json!({"role": "admin"});
    assert_eq!(send("PATCH", "/api/users/nobody", nobody).await.status, 404);
    let mine = json!({"role": "viewer"});
    assert_eq!(
        send("PATCH", "/api/users/eva", mine).await.status,
        204,
        "dora is left"
    );
    assert_eq!(
        send("GET", "/api/users", json!(null)).await.status,
        403,
        "no more"
    );
    let dora = house.cookie("dora").await;
    let last = house
        .send(&dora, "DELETE", "/api/users/dora", json!(null))
        .await;
    assert_eq!(last.status, 409, "{}", last.body);
    let log = house
        .send(&dora, "GET", "/api/audit?limit=3", json!(null))
        .await
        .json();
    let lines: Vec<_> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|line| format!("{} {} {}", line["actor"], line["action"], line["subject"]))
        .collect();
    assert!(
        lines[0].contains("dora") && lines[0].contains("signed in"),
        "{lines:?}"
    );
    assert!(lines[1].contains("rights changed"), "{lines:?}");

    let sessions = house
        .send(&dora, "GET", "/api/sessions", json!(null))
        .await
        .json();
    let of_eva = sessions
        .as_array()
        .unwrap()
        .iter()
        .find(|session| session["user"] == "eva")
        .unwrap();
    let path = format!("/api/sessions/{}", of_eva["id"]);
    assert_eq!(
        house.send(&dora, "DELETE", &path, json!(null)).await.status,
        204
    );
    assert_eq!(send("GET", "/api/cameras", json!(null)).await.status, 401);
}

#[tokio::test]
async fn ones_own_password_takes_the_old_one() {
    let house = House::build().await;
    let (here, elsewhere) = (house.cookie("bob").await, house.cookie("bob").await);
    let wrong = json!({"old": "wrong", "new": "something new"});
    assert_eq!(
        house
            .send(&here, "POST", "/api/password", wrong)
            .await
            .status,
        401
    );
    let right = json!({"old": PASSWORD, "new": "something new"});
    assert_eq!(
        house
            .send(&here, "POST", "/api/password", right)
            .await
            .status,
        204
    );
    assert_eq!(
        house
            .send(&here, "GET", "/api/cameras", json!(null))
            .await
            .status,
        200
    );
    let gone = house
        .send(&elsewhere, "GET", "/api/cameras", json!(null))
        .await;
    assert_eq!(gone.status, 401);
    let again = json!({"name": "bob", "password": "something new"}).to_string();
    assert_eq!(
        house
            .request("POST", "/api/session", JSON, &again)
            .await
            .status,
        204
    );
}
