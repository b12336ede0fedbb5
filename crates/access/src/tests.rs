use std::net::IpAddr;

use super::*;

const HERE: &str = "192.0.2.7";
const KEEP: Duration = Duration::from_secs(3600);

fn open() -> (tempfile::TempDir, Arc<Access>) {
    let folder = tempfile::tempdir().unwrap();
    let access = Access::open(folder.path(), KEEP).unwrap();
    (folder, access)
}

fn attempt(name: &str, password: &str, address: &str) -> SignIn {
    SignIn {
        name: name.into(),
        password: Password::offered(password),
        address: address.parse::<IpAddr>().unwrap(),
        browser: "Firefox".into(),
    }
}

#[tokio::test]
async fn the_first_administrator_signs_in_and_out() {
    let (_folder, access) = open();
    let failures = Failures::default();
    assert!(!access.snapshot().has_admin());
    let first = attempt("eva", "correct horse", HERE);
    let secret = access.set_up("set-up link", first.clone()).await.unwrap();
    let again = access.set_up("set-up link", first.clone()).await;
    assert!(matches!(again, Err(AccessError::AlreadySetUp)));
    let snapshot = access.snapshot();
    let (session, user) = snapshot.session(&secret.digest(), now_us()).unwrap();
    assert_eq!((user.name.as_str(), user.role), ("eva", Role::Admin));
    let id = session.id;
    access
        .run(move |store| store.end_session("eva", id))
        .await
        .unwrap();
    assert!(
        access
            .snapshot()
            .session(&secret.digest(), now_us())
            .is_none()
    );
    let wrong = access
        .sign_in(&failures, attempt("eva", "wrong", HERE))
        .await;
    assert!(matches!(wrong, Err(AccessError::WrongPassword)));
    let nobody = access
        .sign_in(&failures, attempt("nobody", "correct horse", HERE))
        .await;
    assert!(matches!(nobody, Err(AccessError::WrongPassword)));
    let secret = access
        .sign_in(&failures, attempt("Eva", "correct horse", HERE))
        .await
        .unwrap();
    assert!(
        access
            .snapshot()
            .session(&secret.digest(), now_us())
            .is_some()
    );
}

#[tokio::test]
async fn those_who_keep_failing_are_slowed_but_not_the_person_at_home() {
    let (_folder, access) = open();
    let failures = Failures::default();
    let first = attempt("eva", "correct horse", HERE);
    access.set_up("set-up link", first.clone()).await.unwrap();
    for n in 0..5 {
        let from = format!("198.51.100.{n}");
        let wrong = attempt("eva", "wrong", &from);
        let tried = access.sign_in(&failures, wrong).await;
        assert!(matches!(tried, Err(AccessError::WrongPassword)));
    }
    let elsewhere = attempt("eva", "correct horse", "203.0.113.1");
    let slowed = access.sign_in(&failures, elsewhere).await;
    assert!(matches!(slowed, Err(AccessError::TooManyFailures(_))));
    assert!(access.sign_in(&failures, first).await.is_ok());
    for name in ["a", "b", "c", "d", "e"] {
        let wrong = attempt(name, "wrong", "198.51.100.99");
        assert!(access.sign_in(&failures, wrong).await.is_err());
    }
    let other = attempt("other", "wrong", "198.51.100.99");
    let slowed = access.sign_in(&failures, other).await;
    assert!(matches!(slowed, Err(AccessError::TooManyFailures(_))));
}

#[tokio::test]
async fn a_change_by_another_process_is_noticed_within_a_second() {
    let (folder, access) = open();
    let mut changes = access.changes();
    let hash = Password::offered("correct horse").hash().unwrap();
    let mut other = Store::open(folder.path()).unwrap();
    other
        .add_user("command line", "eva", &hash, Role::Admin, &Cameras::All)
        .unwrap();
    tokio::time::timeout(Duration::from_secs(1), changes.changed())
        .await
        .expect("noticed in time")
        .unwrap();
    assert!(access.snapshot().has_admin());
}

#[tokio::test]
async fn an_agent_waits_is_accepted_by_another_process_and_gets_a_key() {
    let (folder, access) = open();
    let mut changes = access.changes();
    let address: IpAddr = HERE.parse().unwrap();
    let asking = access.ask("front", address, "1.0").unwrap();
    let rival = access.ask("front", address, "1.0").unwrap();
    assert_ne!(asking.code(), rival.code());
    while access.snapshot().waiting.len() < 2 {
        changes.changed().await.unwrap();
    }
    assert_eq!(asking.verdict(), None);
    assert!(asking.adopt().await.is_err(), "nobody has accepted it");
    let mut other = Store::open(folder.path()).unwrap();
    other
        .accept("command line", "front", Some(asking.code()))
        .unwrap();
    while asking.verdict().is_none() {
        changes.changed().await.unwrap();
    }
    assert_eq!((asking.verdict(), rival.verdict()), (Some(true), None));
    let key = asking.adopt().await.unwrap();
    assert_eq!(access.snapshot().agents["front"].key, key.digest());
    other.turn_away("command line", rival.code()).unwrap();
    while rival.verdict().is_none() {
        changes.changed().await.unwrap();
    }
    assert_eq!(rival.verdict(), Some(false));
    drop((asking, rival));
    while !access.snapshot().waiting.is_empty() {
        changes.changed().await.unwrap();
    }
}

#[tokio::test]
async fn only_so_many_agents_may_wait() {
    let (_folder, access) = open();
    let mut asking = Vec::new();
    let mut ask = |n: u8| {
        let address = IpAddr::from([192, 0, 2, n]);
        access.ask("front", address, "1.0").map(|a| asking.push(a))
    };
    for _ in 0..4 {
        ask(1).unwrap();
    }
    assert!(
        ask(1)
            .unwrap_err()
            .to_string()
            .contains("4 from one address")
    );
    for n in 0..28 {
        ask(2 + n / 4).unwrap();
    }
    assert!(ask(200).is_err());
    drop(asking);
    assert!(access.ask("front", HERE.parse().unwrap(), "1.0").is_ok());
}

#[test]
fn a_folder_is_for_one_relay() {
    let (folder, access) = open();
    let second = Access::open(folder.path(), KEEP);
    assert!(matches!(second, Err(AccessError::InUse(_))));
    drop(access);
    // The thread gives the folder back as it ends.
    let start = std::time::Instant::now();
    while Access::open(folder.path(), KEEP).is_err() {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn nothing_secret_is_printed() {
    let (_folder, access) = open();
    let first = attempt("eva", "correct horse", HERE);
    let printed = format!("{first:?}");
    let cookie = access.set_up("set-up link", first).await.unwrap();
    let token = access
        .run(|store| store.add_token("eva", "home", Role::Admin, None))
        .await
        .unwrap();
    let snapshot = access.snapshot();
    let printed = format!("{printed} {access:?} {snapshot:?} {cookie:?} {token:?}");
    for secret in ["correct horse", cookie.expose(), token.expose(), "argon2id"] {
        assert!(!printed.contains(secret), "{secret} is in {printed}");
    }
}
