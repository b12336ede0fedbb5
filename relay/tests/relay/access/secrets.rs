//! A whole run of the program, with every kind of secret: none appears in what it writes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cv-relay");
const PASSWORD: &str = "eva's secret password";
const AGENT_TOKEN: &str = "shared-agent-secret";
const VIEWER_TOKEN: &str = "shared-viewer-secret";

/// The program, running, and all it has written.
struct Running {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Running {
    fn start(folder: &std::path::Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["--port", "0", "--log-level", "trace", "--data-dir"])
            .arg(folder)
            .args(arguments)
            .env_remove("NOTIFY_SOCKET")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let written = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                written.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let mut running = Self {
            child,
            address: ([127, 0, 0, 1], 0).into(),
            log,
        };
        running.wait_for("ready\n");
        let log = running.log();
        let after = log.split("port ").nth(1).unwrap();
        let port = after.split(' ').next().unwrap().parse().unwrap();
        running.address.set_port(port);
        running
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            assert!(start.elapsed() < Duration::from_secs(20), "{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A request over a connection of its own; the whole answer.
    fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let (port, length) = (self.address.port(), body.len());
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )
        .unwrap();
        std::io::read_to_string(stream).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `cv-relay ARGUMENTS --data-dir FOLDER`; what it printed.
fn command(folder: &std::path::Path, arguments: &[&str], input: &str) -> (String, String) {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .arg("--data-dir")
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    (out, err)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_written_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let relay = Running::start(
        folder,
        &[
            "--host",
            "0.0.0.0",
            "--agent-token",
            AGENT_TOKEN,
            "--viewer-token",
            VIEWER_TOKEN,
        ],
    );
    // The set-up link is meant to be read in the log: it works once, and others do not appear.
    relay.wait_for("#set-up=cvu_");
    let log = relay.log();
    let link = log
        .split("#set-up=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();

    let mut written = String::new();
    let mut secrets = vec![
        PASSWORD.to_owned(),
        AGENT_TOKEN.to_owned(),
        VIEWER_TOKEN.to_owned(),
    ];
    let (out, err) = command(
        folder,
        &["user", "add", "--admin", "eva", "--password-stdin"],
        PASSWORD,
    );
    written += &(out + &err);
    let (token, err) = command(folder, &["token", "create", "home", "--scope", "admin"], "");
    let token = token.trim().to_owned();
    assert!(token.starts_with("cvt_"), "{token}");
    written += &err;
    secrets.push(token.clone());

    // The running relay knows them within a second.
    let start = Instant::now();
    let login = json!({"name": "eva", "password": PASSWORD}).to_string();
    let cookie = loop {
        let answer = relay.request("POST", "/api/session", "", &login);
        if let Some(rest) = answer.split("set-cookie: ").nth(1) {
            break rest.split(';').next().unwrap().to_owned();
        }
        assert!(start.elapsed() < Duration::from_secs(1), "{answer}");
    };
    secrets.push(cookie.split('=').nth(1).unwrap().to_owned());
    written += &relay.request(
        "POST",
        "/api/set-up",
        "",
        &json!({"link": link, "name": "m", "password": PASSWORD}).to_string(),
    );
    written += &relay.request(
        "POST",
        "/api/session",
        "",
        &format!("{{\"password\": \"{PASSWORD}\"}}"),
    );
    written += &relay.request(
        "POST",
        "/api/session",
        "",
        &format!("{PASSWORD} is not JSON"),
    );
    let headers = format!("Cookie: {cookie}\r\n");
    for path in [
        "/api/session",
        "/api/users",
        "/api/tokens",
        "/api/sessions",
        "/api/agents",
        "/api/audit",
        "/metrics",
        "/api/cameras",
        "/nothing",
    ] {
        let answer = relay.request("GET", path, &headers, "");
        written += &answer.replace(&format!("set-cookie: {cookie}"), "");
    }
    for offered in [&token, AGENT_TOKEN, VIEWER_TOKEN, PASSWORD] {
        written += &relay.request(
            "GET",
            &format!("/api/cameras?token={}", offered.replace(' ', "%20")),
            "",
            "",
        );
        written += &relay.request(
            "GET",
            "/snapshot/x.jpg",
            &format!("Authorization: Bearer {offered}\r\n"),
            "",
        );
    }

    // An agent is accepted on the command line, and another one refused with secrets in hand.
    let auth = json!({"protocol": 1, "camera": "front", "version": "1", "adoption": true});
    let mut agent = Client::connect(relay.address, "/cv", Some(auth))
        .await
        .unwrap();
    let code = agent.event("waiting").await.argument["code"].clone();
    let accept = [
        "agents",
        "accept",
        "front",
        "--code",
        code.as_str().unwrap(),
    ];
    let start = Instant::now();
    loop {
        let (list, _) = command(folder, &["agents", "list"], "");
        if list.contains("wants to join") {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{list}");
    }
    let (out, err) = command(folder, &accept, "");
    written += &(out + &err);
    let key = agent.event("accepted").await.argument["key"].clone();
    secrets.push(key.as_str().unwrap().to_owned());
    let with = |camera: &str, key: &Value, token: &str| {
        Some(json!({"protocol": 1, "camera": camera, "version": "1", "key": key, "token": token}))
    };
    let mut agent = Client::connect(relay.address, "/cv", with("front", &key, "x"))
        .await
        .unwrap();
    agent.event("demand").await;
    let wrong = Client::connect(
        relay.address,
        "/cv",
        with("front", &json!("cvk_x"), AGENT_TOKEN),
    )
    .await;
    written += &wrong.err().unwrap();
    let wrong = Client::connect(relay.address, "/web", Some(json!({"token": key}))).await;
    written += &wrong.err().unwrap();
    let (out, err) = command(folder, &["agents", "revoke", "front"], "");
    written += &(out + &err);
    written += &agent.event("refused").await.argument.to_string();
    for list in ["user", "token", "agents"] {
        let (out, err) = command(folder, &[list, "list"], "");
        written += &(out + &err);
    }
    written += &relay.request("GET", "/metrics", &headers, "");
    written += &relay.log();
    assert!(
        written.contains("revoked") && written.contains("cv_relay_viewers"),
        "{written}"
    );
    for secret in secrets {
        assert!(!written.contains(&secret), "{secret} is in\n{written}");
    }
    assert!(!written.contains("argon2id"));
    // The database keeps them as digests.
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for secret in [PASSWORD, &token, link, key.as_str().unwrap()] {
            assert!(!text.contains(secret), "{} in {}", secret, path.display());
        }
    }
}
