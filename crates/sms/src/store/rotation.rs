//! Rotation of keys while services run (spec SMS-22 to SMS-24).
//!
//! A data key: a new one becomes active, everything is sealed anew under it in small transactions, the old one is
//! destroyed. Whoever writes holds the active key's row until its commit (`keys.rs`), so after the first transaction
//! nobody seals under the old one, and at the last nothing is left under it.
//!
//! A key-encryption key: the data keys are wrapped under a second one, services are started with it one by one, the
//! first is dropped.

use anyhow::{Context as _, bail};
use iexec_service::clock;
use sqlx::{AnyConnection, Transaction, any::Any};

use super::{
    Entry, Event, KekSource, Location, MASTER_KEY, StoreError,
    engine::Kind,
    kek::{self, Known},
    keys, open, secrets, stored_time, writer,
};
use super::{audit, challenges, keys::KeyRing};
use crate::vault::Key;

/// Values that are sealed anew in one transaction.
const BATCH: i64 = 200;

/// A key of the store, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeyLine {
    /// Its number.
    pub id: i64,
    /// `values` (AES-256-GCM) or `marks` (HMAC of replaced values; never rotated, since the values are gone).
    pub purpose: String,
    /// `ACTIVE`, or `RETIRED` while values are sealed anew.
    pub state: String,
    /// Seconds since 1970.
    pub created: i64,
    /// The key-encryption keys under which it is wrapped.
    pub wrapped_under: Vec<String>,
    /// Values sealed under it.
    pub values: i64,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The key that is active now.
    pub active: i64,
    /// The keys that are no more.
    pub destroyed: Vec<i64>,
    /// Values sealed anew.
    pub values: u64,
}

/// An administrator's transaction: one at a time, and beside the services.
pub(super) async fn begin(kind: Kind, db: &mut AnyConnection) -> Result<Transaction<'_, Any>, StoreError> {
    let mut transaction = writer::begin(kind, db).await?;
    let lock = kind.pick("PRAGMA secure_delete = ON", "SELECT pg_advisory_xact_lock(7311021)");
    sqlx::raw_sql(lock).execute(&mut *transaction).await?;
    Ok(transaction)
}

async fn log(kind: Kind, db: &mut AnyConnection, entry: Entry) -> Result<(), StoreError> {
    audit::append(kind, db, &[entry], stored_time(clock::now())).await.map(drop)
}

/// The keys, oldest first.
pub(crate) async fn list(location: &Location) -> anyhow::Result<Vec<KeyLine>> {
    let engine = super::reach(location).await?;
    let mut db = engine.connect().await?;
    let select = "SELECT id, purpose, state, created,
        (SELECT count(*) FROM secret s WHERE s.key_id = d.id AND s.sealed IS NOT NULL)
        + (SELECT count(*) FROM challenge c WHERE c.key_id = d.id)
        FROM data_key d ORDER BY id";
    let rows: Vec<(i64, String, String, i64, i64)> = sqlx::query_as(select).fetch_all(&mut db).await?;
    let mut lines = Vec::with_capacity(rows.len());
    for (id, purpose, state, created, values) in rows {
        let select = "SELECT kek FROM wrapped_key WHERE key_id = $1 ORDER BY kek";
        let wrapped_under = sqlx::query_scalar(select).bind(id).fetch_all(&mut db).await?;
        lines.push(KeyLine { id, purpose, state, created, wrapped_under, values });
    }
    Ok(lines)
}

/// Seals everything under a new data key.
pub(crate) async fn rotate(location: &Location) -> anyhow::Result<Rotated> {
    let (engine, ring) = open(location, false).await?;
    let mut db = engine.connect().await?;
    let active = activate(engine.kind, &mut db, &ring).await?;
    let mut values = 0;
    for table in [Table::Secret, Table::Challenge] {
        values += reseal(engine.kind, &mut db, &ring, active, table).await?;
    }
    let destroyed = destroy(engine.kind, &mut db, active).await?;
    Ok(Rotated { active, destroyed, values })
}

