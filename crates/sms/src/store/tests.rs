//! Tests of the store; those in [`on_both!`] run on `SQLite` and on PostgreSQL.

mod admin;
mod audit;
mod faults;
mod postgres;
mod replicas;
mod schema_1;

use std::sync::Arc;

use iexec_protocol::{Address, B256, call::sms::SecretId, id::TaskId, key::SigningKey, session::SecretText};
use sqlx::AnyConnection;
use tempfile::TempDir;

use super::*;
use crate::{
    secret::{Approved, Signed},
    vault::VaultError,
};
use postgres::Cluster;

/// Each test twice: once in `sqlite`, once in `postgres`.
macro_rules! on_both {
    ($(async fn $name:ident($rig:ident: Rig) $body:block)*) => {
        $(async fn $name($rig: Rig) $body)*

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Rig::sqlite()).await;
            })*
        }

        mod postgres_server {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                if let Some(rig) = super::Rig::postgres() {
                    super::$name(rig).await;
                }
            })*
        }
    };
}
use on_both;

/// A place for a store.
struct Rig {
    folder: TempDir,
    at: Location,
}

impl Rig {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { at: Location::folder(folder.path()), folder }
    }

    fn postgres() -> Option<Self> {
        Cluster::shared().map(Self::on)
    }

    fn on(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { at: Location { database: Some(cluster.database()), ..Location::folder(folder.path()) }, folder }
    }

    async fn open(&self) -> Store {
        Store::open(&self.at).await.unwrap()
    }

    /// Another place of the same engine.
    fn fresh(&self) -> Self {
        if self.at.database.is_some() { Self::postgres().unwrap() } else { Self::sqlite() }
    }
}

/// A connection to tamper with.
async fn db(store: &Store) -> AnyConnection {
    store.engine.connect().await.unwrap()
}

fn owner() -> SigningKey {
    SigningKey::from_bytes(&[5; 32]).unwrap()
}

fn web2(name: &str) -> SecretId {
    SecretId::Web2 { owner: owner().address(), name: name.into() }
}

fn requester(name: &str) -> SecretId {
    SecretId::Requester { requester: owner().address(), key: name.into() }
}

fn approved<'a>(id: &'a SecretId, value: &'a SecretText) -> Approved<'a> {
    let signature = owner().sign_personal(id.challenge(value.expose())).unwrap();
    Signed::challenge(id, value, &signature).unwrap().approve(owner().address()).unwrap()
}

async fn try_create(store: &Store, id: &SecretId, value: &str) -> Result<Created, StoreError> {
    let value = SecretText::new(value);
    store.create_secret(approved(id, &value)).await
}

async fn create(store: &Store, id: &SecretId, value: &str) -> Created {
    try_create(store, id, value).await.unwrap()
}

async fn update(store: &Store, id: &SecretId, value: &str) -> Updated {
    let value = SecretText::new(value);
    store.update_secret(approved(id, &value)).await.unwrap()
}

async fn put(store: &Store, id: &SecretId, value: &str, fence: Fence) -> Put {
    let value = SecretText::new(value);
    store.put_secret(approved(id, &value), fence).await.unwrap()
}

fn fence(nonce: u8, version: u64) -> Fence {
    Fence { signer: owner().address(), nonce: B256::repeat_byte(nonce), deadline: 100, version }
}

async fn text(store: &Store, id: &SecretId) -> String {
    store.secret(id).await.unwrap().unwrap().expose().to_owned()
}

fn task(byte: u8) -> TaskId {
    TaskId(B256::repeat_byte(byte))
}

