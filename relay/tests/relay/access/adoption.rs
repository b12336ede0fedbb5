//! Agents: waiting, being accepted, keeping the name, being revoked.

use std::time::{Duration, Instant};

use cv_access::Store;
use serde_json::{Value, json};

use super::house::House;
use crate::client::Client;

async fn ask(house: &House, camera: &str) -> (Client, String) {
    let auth = json!({"protocol": 1, "camera": camera, "version": "9", "adoption": true});
    let mut agent = Client::connect(house.server.address, "/cv", Some(auth))
        .await
        .unwrap();
    let waiting = agent.event("waiting").await.argument;
    (agent, waiting["code"].as_str().unwrap().to_owned())
}

async fn with_key(house: &House, camera: &str, key: &Value) -> Result<Client, String> {
    let auth = json!({"protocol": 1, "camera": camera, "version": "9", "key": key});
    Client::connect(house.server.address, "/cv", Some(auth)).await
}

/// Waits until the list of agents that wait is told to an administrator's page with these codes.
async fn listed(page: &mut Client, codes: &[&str]) -> Value {
    loop {
        let list = page.event("waiting").await.argument;
        let all = list.as_array().unwrap();
        if all.len() == codes.len()
            && all
                .iter()
                .all(|w| codes.contains(&w["code"].as_str().unwrap()))
        {
            return list;
        }
    }
}

#[tokio::test]
async fn of_two_agents_that_claim_a_name_the_accepted_one_gets_it() {
    let house = House::build().await;
    let eva = house.cookie("eva").await;
    let mut page = house.web(&eva).await.unwrap();
    let (mut first, first_code) = ask(&house, "yard").await;
    let (mut second, second_code) = ask(&house, "yard").await;
    let list = listed(&mut page, &[&first_code, &second_code]).await;
    assert_eq!(list[0]["name"], "yard");
    assert_eq!(
        (&list[0]["replaces"], &list[0]["version"]),
        (&json!(false), &json!("9"))
    );
    let which = json!({"name": "yard"});
    let several = house.send(&eva, "POST", "/api/agents/accept", which).await;
    assert_eq!(several.status, 400);
    assert!(several.body.contains(&second_code), "{}", several.body);
    let which = json!({"name": "yard", "code": second_code});
    let accepted = house.send(&eva, "POST", "/api/agents/accept", which).await;
    assert_eq!(accepted.status, 204, "{}", accepted.body);
    let key = second.event("accepted").await.argument["key"].clone();
    second.closed().await;
    assert!(first.stays_without("accepted").await);

    let mut agent = with_key(&house, "yard", &key).await.unwrap();
    agent.event("demand").await;
    agent.frame(0).await;
    agent.event("ack").await;
    // The key is for this name alone, and the name for this key.
    let other = with_key(&house, "garden", &key).await;
    assert!(other.err().unwrap().contains("accept this agent first"));
    let wrong = with_key(&house, "yard", &json!("cvk_wrong")).await;
    assert!(wrong.err().unwrap().contains("belongs to another agent"));
    let (mut rival, rival_code) = ask(&house, "yard").await;
    let list = listed(&mut page, &[&first_code, &rival_code]).await;
    assert_eq!(list[1]["replaces"], true);
    agent.frame(1).await;
    agent.event("ack").await;

    let refuse = json!({"code": rival_code});
    assert_eq!(
        house
            .send(&eva, "POST", "/api/agents/refuse", refuse)
            .await
            .status,
        204
    );
    let reason = rival.event("refused").await.argument.to_string();
    assert!(reason.contains("turned"), "{reason}");
    rival.closed().await;
}

#[tokio::test]
async fn a_revoked_agent_is_out_within_a_second_and_another_process_can_do_it() {
    let house = House::build().await;
    let mut front = house.front().await;
    front.frame(0).await;
    front.event("ack").await;
    let mut store = Store::open(house.folder.path()).unwrap();
    store.revoke_agent("command line", "front").unwrap();
    let start = Instant::now();
    let reason = front.event("refused").await.argument.to_string();
    assert!(reason.contains("revoked"), "{reason}");
    front.closed().await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    let key = json!(house.front_key.expose());
    let again = with_key(&house, "front", &key).await;
    assert!(again.err().unwrap().contains("revoked"));
    store.accept("command line", "front", None).unwrap();
    let start = Instant::now();
    while with_key(&house, "front", &key).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test]
async fn accepting_another_agent_for_a_name_takes_it_from_the_first() {
    let house = House::build().await;
    let mut front = house.front().await;
    let (mut other, code) = ask(&house, "front").await;
    let eva = house.cookie("eva").await;
    let which = json!({"name": "front", "code": code});
    let mut status = 404;
    // Its row is written a moment after it has been told to wait.
    while status == 404 {
        status = house
            .send(&eva, "POST", "/api/agents/accept", which.clone())
            .await
            .status;
    }
    assert_eq!(status, 204);
    let key = other.event("accepted").await.argument["key"].clone();
    front.event("refused").await;
    front.closed().await;
    with_key(&house, "front", &key).await.unwrap();
}

#[tokio::test]
async fn an_agent_that_cannot_wait_is_told_what_to_do() {
    let house = House::build().await;
    let auth = json!({"protocol": 1, "camera": "yard", "version": "0.1.0"});
    let refused = Client::connect(house.server.address, "/cv", Some(auth)).await;
    let reason = refused.err().unwrap();
    assert!(
        reason.contains("update it") && reason.contains("--agent-token"),
        "{reason}"
    );
}
