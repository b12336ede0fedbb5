//! The table of docs/security.md, cell by cell: it is the test's data.

use std::time::Duration;

use serde_json::json;

use super::house::House;
use crate::client::{Client, detections, jpeg, meta};

const DOCUMENT: &str = include_str!("../../../../docs/security.md");

/// The columns, as the document's head has them.
const WHO: [&str; 7] = [
    "stranger",
    "viewer",
    "viewer of another camera",
    "administrator",
    "agent",
    "another agent",
    "tutorial client",
];

/// What somebody brings along.
struct Person {
    cookie: Option<String>,
    /// An agent's key, offered wherever a secret can be offered.
    key: Option<String>,
}

async fn person(house: &House, who: &str) -> Person {
    let cookie = match who {
        "viewer" => Some(house.cookie("bob").await),
        "viewer of another camera" => Some(house.cookie("carl").await),
        "administrator" => Some(house.cookie("eva").await),
        _ => None,
    };
    let key = match who {
        "agent" => Some(house.front_key.expose().to_owned()),
        "another agent" => Some(house.back_key.expose().to_owned()),
        _ => None,
    };
    Person { cookie, key }
}

/// Rows of the table: what is done, and the seven outcomes.
fn rows() -> Vec<(String, Vec<String>)> {
    let start = DOCUMENT
        .lines()
        .position(|line| line.starts_with("| path or event |"))
        .expect("the table is in docs/security.md");
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_matches('|');
        inner
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let mut lines = DOCUMENT.lines().skip(start);
    let head = cells(lines.next().unwrap());
    assert_eq!(head[1..], WHO);
    lines
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = cells(line);
            let what = cells.remove(0).replace('`', "");
            (what, cells)
        })
        .collect()
}

/// Body of a request that changes nothing even where it is allowed.
fn body(path: &str) -> String {
    match path {
        "/api/session" => json!({"name": "bob", "password": super::house::PASSWORD}),
        "/api/set-up" => json!({"name": "mallory", "password": "mallory's own"}),
        "/api/password" => json!({"old": super::house::PASSWORD, "new": super::house::PASSWORD}),
        "/api/agents/refuse" => json!({"code": "9999"}),
        "/api/users" => json!({"name": "", "password": "long enough", "role": "viewer"}),
        "/api/tokens" => json!({"name": "", "scope": "view"}),
        _ => json!({"name": "nobody"}),
    }
    .to_string()
}

async fn over_http(house: &House, person: &Person, method: &str, path: &str) -> String {
    let mut headers = String::from("Content-Type: application/json\r\n");
    if let Some(cookie) = &person.cookie {
        headers += &format!("Cookie: {cookie}\r\n");
    }
    if let Some(key) = &person.key {
        headers += &format!("Authorization: Bearer {key}\r\n");
    }
    let body = if method == "GET" {
        String::new()
    } else {
        body(path)
    };
    let path = path.replace("NAME", "front").replace("ID", "77777");
    let answer = house.request(method, &path, &headers, &body).await;
    match (answer.status, path.as_str()) {
        (401 | 403 | 410, _) => "no".into(),
        (200, "/api/cameras") if !answer.body.contains("front") => "their own".into(),
        (500.., _) => format!("{} {}", answer.status, answer.body),
        _ => "yes".into(),
    }
}

async fn connect_viewer(house: &House, person: &Person) -> Result<Client, String> {
    let auth = person.key.as_ref().map(|key| json!({"token": key}));
    let cookie = person.cookie.as_deref();
    Client::connect_with(house.server.address, "/web", auth, "", cookie).await
}

async fn as_viewer(house: &House, person: &Person, event: &str) -> String {
    let Ok(mut viewer) = connect_viewer(house, person).await else {
        return "no".into();
    };
    let cameras = viewer.event("cameras").await.argument.to_string();
    let (event, argument, answer) = match event {
        "connect" => return "yes".into(),
        "cameras" if cameras.contains("front") => return "yes".into(),
        "cameras" => return "their own".into(),
        "server2web" => {
            let served = viewer.event("server2web");
            let served = tokio::time::timeout(Duration::from_secs(3), served).await;
            return if served.is_ok() { "yes" } else { "no" }.into();
        }
        "waiting" => {
            let told = tokio::time::timeout(crate::client::QUIET, viewer.event("waiting")).await;
            return if told.is_ok() { "yes" } else { "no" }.into();
        }
        "play" => (
            "play",
            json!({"camera": "front", "from_us": 1, "rate": 1.0}),
            // There is no archive here; that is told only to those who may play it.
            "refused",
        ),
        "live" => ("live", json!({"camera": "front"}), "frame"),
        "pause" => ("pause", json!({"camera": "front"}), ""),
        "seek" => ("seek", json!({"camera": "front", "to_us": 1}), ""),
        "watch" => ("watch", json!({"camera": "front"}), "frame"),
        "unwatch" => ("unwatch", json!({"camera": "front"}), ""),
        "shown" => ("shown", json!({"camera": "front", "seq": 0}), ""),
        "clock" => ("clock", json!({"t0": 1}), "clock"),
        other => panic!("no test for {other}"),
    };
    viewer.emit(event, argument).await;
    if answer.is_empty() {
        // Nothing answers, so that it is not refused is all there is to see.
        viewer.emit("clock", json!({"t0": 2})).await;
        viewer.event("clock").await;
        return "yes".into();
    }
    loop {
        match viewer.next().await {
            Some(event) if event.name == answer => return "yes".into(),
            Some(event) if event.name == "denied" => return "no".into(),
            Some(_) => {}
            None => return "no".into(),
        }
    }
}