on_both! {
    async fn a_secret_survives_a_restart(rig: Rig) {
        let store = rig.open().await;
        assert_eq!(create(&store, &web2("Name"), "planted-value").await, Created::Kept);
        assert_eq!(create(&store, &web2("name"), "another").await, Created::Exists);
        store.close().await;
        let store = rig.open().await;
        assert_eq!(text(&store, &web2("NAME")).await, "planted-value");
        assert!(store.has_secret(&web2("name")).await.unwrap());
        assert!(!store.has_secret(&web2("other")).await.unwrap());
        store.check().await.unwrap();
    }

    async fn values_swapped_between_rows_do_not_open(rig: Rig) {
        let store = rig.open().await;
        create(&store, &web2("a"), "of a").await;
        create(&store, &web2("b"), "of b").await;
        let swap = "UPDATE secret SET sealed = (SELECT sealed FROM secret AS s WHERE s.name = 'b') WHERE name = 'a'";
        sqlx::query(swap).execute(&mut db(&store).await).await.unwrap();
        let error = store.secret(&web2("a")).await.unwrap_err();
        assert!(matches!(error, StoreError::Vault { table: "secret", source: VaultError::Open }), "{error}");
        assert!(!error.is_unavailable());
        assert_eq!(text(&store, &web2("b")).await, "of b");
    }

    async fn the_kinds_of_secrets_do_not_mix(rig: Rig) {
        let store = rig.open().await;
        create(&store, &web2("k"), "web2's").await;
        assert!(!store.has_secret(&requester("k")).await.unwrap());
        create(&store, &requester("k"), "the requester's").await;
        assert_eq!(text(&store, &web2("k")).await, "web2's");
        assert_eq!(text(&store, &requester("k")).await, "the requester's");
    }

    async fn an_update_never_brings_an_older_value_back(rig: Rig) {
        let store = rig.open().await;
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

    async fn a_deleted_secret_keeps_its_version_and_what_it_was(rig: Rig) {
        let store = rig.open().await;
        let id = web2("a");
        assert_eq!(put(&store, &id, "first", fence(1, 0)).await, Put::Kept(1));
        assert_eq!(store.delete_secret(&id, fence(2, 7)).await.unwrap(), Deleted::Version(1));
        assert_eq!(store.delete_secret(&id, fence(3, 1)).await.unwrap(), Deleted::Gone(2));
        assert_eq!(store.delete_secret(&id, fence(4, 2)).await.unwrap(), Deleted::Absent);
        assert!(!store.has_secret(&id).await.unwrap());
        assert!(store.secret(&id).await.unwrap().is_none());
        assert_eq!(create(&store, &id, "first").await, Created::Returned);
        assert_eq!(create(&store, &id, "second").await, Created::Kept);
        assert_eq!(put(&store, &id, "first", fence(5, 3)).await, Put::Kept(4));
        let listed = store.list_secrets(owner().address(), None, 10).await.unwrap();
        assert_eq!(listed.iter().map(|one| (one.name.as_str(), one.version, one.deleted)).collect::<Vec<_>>(), [("a", 4, false)]);
    }

    async fn a_put_counts_once_and_for_the_version_that_its_signer_saw(rig: Rig) {
        let store = rig.open().await;
        let id = requester("a");
        assert_eq!(put(&store, &id, "v", fence(1, 1)).await, Put::Version(0));
        // Whatever became of it, the nonce is used up.
        assert_eq!(put(&store, &id, "v", fence(1, 0)).await, Put::NonceUsed);
        assert_eq!(put(&store, &id, "v", fence(2, 0)).await, Put::Kept(1));
        assert_eq!(put(&store, &id, "w", fence(2, 1)).await, Put::NonceUsed);
        assert_eq!(put(&store, &id, "w", fence(3, 0)).await, Put::Version(1));
        assert_eq!(text(&store, &id).await, "v");
        assert_eq!(store.delete_secret(&id, fence(2, 1)).await.unwrap(), Deleted::NonceUsed);
        assert!(store.use_nonce(owner().address(), B256::repeat_byte(9), 100).await.unwrap());
        assert!(!store.use_nonce(owner().address(), B256::repeat_byte(9), 100).await.unwrap());
        assert!(store.use_nonce(Address::ZERO, B256::repeat_byte(9), 100).await.unwrap());
        // After the deadline the request is refused for its deadline, so the nonce may be forgotten.
        store.purge(101).await.unwrap();
        assert!(store.use_nonce(owner().address(), B256::repeat_byte(9), 100).await.unwrap());
    }

    async fn an_owner_has_a_quota_and_leaves_no_endless_trail(rig: Rig) {
        let store = rig.open().await.with_quota(2);
        for (name, kept) in [("a", Created::Kept), ("b", Created::Kept), ("c", Created::Full)] {
            assert_eq!(create(&store, &web2(name), "v").await, kept, "{name}");
        }
        assert_eq!(put(&store, &requester("c"), "v", fence(1, 0)).await, Put::Full);
        assert_eq!(update(&store, &web2("a"), "w").await, Updated::Kept);
        assert_eq!(store.count_secrets(owner().address()).await.unwrap(), 2);
        store.delete_secret(&web2("a"), fence(2, 2)).await.unwrap();
        assert_eq!(store.count_secrets(owner().address()).await.unwrap(), 1);
        for round in 0..18 {
            let id = web2(&format!("n{round}"));
            assert_eq!(create(&store, &id, "v").await, Created::Kept, "{round}");
            store.delete_secret(&id, fence(10 + round, 1)).await.unwrap();
        }
        assert_eq!(create(&store, &web2("one more"), "v").await, Created::Full);
        assert_eq!(create(&store, &web2("a"), "x").await, Created::Kept);
    }

    async fn a_list_is_of_one_owner_in_order_and_in_pages(rig: Rig) {
        let store = rig.open().await;
        for name in ["b", "a", "c"] {
            create(&store, &web2(name), "v").await;
            create(&store, &requester(name), "w").await;
        }
        create(&store, &SecretId::Web3 { asset: Address::repeat_byte(1) }, "v").await;
        let page = async |after| store.list_secrets(owner().address(), after, 4).await.unwrap();
        let names = |page: &[Listed]| page.iter().map(|one| format!("{} {}", one.kind, one.name)).collect::<Vec<_>>();
        let first = page(None).await;
        assert_eq!(names(&first), ["requester a", "requester b", "requester c", "web2 a"]);
        assert_eq!(names(&page(Some(("web2", "a"))).await), ["web2 b", "web2 c"]);
        assert!(first[0].created > 0 && first[0].created == first[0].updated);
    }

    async fn another_or_a_missing_key_stops_the_start(rig: Rig) {
        let path = rig.folder.path().join(MASTER_KEY);
        rig.open().await.close().await;
        let original = std::fs::read_to_string(&path).unwrap();
        assert_eq!(original.trim().len(), 64);
        for (text, words) in [
            (format!("{}\n", "00".repeat(32)), "but the store's data keys are wrapped under file-"),
            ("short".to_owned(), "must be 64 hex digits"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = format!("{:#}", Store::open(&rig.at).await.err().unwrap());
            assert!(error.contains("the master key") && error.contains(words), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        let error = format!("{:#}", Store::open(&rig.at).await.err().unwrap());
        assert!(error.contains("is missing") && error.contains("hint: restore"), "{error}");
        assert!(!path.exists());
        crate::private_file::create(&path, original.as_bytes()).unwrap();
        rig.open().await.close().await;
    }

    async fn a_passphrase_opens_the_store_and_another_does_not(rig: Rig) {
        let path = rig.folder.path().join("passphrase");
        crate::private_file::create(&path, b"correct horse\n").unwrap();
        let at = Location { kek: KekSource::Passphrase(path.clone()), ..rig.at.clone() };
        let store = Store::open(&at).await.unwrap();
        create(&store, &web2("a"), "v").await;
        store.close().await;
        assert!(!rig.folder.path().join(MASTER_KEY).exists());
        let store = Store::open(&at).await.unwrap();
        assert_eq!(text(&store, &web2("a")).await, "v");
        store.close().await;
        std::fs::write(&path, "battery staple\n").unwrap();
        let error = format!("{:#}", Store::open(&at).await.err().unwrap());
        assert!(error.contains("opens none of the store's keys"), "{error}");
        assert!(!error.contains("battery"), "{error}");
    }

    async fn many_who_ask_at_once_get_one_challenge(rig: Rig) {
        let store = Arc::new(rig.open().await);
        let asking = (1..=16u8).map(|byte| {
            let store = Arc::clone(&store);
            let fresh = SigningKey::from_bytes(&[byte; 32]).unwrap();
            tokio::spawn(async move { store.challenge_or(task(1), &fresh, 10).await.unwrap().address() })
        });
        let mut answers = Vec::<Address>::new();
        for asked in asking.collect::<Vec<_>>() {
            answers.push(asked.await.unwrap());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(store.challenge(task(1)).await.unwrap().unwrap().address(), answers[0]);
    }

    async fn a_challenge_moved_to_another_task_does_not_open_and_ended_ones_are_purged(rig: Rig) {
        let store = rig.open().await;
        let (ended, living) = (task(1), task(2));
        for (task, deadline) in [(ended, 10), (living, u64::MAX)] {
            store.challenge_or(task, &owner(), deadline).await.unwrap();
        }
        assert_eq!(store.purge(11).await.unwrap(), 1);
        assert!(store.challenge(ended).await.unwrap().is_none());
        assert!(store.challenge(living).await.unwrap().is_some());
        let moved = sqlx::query("UPDATE challenge SET task = $1").bind(ended.as_bytes().as_slice());
        moved.execute(&mut db(&store).await).await.unwrap();
        assert!(matches!(store.challenge(ended).await, Err(StoreError::Vault { table: "challenge", .. })));
    }

    async fn writes_share_commits_and_one_that_fails_takes_no_other_with_it(rig: Rig) {
        let store = Arc::new(rig.open().await);
        create(&store, &web2("broken"), "v").await;
        let spoil = "UPDATE secret SET sealed = key_blob.sealed FROM (SELECT sealed FROM challenge) AS key_blob";
        store.challenge_or(task(1), &owner(), 10).await.unwrap();
        sqlx::query(spoil).execute(&mut db(&store).await).await.unwrap();
        let writing = (0..200).map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                if number == 100 {
                    let (id, value) = (web2("broken"), SecretText::new("w"));
                    let approved = approved(&id, &value);
                    return store.update_secret(approved).await.map(|_| Created::Exists);
                }
                try_create(&store, &web2(&format!("n{number}")), "v").await
            })
        });
        for (number, written) in writing.collect::<Vec<_>>().into_iter().enumerate() {
            match written.await.unwrap() {
                Ok(kept) => assert_eq!(kept, Created::Kept, "{number}"),
                Err(error) => assert!(number == 100 && matches!(error, StoreError::Vault { .. }), "{number}: {error}"),
            }
        }
        assert_eq!(store.count_secrets(owner().address()).await.unwrap(), 200);
    }
}

#[tokio::test]
async fn the_text_of_a_secret_is_nowhere_on_disk() {
    let rig = Rig::sqlite();
    let store = rig.open().await;
    create(&store, &web2("name"), "planted-value").await;
    for _ in 0..2 {
        for file in std::fs::read_dir(rig.folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(13).any(|window| window == b"planted-value"));
        }
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&mut db(&store).await).await.unwrap();
    }
}
