//! What is open to whom: `--open`, loopback, tokens.

use std::time::Duration;

use cv_access::{Access, Cameras, Password, Role};
use cv_relay::{Config, Open, Token};
use serde_json::json;

use super::house::request;
use crate::client::{Client, Server};

/// Whether somebody without anything, and with the token, may watch and bring a camera.
async fn tried(server: &Server) -> [bool; 4] {
    let connect = async |namespace, auth| {
        Client::connect(server.address, namespace, auth)
            .await
            .is_ok()
    };
    let agent = |token: Option<&str>| {
        let mut auth = json!({"protocol": 1, "camera": "front"});
        if let Some(token) = token {
            auth["token"] = token.into();
        }
        Some(auth)
    };
    [
        connect("/web", None).await,
        connect("/cv", agent(None)).await,
        connect("/web", Some(json!({"token": "viewers"}))).await,
        connect("/cv", agent(Some("agents"))).await,
    ]
}

#[tokio::test]
async fn tokens_close_the_doors_that_are_open_and_open_those_that_are_closed() {
    for (open, tokens, expected) in [
        (Open::Everyone, false, [true, true, true, true]),
        (Open::Everyone, true, [false, false, true, true]),
        (Open::Loopback, false, [true, true, true, true]),
        (Open::Loopback, true, [false, false, true, true]),
        (Open::Nobody, false, [false, false, false, false]),
        (Open::Nobody, true, [false, false, true, true]),
    ] {
        let token = |text: &str| tokens.then(|| Token::new(text));
        let server = Server::start(Config {
            open,
            viewer_token: token("viewers"),
            agent_token: token("agents"),
            ..Config::default()
        })
        .await;
        assert_eq!(tried(&server).await, expected, "{open:?}, tokens: {tokens}");
    }
}

#[tokio::test]
async fn loopback_is_open_until_there_is_an_administrator() {
    let folder = tempfile::tempdir().unwrap();
    let access = Access::open(folder.path(), Duration::from_secs(60)).unwrap();
    let server = Server::start(Config {
        access: Some(access.clone()),
        ..Config::default()
    })
    .await;
    let mut viewer = server.viewer().await;
    let mut agent = server.agent("front").await;
    let proxied = request(
        &server,
        "GET",
        "/api/cameras",
        "X-Forwarded-For: 192.0.2.7\r\n",
        "",
    )
    .await;
    assert_eq!(proxied.status, 401, "somebody beyond this machine asks");
    let password = Password::new("correct horse").unwrap();
    access
        .add_user(
            "test".into(),
            "eva".into(),
            password,
            Role::Admin,
            Cameras::All,
        )
        .await
        .unwrap();
    viewer.event("refused").await;
    agent.event("refused").await;
    assert_eq!(tried(&server).await, [false, false, false, false]);
}

#[tokio::test]
async fn a_tutorial_client_comes_in_where_it_is_open_or_with_a_token_in_its_address() {
    let connect = async |server: &Server, query: &str| {
        Client::connect_with(server.address, "/cv", None, query, None)
            .await
            .map(|_| ())
    };
    let open = Server::start(Config {
        open: Open::Everyone,
        ..Config::default()
    })
    .await;
    assert_eq!(connect(&open, "").await, Ok(()));
    let closed = Server::start(Config {
        open: Open::Nobody,
        agent_token: Some(Token::new("agents")),
        viewer_token: Some(Token::new("viewers")),
        ..Config::default()
    })
    .await;
    assert!(connect(&closed, "").await.unwrap_err().contains("token"));
    assert!(connect(&closed, "&token=wrong").await.is_err());
    assert_eq!(connect(&closed, "&token=agents").await, Ok(()));
    let page = Client::connect_with(closed.address, "/web", None, "&token=viewers", None).await;
    assert!(page.is_ok());
    let shut = Server::start(Config {
        open: Open::Nobody,
        ..Config::default()
    })
    .await;
    let reason = connect(&shut, "").await.unwrap_err();
    assert!(
        reason.contains("--open") && reason.contains("?token="),
        "{reason}"
    );
}

#[tokio::test]
async fn what_the_page_says_to_strangers() {
    let shown = async |open| {
        let server = Server::start(Config {
            open,
            ..Config::default()
        })
        .await;
        request(&server, "GET", "/api/session", "", "").await.json()
    };
    assert_eq!(shown(Open::Everyone).await["open"], "everyone");
    assert_eq!(shown(Open::Loopback).await["open"], "this machine");
    let closed = shown(Open::Nobody).await;
    assert_eq!(
        (&closed["open"], &closed["may_watch"]),
        (&json!(null), &json!(false))
    );
    assert!(closed["lacks"].as_str().unwrap().contains("--data-dir"));
}

#[tokio::test]
async fn tokens_that_people_made_up_are_not_guessed_fast() {
    let server = Server::start(Config {
        viewer_token: Some(Token::new("viewers")),
        agent_token: Some(Token::new("agents")),
        ..Config::default()
    })
    .await;
    let status = async |token: &str| {
        let path = format!("/api/cameras?token={token}");
        request(&server, "GET", &path, "", "").await.status
    };
    for n in 0..5 {
        assert_eq!(status(&format!("guess-{n}")).await, 401);
    }
    assert_eq!(
        status("viewers").await,
        429,
        "also the right one has to wait"
    );
    let auth = json!({"protocol": 1, "camera": "front", "token": "agents"});
    let agent = Client::connect(server.address, "/cv", Some(auth)).await;
    assert!(agent.err().unwrap().contains("too many failed attempts"));
}