async fn connect_agent(house: &House, who: &str, person: &Person) -> Result<Client, String> {
    let mut auth = json!({"protocol": 1, "camera": "front", "version": "test", "adoption": true});
    if let Some(key) = &person.key {
        auth["key"] = key.as_str().into();
    }
    let auth = (who != "tutorial client").then_some(auth);
    let cookie = person.cookie.as_deref();
    Client::connect_with(house.server.address, "/cv", auth, "", cookie).await
}

async fn as_agent(house: &House, who: &str, person: &Person, event: &str) -> String {
    let Ok(mut agent) = connect_agent(house, who, person).await else {
        return "no".into();
    };
    let first = agent.next().await.expect("a first event").name;
    if first == "waiting" {
        // What it sends is not heard before it is accepted.
        agent.frame(0).await;
        agent.emit("clock", json!({"t0": 1})).await;
        assert!(agent.stays_without("ack").await);
        return "waits".into();
    }
    assert_eq!(first, "demand");
    let mut viewer = house.web(&house.cookie("eva").await).await.unwrap();
    viewer.emit("watch", json!({"camera": "front"})).await;
    match event {
        "connect as front" => {}
        "frame" => {
            agent.frame(0).await;
            agent.event("ack").await;
        }
        "detections" => {
            agent.emit("detections", detections(0)).await;
            viewer.event("detections").await;
        }
        "stats" => {
            agent.emit("stats", json!({"cpu": 7.0})).await;
            while viewer.event("stats").await.argument["cpu"] != 7.0 {}
        }
        "clock" => {
            agent.emit("clock", json!({"t0": 1})).await;
            agent.event("clock").await;
        }
        other => panic!("no test for {other}"),
    }
    "yes".into()
}

/// The tutorial's event, on a namespace where it may come; others send it too.
async fn cv2server(house: &House, namespace: &'static str, who: &str, person: &Person) -> String {
    let auth = match namespace {
        "/" => person.key.as_ref().map(|key| json!({"token": key})),
        _ => None,
    };
    let cookie = person.cookie.as_deref();
    let query = match (&person.key, who) {
        (Some(key), _) => format!("&token={key}"),
        _ => String::new(),
    };
    let connected =
        Client::connect_with(house.server.address, namespace, auth, &query, cookie).await;
    let Ok(mut client) = connected else {
        return "no".into();
    };
    let image = "data:image/jpeg;base64,/9j/wAARCAHgAoADAQ==";
    client
        .emit("cv2server", json!({"image": image, "text": ""}))
        .await;
    match client.next().await {
        Some(event) if event.name == "refused" => "no".into(),
        other => format!("{other:?}"),
    }
}

async fn outcome(house: &House, what: &str, who: &str) -> String {
    let person = person(house, who).await;
    match what.split_once(": ") {
        Some(("/web", event)) => as_viewer(house, &person, event).await,
        Some(("/cv", "cv2server")) => cv2server(house, "/cv", who, &person).await,
        Some(("/", "cv2server")) => cv2server(house, "/", who, &person).await,
        Some(("/cv", event)) => as_agent(house, who, &person, event).await,
        Some(other) => panic!("no test for {other:?}"),
        None => {
            let (method, path) = what.split_once(' ').expect("METHOD PATH");
            over_http(house, &person, method, path).await
        }
    }
}

#[tokio::test]
async fn every_cell_of_the_table_is_true() {
    let rows = rows();
    assert!(rows.len() > 40, "only {} rows", rows.len());
    let house = House::build().await;
    let mut wrong = Vec::new();
    for (what, expected) in &rows {
        // For the agents' events, the agent itself is one of those who try.
        let front = if what.starts_with("/cv: ") {
            None
        } else {
            let mut front = house.front().await;
            front.emit_frame(meta(0), jpeg(2000)).await;
            front.event("ack").await;
            Some(front)
        };
        for (who, expected) in WHO.iter().zip(expected) {
            let found = outcome(&house, what, who).await;
            if found != *expected {
                wrong.push(format!(
                    "{what}, {who}: the document says {expected}, found {found}"
                ));
            }
        }
        drop(front);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_route_has_its_row() {
    let sources = [
        include_str!("../../../src/http/mod.rs"),
        include_str!("../../../src/http/access/mod.rs"),
        include_str!("../../../src/archive/http/mod.rs"),
    ];
    let rows = rows();
    let described = |path: &str| {
        let path = path
            .replace("{file}", "NAME")
            .replace("{name}", "NAME")
            .replace("{id}", "ID");
        rows.iter().any(|(what, _)| {
            what.split_once(' ')
                .is_some_and(|(_, known)| known.split('?').next().unwrap().starts_with(&path))
        })
    };
    let mut routes = 0;
    for source in sources {
        for part in source.split(".route(").skip(1) {
            let path = part.split('"').nth(1).unwrap();
            routes += 1;
            assert!(described(path), "docs/security.md has no row for {path}");
        }
    }
    assert!(routes > 15, "{routes}");
}
