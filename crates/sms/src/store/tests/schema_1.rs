//! A store of schema 1, as the SMS wrote it before it had data keys, is migrated.

use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use super::*;
use crate::vault::{self, Key, Row, Vault};
use zeroize::Zeroizing;

/// Writes what schema 1 was.
async fn schema_1(rig: &Rig) -> TaskId {
    let master = Key(Zeroizing::new([7; 32]));
    let text = format!("{}\n", const_hex::encode([7; 32]));
    crate::private_file::create(&rig.folder.path().join(MASTER_KEY), text.as_bytes()).unwrap();
    let values = Vault::new(&master.derive(b"iexec sms values v1"));
    let marks = master.derive(b"iexec sms marks v1");
    let options = SqliteConnectOptions::new().filename(rig.folder.path().join(DATABASE)).create_if_missing(true);
    let mut db = options.connect().await.unwrap();
    sqlx::raw_sql(include_str!("../../../schema/sqlite/1.sql")).execute(&mut db).await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 1").execute(&mut db).await.unwrap();
    let check = values.seal(&Row::new("master_key", &[b"1"]), b"iexec sms master key v1").unwrap();
    sqlx::query("INSERT INTO master_key VALUES (1, ?)").bind(check).execute(&mut db).await.unwrap();
    let owner = owner().address();
    let place = Row::new("secret", &[b"web2", owner.as_slice(), b"name"]);
    let sealed = values.seal(&place, b"second").unwrap();
    let insert = "INSERT INTO secret VALUES ('web2', ?, 'name', ?)";
    sqlx::query(insert).bind(owner.as_slice()).bind(sealed).execute(&mut db).await.unwrap();
    for value in [b"first".as_slice(), b"second"] {
        let insert = "INSERT INTO secret_mark VALUES ('web2', ?, 'name', ?)";
        let mark = vault::mark(&marks, &place, value);
        sqlx::query(insert).bind(owner.as_slice()).bind(mark).execute(&mut db).await.unwrap();
    }
    let task = task(4);
    let key = SigningKey::from_bytes(&[9; 32]).unwrap();
    let sealed = values.seal(&Row::new("challenge", &[task.as_bytes().as_slice()]), key.expose().as_slice()).unwrap();
    let insert = "INSERT INTO challenge VALUES (?, ?, 99)";
    sqlx::query(insert).bind(task.as_bytes().as_slice()).bind(sealed).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    task
}

async fn check(store: &Store, task: TaskId) {
    assert_eq!(text(store, &web2("name")).await, "second");
    assert_eq!(update(store, &web2("name"), "first").await, Updated::Returned);
    assert_eq!(store.list_secrets(owner().address(), None, 9).await.unwrap()[0].version, 2);
    assert_eq!(
        store.challenge(task).await.unwrap().unwrap().expose(),
        &SigningKey::from_bytes(&[9; 32]).unwrap().expose()
    );
}

#[tokio::test]
async fn a_store_of_schema_1_is_migrated_and_its_master_key_becomes_the_first_kek() {
    let rig = Rig::sqlite();
    let task = schema_1(&rig).await;
    for _ in 0..2 {
        let store = rig.open().await;
        check(&store, task).await;
        store.close().await;
    }
    crate::admin::rotate(rig.at.clone()).await.unwrap();
    let store = rig.open().await;
    check(&store, task).await;
}

#[tokio::test]
async fn a_store_of_schema_1_may_be_migrated_to_a_passphrase() {
    let rig = Rig::sqlite();
    let task = schema_1(&rig).await;
    let path = rig.folder.path().join("passphrase");
    crate::private_file::create(&path, b"correct horse\n").unwrap();
    let at = Location { kek: KekSource::Passphrase(path), ..rig.at.clone() };
    Store::open(&at).await.unwrap().close().await;
    std::fs::remove_file(rig.folder.path().join(MASTER_KEY)).unwrap();
    check(&Store::open(&at).await.unwrap(), task).await;
}

#[tokio::test]
async fn a_store_of_schema_1_stays_as_it_is_without_its_master_key() {
    let rig = Rig::sqlite();
    let task = schema_1(&rig).await;
    let path = rig.folder.path().join(MASTER_KEY);
    std::fs::write(&path, "11".repeat(32)).unwrap();
    let error = format!("{:#}", Store::open(&rig.at).await.err().unwrap());
    assert!(error.contains("is not the one that the store's secrets are sealed under"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = format!("{:#}", Store::open(&rig.at).await.err().unwrap());
    assert!(error.contains("is missing, and the store's secrets are sealed under it"), "{error}");
    assert!(!path.exists());
    crate::private_file::create(&path, "07".repeat(32).as_bytes()).unwrap();
    check(&rig.open().await, task).await;
}