async fn activate(kind: Kind, db: &mut AnyConnection, ring: &KeyRing) -> anyhow::Result<i64> {
    let mut transaction = begin(kind, db).await?;
    let keks = kek::known(&mut transaction).await?;
    if keks.len() != 1 {
        bail!(
            "the data keys are wrapped under {} key-encryption keys\nhint: drop the old one first: iexecd sms keys drop",
            keks.len()
        );
    }
    // Waits for whoever is sealing under the old key.
    let retire = "UPDATE data_key SET state = 'RETIRED' WHERE state = 'ACTIVE' AND purpose = 'values'";
    sqlx::query(retire).execute(&mut *transaction).await?;
    let last: i64 = sqlx::query_scalar("SELECT max(id) FROM data_key").fetch_one(&mut *transaction).await?;
    let id = last + 1;
    let now = stored_time(clock::now());
    keys::insert(&mut transaction, &ring.kek, (id, "values", "ACTIVE", &Key::random()?), now).await?;
    log(kind, &mut transaction, Entry::new(Event::KeyCreated).number("key", id.unsigned_abs())).await?;
    transaction.commit().await?;
    Ok(id)
}

#[derive(Clone, Copy)]
enum Table {
    Secret,
    Challenge,
}

impl Table {
    const fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Challenge => "challenge",
        }
    }
}

/// Seals the table's values anew, as long as there are some under other keys.
async fn reseal(kind: Kind, db: &mut AnyConnection, ring: &KeyRing, active: i64, table: Table) -> anyhow::Result<u64> {
    let mut done = 0;
    loop {
        let mut transaction = writer::begin(kind, db).await?;
        let keys = ring.with(&mut transaction, active).await?;
        let rows = stale(&mut transaction, table, active).await?;
        if rows.is_empty() {
            transaction.commit().await?;
            return Ok(done);
        }
        for row in rows {
            let plain = keys.open(table.name(), row.key, &row.place, &row.sealed)?;
            let sealed = keys.seal(table.name(), active, &row.place, &plain)?;
            done += row.keep(&mut transaction, sealed, active).await?;
        }
        transaction.commit().await?;
    }
}

/// A value under another key than the active one.
struct Stale {
    place: crate::vault::Row,
    id: Id,
    sealed: Vec<u8>,
    key: i64,
}

enum Id {
    Secret { owner: Vec<u8>, kind: String, name: String },
    Challenge(Vec<u8>),
}

type SecretColumns = (Vec<u8>, String, String, Vec<u8>, i64);

async fn stale(db: &mut AnyConnection, table: Table, active: i64) -> Result<Vec<Stale>, StoreError> {
    if let Table::Challenge = table {
        let select = "SELECT task, sealed, key_id FROM challenge WHERE key_id <> $1 LIMIT $2";
        let rows: Vec<(Vec<u8>, Vec<u8>, i64)> = sqlx::query_as(select).bind(active).bind(BATCH).fetch_all(db).await?;
        let stale = |(task, sealed, key): (Vec<u8>, _, _)| Stale {
            place: challenges::row(&task),
            id: Id::Challenge(task),
            sealed,
            key,
        };
        return Ok(rows.into_iter().map(stale).collect());
    }
    // A deleted secret has nothing to seal.
    let skip = "UPDATE secret SET key_id = $1 WHERE key_id <> $1 AND sealed IS NULL";
    sqlx::query(skip).bind(active).execute(&mut *db).await?;
    let select = "SELECT owner, kind, name, sealed, key_id FROM secret WHERE key_id < $1 LIMIT $2";
    let rows: Vec<SecretColumns> = sqlx::query_as(select).bind(active).bind(BATCH).fetch_all(db).await?;
    let stale = |(owner, kind, name, sealed, key): (Vec<u8>, String, String, _, _)| Stale {
        place: secrets::row(&kind, &owner, &name),
        id: Id::Secret { owner, kind, name },
        sealed,
        key,
    };
    Ok(rows.into_iter().map(stale).collect())
}

