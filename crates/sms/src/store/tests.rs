use iexec_protocol::{Address, B256, call::sms::SecretId, id::TaskId, key::SigningKey, session::SecretText};

use super::*;
use crate::{secret::approve, vault::VaultError};

fn owner() -> SigningKey {
    SigningKey::from_bytes(&[5; 32]).unwrap()
}

fn web2(name: &str) -> SecretId {
    SecretId::Web2 { owner: owner().address(), name: name.into() }
}

async fn create(store: &Store, id: &SecretId, value: &str) -> Created {
    let value = SecretText::new(value);
    let signature = owner().sign_personal(id.challenge(value.expose())).unwrap();
    store.create_secret(approve(id, &value, &signature, owner().address()).unwrap()).await.unwrap()
}

async fn update(store: &Store, id: &SecretId, value: &str) -> Updated {
    let value = SecretText::new(value);
    let signature = owner().sign_personal(id.challenge(value.expose())).unwrap();
    store.update_secret(approve(id, &value, &signature, owner().address()).unwrap()).await.unwrap()
}

async fn text(store: &Store, id: &SecretId) -> String {
    store.secret(id).await.unwrap().unwrap().expose().to_owned()
}

#[tokio::test]
async fn a_secret_survives_a_restart_and_its_text_is_nowhere_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::folder(folder.path())).await.unwrap();
    assert_eq!(create(&store, &web2("Name"), "planted-value").await, Created::Kept);
    assert_eq!(create(&store, &web2("name"), "another").await, Created::Exists);
    store.close().await;
    let store = Store::open(&Location::folder(folder.path())).await.unwrap();
    assert_eq!(text(&store, &web2("NAME")).await, "planted-value");
    assert!(!store.has_secret(&web2("other")).await.unwrap());
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(13).any(|window| window == b"planted-value"));
    }
}

#[tokio::test]
async fn values_swapped_between_rows_do_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::folder(folder.path())).await.unwrap();
    create(&store, &web2("a"), "of a").await;
    create(&store, &web2("b"), "of b").await;
    let swap = "UPDATE secret SET sealed = (SELECT sealed FROM secret AS s WHERE s.name = 'b') WHERE name = 'a'";
    let mut db = store.engine.connect().await.unwrap();
    sqlx::query(swap).execute(&mut db).await.unwrap();
    let error = store.secret(&web2("a")).await.unwrap_err();
    assert!(matches!(error, StoreError::Vault { table: "secret", source: VaultError::Open }), "{error}");
    assert_eq!(text(&store, &web2("b")).await, "of b");
}

#[tokio::test]
async fn the_kinds_of_secrets_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::folder(folder.path())).await.unwrap();
    create(&store, &web2("k"), "web2's").await;
    let requester = SecretId::Requester { requester: owner().address(), key: "k".into() };
    assert!(!store.has_secret(&requester).await.unwrap());
    create(&store, &requester, "the requester's").await;
    assert_eq!(
        (text(&store, &web2("k")).await, text(&store, &requester).await),
        ("web2's".into(), "the requester's".into())
    );
}

#[tokio::test]
async fn an_update_never_brings_an_older_value_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::folder(folder.path())).await.unwrap();
    assert_eq!(update(&store, &web2("a"), "first").await, Updated::Absent);
    create(&store, &web2("a"), "first").await;
    assert_eq!(update(&store, &web2("a"), "first").await, Updated::Kept);
    assert_eq!(update(&store, &web2("a"), "second").await, Updated::Kept);
    assert_eq!(update(&store, &web2("a"), "second").await, Updated::Kept);
    assert_eq!(update(&store, &web2("a"), "first").await, Updated::Returned);
    assert_eq!(text(&store, &web2("a")).await, "second");
    create(&store, &web2("b"), "b's first").await;
    assert_eq!(update(&store, &web2("b"), "first").await, Updated::Kept);
}

#[tokio::test]
async fn another_or_a_missing_master_key_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(MASTER_KEY);
    let close = async |store: Store| store.close().await;
    close(Store::open(&Location::folder(folder.path())).await.unwrap()).await;
    let original = std::fs::read_to_string(&path).unwrap();
    assert_eq!(original.trim().len(), 64);
    for (text, words) in [
        (format!("{}\n", "00".repeat(32)), "but the store's data keys are wrapped under file-"),
        ("short".to_owned(), "must be 64 hex digits"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = format!("{:#}", Store::open(&Location::folder(folder.path())).await.err().unwrap());
        assert!(error.contains("the master key") && error.contains(words), "{error}");
    }
    std::fs::remove_file(&path).unwrap();
    let error = format!("{:#}", Store::open(&Location::folder(folder.path())).await.err().unwrap());
    assert!(error.contains("is missing") && error.contains("hint: restore"), "{error}");
    assert!(!path.exists());
    crate::private_file::create(&path, original.as_bytes()).unwrap();
    close(Store::open(&Location::folder(folder.path())).await.unwrap()).await;
}

#[tokio::test]
async fn many_who_ask_at_once_get_one_challenge() {
    let folder = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(Store::open(&Location::folder(folder.path())).await.unwrap());
    let task = TaskId(B256::repeat_byte(1));
    let asking = (1..=16u8).map(|byte| {
        let store = std::sync::Arc::clone(&store);
        let fresh = SigningKey::from_bytes(&[byte; 32]).unwrap();
        tokio::spawn(async move { store.challenge_or(task, fresh, 10).await.unwrap().address() })
    });
    let mut answers = Vec::<Address>::new();
    for asked in asking.collect::<Vec<_>>() {
        answers.push(asked.await.unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(store.challenge(task).await.unwrap().unwrap().address(), answers[0]);
}

#[tokio::test]
async fn a_challenge_moved_to_another_task_does_not_open_and_ended_ones_are_purged() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::folder(folder.path())).await.unwrap();
    let (ended, living) = (TaskId(B256::repeat_byte(1)), TaskId(B256::repeat_byte(2)));
    for (task, deadline) in [(ended, 10), (living, u64::MAX)] {
        store.challenge_or(task, owner(), deadline).await.unwrap();
    }
    assert_eq!(store.purge(11).await.unwrap(), 1);
    assert!(store.challenge(ended).await.unwrap().is_none());
    assert!(store.challenge(living).await.unwrap().is_some());
    let moved = sqlx::query("UPDATE challenge SET task = $1").bind(ended.as_bytes().as_slice());
    moved.execute(&mut store.engine.connect().await.unwrap()).await.unwrap();
    assert!(matches!(store.challenge(ended).await, Err(StoreError::Vault { table: "challenge", .. })));
}
