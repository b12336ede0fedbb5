//! A relay with people, agents and a camera; and requests to it.

use std::sync::Arc;
use std::time::Duration;

use cv_access::{Access, Cameras, Kind, Password, Role, Secret, Waiting};
use cv_relay::{Config, Open};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Client, PATIENCE, Server};

pub const PASSWORD: &str = "correct horse battery";

/// A relay that is open to nobody but whom it knows: the administrator `eva`, `bob` who may see
/// every camera, `carl` who may see `back`, and agents for `front` and `back`.
pub struct House {
    pub server: Server,
    pub access: Arc<Access>,
    pub front_key: Secret,
    pub back_key: Secret,
    pub folder: tempfile::TempDir,
}

impl House {
    pub async fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let access = Access::open(folder.path(), Duration::from_secs(3600)).unwrap();
        let back = Cameras::Named(["back".to_owned()].into());
        let hash = Password::offered(PASSWORD).hash().unwrap();
        access
            .run(move |store| {
                store.add_user("test", "eva", &hash, Role::Admin, &Cameras::All)?;
                store.add_user("test", "bob", &hash, Role::Viewer, &Cameras::All)?;
                store.add_user("test", "carl", &hash, Role::Viewer, &back)
            })
            .await
            .unwrap();
        let front_key = adopt(&access, "front").await;
        let back_key = adopt(&access, "back").await;
        let config = Config {
            open: Open::Nobody,
            access: Some(access.clone()),
            ..Config::default()
        };
        Self {
            server: Server::start(config).await,
            access,
            front_key,
            back_key,
            folder,
        }
    }

    /// The cookie of somebody who has signed in, as a browser sends it back.
    pub async fn cookie(&self, name: &str) -> String {
        let secret = Secret::generate(Kind::Session).unwrap();
        let digest = secret.digest();
        let snapshot = self.access.snapshot();
        let user = snapshot.users.values().find(|user| user.name == name);
        let id = user.unwrap().id;
        self.access
            .run(move |store| store.start_session(id, &digest, "127.0.0.1", "test"))
            .await
            .unwrap();
        let port = self.server.address.port();
        format!("cv-{port}={}", secret.expose())
    }

    /// The agent of `front`, connected with its key.
    pub async fn front(&self) -> Client {
        let auth = json!({"protocol": 1, "camera": "front", "version": "test",
            "key": self.front_key.expose()});
        Client::connect(self.server.address, "/cv", Some(auth))
            .await
            .unwrap()
    }

    pub async fn web(&self, cookie: &str) -> Result<Client, String> {
        Client::connect_with(self.server.address, "/web", None, "", Some(cookie)).await
    }

    pub async fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        request(&self.server, method, path, headers, body).await
    }

    /// With a person's cookie and a JSON body.
    pub async fn send(&self, cookie: &str, method: &str, path: &str, body: Value) -> Answer {
        let headers = format!("Cookie: {cookie}\r\nContent-Type: application/json\r\n");
        self.request(method, path, &headers, &body.to_string())
            .await
    }
}

async fn adopt(access: &Arc<Access>, name: &str) -> Secret {
    let key = Secret::generate(Kind::AgentKey).unwrap();
    let digest = key.digest();
    let waiting = Waiting {
        code: "0000".into(),
        name: name.into(),
        address: "test".into(),
        version: "test".into(),
        since_us: 1,
        accepted_by: None,
        refused: false,
    };
    let name = name.to_owned();
    access
        .run(move |store| {
            store.set_waiting(&[waiting])?;
            store.accept("test", &name, None)?;
            store.adopt("0000", &digest)
        })
        .await
        .unwrap();
    key
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|err| panic!("{err}: {}", self.body))
    }

    /// The cookie that a browser would keep.
    pub fn cookie(&self) -> Option<String> {
        let line = self
            .head
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "))?;
        Some(line.split(';').next().unwrap().to_owned())
    }
}

/// A request; of a stream only the beginning is read.
pub async fn request(
    server: &Server,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let host = match headers.contains("Host:") {
        true => String::new(),
        false => format!("Host: localhost:{}\r\n", server.address.port()),
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let end = |bytes: &[u8]| bytes.windows(4).position(|w| w == b"\r\n\r\n");
    let read = async {
        loop {
            let n = stream.read_buf(&mut bytes).await.unwrap();
            let head_is_there = end(&bytes).is_some();
            if n == 0 || (head_is_there && bytes.windows(10).any(|w| w == b"--cv-frame")) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("an answer");
    let end = end(&bytes).expect("a head");
    let body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let (line, fields) = head.split_once("\r\n").unwrap();
    let fields: Vec<_> = fields
        .lines()
        .map(|field| match field.split_once(':') {
            Some((name, value)) => format!("{}:{value}", name.to_lowercase()),
            None => field.to_owned(),
        })
        .collect();
    Answer {
        status,
        head: format!("{line}\n{}", fields.join("\n")),
        body,
    }
}