impl Stale {
    /// Keeps the new seal, unless somebody changed the value meanwhile: they sealed under the active key.
    async fn keep(self, db: &mut AnyConnection, sealed: Vec<u8>, active: i64) -> Result<u64, StoreError> {
        let query = match self.id {
            Id::Secret { owner, kind, name } => {
                let update = "UPDATE secret SET sealed = $1, key_id = $2
                              WHERE key_id = $3 AND owner = $4 AND kind = $5 AND name = $6 AND sealed IS NOT NULL";
                sqlx::query(update).bind(sealed).bind(active).bind(self.key).bind(owner).bind(kind).bind(name)
            }
            Id::Challenge(task) => {
                let update = "UPDATE challenge SET sealed = $1, key_id = $2 WHERE key_id = $3 AND task = $4";
                sqlx::query(update).bind(sealed).bind(active).bind(self.key).bind(task)
            }
        };
        Ok(query.execute(db).await?.rows_affected())
    }
}

async fn destroy(kind: Kind, db: &mut AnyConnection, active: i64) -> anyhow::Result<Vec<i64>> {
    let mut transaction = begin(kind, db).await?;
    let select = "SELECT id FROM data_key d WHERE purpose = 'values' AND id < $1
                  AND NOT EXISTS (SELECT 1 FROM secret s WHERE s.key_id = d.id)
                  AND NOT EXISTS (SELECT 1 FROM challenge c WHERE c.key_id = d.id) ORDER BY id";
    let gone: Vec<i64> = sqlx::query_scalar(select).bind(active).fetch_all(&mut *transaction).await?;
    for id in &gone {
        for delete in ["DELETE FROM wrapped_key WHERE key_id = $1", "DELETE FROM data_key WHERE id = $1"] {
            sqlx::query(delete).bind(id).execute(&mut *transaction).await?;
        }
        let entry = Entry::new(Event::KeyDestroyed).number("key", id.unsigned_abs());
        log(kind, &mut transaction, entry).await?;
    }
    transaction.commit().await?;
    Ok(gone)
}

/// Wraps every data key under one more key-encryption key; its id.
pub(crate) async fn add_kek(location: &Location, new: &KekSource) -> anyhow::Result<String> {
    let (engine, ring) = open(location, false).await?;
    let mut db = engine.connect().await?;
    let mut transaction = begin(engine.kind, &mut db).await?;
    let known: Vec<Known> = kek::known(&mut transaction).await?;
    let new = kek::next(new, &location.data.join(MASTER_KEY), &known)?;
    let all = keys::unwrapped(&mut transaction, &ring.kek).await?;
    new.insert(&mut transaction, stored_time(clock::now())).await?;
    for (id, purpose, _, key) in &all {
        keys::insert_wrapped(&mut transaction, &new, *id, purpose, key).await?;
    }
    log(engine.kind, &mut transaction, Entry::new(Event::KekAdded).with("kek", &new.id)).await?;
    transaction.commit().await?;
    Ok(new.id)
}

/// Drops a key-encryption key that is not the one in `location`.
pub(crate) async fn drop_kek(location: &Location, id: &str) -> anyhow::Result<()> {
    let (engine, ring) = open(location, false).await?;
    if ring.kek.id == id {
        bail!(
            "{id} is the key that this command was given\nhint: name the new key with --master-key-file or --passphrase-file"
        );
    }
    let mut db = engine.connect().await?;
    let mut transaction = begin(engine.kind, &mut db).await?;
    // All of them are wrapped under ours, or this fails.
    keys::unwrapped(&mut transaction, &ring.kek).await.context("the other key-encryption key is still needed")?;
    let gone = sqlx::query("DELETE FROM kek WHERE id = $1").bind(id).execute(&mut *transaction).await?;
    if gone.rows_affected() == 0 {
        bail!("the store knows no key-encryption key {id}\nhint: iexecd sms keys list");
    }
    sqlx::query("DELETE FROM wrapped_key WHERE kek = $1").bind(id).execute(&mut *transaction).await?;
    log(engine.kind, &mut transaction, Entry::new(Event::KekDropped).with("kek", id)).await?;
    transaction.commit().await?;
    Ok(())
}
