use super::*;
use crate::model::{Cameras, Role, Waiting};
use crate::password::Password;
use crate::secret::{Kind, Secret};

fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("data")).unwrap();
    (folder, store)
}

fn hash() -> crate::PasswordHashText {
    Password::offered("some password").hash().unwrap()
}

fn waiting(code: &str, name: &str) -> Waiting {
    Waiting {
        code: code.into(),
        name: name.into(),
        address: "192.0.2.7".into(),
        version: "1".into(),
        since_us: 5,
        accepted_by: None,
        refused: false,
    }
}

#[test]
fn folder_and_file_are_private_and_open_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, store) = open();
    let mode = |path: &str| {
        let metadata = fs::metadata(folder.path().join(path)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!((mode("data"), mode("data/access.db")), (0o700, 0o600));
    store
        .db
        .pragma_update(None, "user_version", MIGRATIONS.len() as i64 + 1)
        .unwrap();
    drop(store);
    let error = Store::open(&folder.path().join("data")).unwrap_err();
    assert!(matches!(error, AccessError::TooNew { .. }), "{error}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Store::open(file.path()).unwrap_err().to_string();
    assert!(
        error.contains(&file.path().display().to_string()),
        "{error}"
    );
}

#[test]
fn another_connection_sees_a_change_by_its_version() {
    let (folder, mut store) = open();
    let before = store.version().unwrap();
    let mut other = Store::open(&folder.path().join("data")).unwrap();
    other
        .add_user("command line", "eva", &hash(), Role::Admin, &Cameras::All)
        .unwrap();
    assert_ne!(store.version().unwrap(), before);
    assert!(store.snapshot().unwrap().has_admin());
}

#[test]
fn there_is_always_an_administrator_left() {
    let (_folder, mut store) = open();
    store.add_first_admin("link", "eva", &hash()).unwrap();
    let again = store.add_first_admin("link", "bob", &hash());
    assert!(matches!(again, Err(AccessError::AlreadySetUp)));
    let only = store.remove_user("eva", "eva");
    assert!(matches!(only, Err(AccessError::LastAdministrator(_))));
    let only = store.set_rights("eva", "eva", Role::Viewer, &Cameras::All);
    assert!(matches!(only, Err(AccessError::LastAdministrator(_))));
    let taken = store.add_user("eva", "EVA", &hash(), Role::Viewer, &Cameras::All);
    assert!(matches!(taken, Err(AccessError::Exists { .. })));
    store
        .add_user("eva", "bob", &hash(), Role::Admin, &Cameras::All)
        .unwrap();
    store.remove_user("bob", "eva").unwrap();
    let log: Vec<_> = store
        .audit(None, 10)
        .unwrap()
        .into_iter()
        .map(|line| format!("{} {} {}", line.actor, line.action, line.subject))
        .collect();
    assert_eq!(
        log,
        [
            "bob user removed eva",
            "eva administrator added bob",
            "link first administrator added eva"
        ]
    );
}

#[test]
fn a_new_password_ends_other_sessions_and_a_removed_user_all() {
    let (_folder, mut store) = open();
    let id = store.add_first_admin("link", "eva", &hash()).unwrap();
    let secrets: Vec<_> = (0..3)
        .map(|_| Secret::generate(Kind::Session).unwrap().digest())
        .collect();
    for secret in &secrets {
        store.start_session(id, secret, "::1", "Firefox").unwrap();
    }
    let kept = store.snapshot().unwrap().sessions[&secrets[1]].id;
    store
        .set_password("eva", "eva", &hash(), Some(kept))
        .unwrap();
    let left = store.snapshot().unwrap().sessions;
    assert_eq!(left.len(), 1);
    assert!(left.contains_key(&secrets[1]));
    store
        .add_user("eva", "bob", &hash(), Role::Admin, &Cameras::All)
        .unwrap();
    store.remove_user("bob", "eva").unwrap();
    assert!(store.snapshot().unwrap().sessions.is_empty());
}

#[test]
fn sessions_of_one_person_are_bounded_and_end_by_age() {
    let (_folder, mut store) = open();
    let id = store.add_first_admin("link", "eva", &hash()).unwrap();
    let start = |store: &mut Store| {
        let secret = Secret::generate(Kind::Session).unwrap().digest();
        store.start_session(id, &secret, "::1", "x").unwrap();
        secret
    };
    let first = start(&mut store);
    for _ in 0..50 {
        start(&mut store);
    }
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.sessions.len(), 50);
    assert!(!snapshot.sessions.contains_key(&first));
    let last = start(&mut store);
    let snapshot = store.snapshot().unwrap();
    let now = crate::now_us();
    let month = 30 * 24 * 3_600_000_000;
    assert!(snapshot.session(&last, now).is_some());
    assert!(snapshot.session(&last, now + month - 60_000_000).is_some());
    assert!(snapshot.session(&last, now + month).is_none());
    store
        .db
        .execute("UPDATE sessions SET seen_us = 1", [])
        .unwrap();
    store.prune(Duration::from_secs(3600)).unwrap();
    assert!(store.snapshot().unwrap().sessions.is_empty());
}

#[test]
fn tokens_are_stored_as_digests_and_expire() {
    let (folder, mut store) = open();
    let secret = store
        .add_token(
            "eva",
            "home",
            Role::Viewer,
            Some(crate::now_us() + 1_000_000_000),
        )
        .unwrap();
    let snapshot = store.snapshot().unwrap();
    let token = snapshot.token(&secret.digest(), crate::now_us()).unwrap();
    assert_eq!((token.name.as_str(), token.scope), ("home", Role::Viewer));
    assert!(
        snapshot
            .token(&secret.digest(), crate::now_us() + 2_000_000_000)
            .is_none()
    );
    let taken = store.add_token("eva", "Home", Role::Admin, None);
    assert!(matches!(taken, Err(AccessError::Exists { .. })));
    store.revoke_token("eva", "home").unwrap();
    assert!(store.snapshot().unwrap().tokens.is_empty());
    drop(store);
    for entry in fs::read_dir(folder.path().join("data")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let needle = secret.expose().as_bytes();
        assert!(!bytes.windows(needle.len()).any(|part| part == needle));
    }
}

#[test]
fn of_two_agents_with_one_name_the_code_says_which() {
    let (_folder, mut store) = open();
    let list = [waiting("1111", "front"), waiting("2222", "front")];
    store.set_waiting(&list).unwrap();
    let error = store.accept("eva", "front", None).unwrap_err().to_string();
    assert!(error.contains("1111") && error.contains("2222"), "{error}");
    assert!(store.accept("eva", "front", Some("3333")).is_err());
    assert!(store.accept("eva", "back", Some("1111")).is_err());
    store.accept("eva", "front", Some("2222")).unwrap();
    store.turn_away("eva", "1111").unwrap();
    // What has been decided stays so when the relay writes its list again.
    store.set_waiting(&list).unwrap();
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.waiting["2222"].accepted_by.as_deref(), Some("eva"));
    assert!(snapshot.waiting["1111"].refused);

    let key = Secret::generate(Kind::AgentKey).unwrap().digest();
    assert!(store.adopt("1111", &key).is_err(), "it was turned away");
    store.adopt("2222", &key).unwrap();
    assert!(store.adopt("2222", &key).is_err(), "once only");
    let agent = store.snapshot().unwrap().agents["front"].clone();
    assert_eq!((agent.key, agent.accepted_by.as_str()), (key, "eva"));

    store.revoke_agent("eva", "front").unwrap();
    assert!(
        store.snapshot().unwrap().agents["front"]
            .revoked_us
            .is_some()
    );
    assert!(store.revoke_agent("eva", "front").is_err());
    store.accept("eva", "front", None).unwrap();
    assert_eq!(store.snapshot().unwrap().agents["front"].revoked_us, None);
    store.remove_agent("eva", "front").unwrap();
    assert!(store.snapshot().unwrap().agents.is_empty());
    store.set_waiting(&[]).unwrap();
    assert!(store.snapshot().unwrap().waiting.is_empty());
}

#[test]
fn the_audit_log_is_paged_and_kept_for_its_time() {
    let (_folder, mut store) = open();
    for n in 0..5 {
        store.note("eva", "rule changed", &n.to_string()).unwrap();
    }
    let page = store.audit(None, 2).unwrap();
    assert_eq!((page[0].subject.as_str(), page.len()), ("4", 2));
    let next = store.audit(Some(page[1].id), 10).unwrap();
    assert_eq!((next[0].subject.as_str(), next.len()), ("2", 3));
    store
        .db
        .execute("UPDATE audit SET at_us = 1 WHERE id <= 4", [])
        .unwrap();
    store.prune(Duration::from_secs(3600)).unwrap();
    assert_eq!(store.audit(None, 10).unwrap().len(), 1);
}

#[test]
fn the_key_of_links_is_kept() {
    let (folder, mut store) = open();
    let signed = store.link_key().unwrap().sign("/x", 9);
    let mut again = Store::open(&folder.path().join("data")).unwrap();
    assert_eq!(again.link_key().unwrap().sign("/x", 9), signed);
}
