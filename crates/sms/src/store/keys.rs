//! The key ring: the data keys of this process, unwrapped, and the one under which new values are sealed (spec SMS-20).
//!
//! Another process may add a key at any time. Who meets an id that it does not know reads the table again.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::{Context as _, bail};
use sqlx::AnyConnection;
use zeroize::Zeroizing;

use super::{
    KekSource, StoreError,
    engine::Kind,
    kek::{self, Kek},
};
use crate::vault::{self, Key, Row, Vault};

const TABLE: &str = "data_key";

/// The data keys that were read.
pub(super) struct Keys {
    values: BTreeMap<i64, Vault>,
    marks: Key,
}

impl Keys {
    fn vault(&self, id: i64) -> Option<&Vault> {
        self.values.get(&id)
    }

    /// A value's mark in its row.
    pub(super) fn mark(&self, row: &Row, plain: &[u8]) -> Vec<u8> {
        vault::mark(&self.marks, row, plain)
    }

    pub(super) fn seal(&self, table: &'static str, id: i64, row: &Row, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let vault = self.vault(id).ok_or_else(|| unknown(table, id))?;
        vault.seal(row, plain).map_err(StoreError::vault(table))
    }

    pub(super) fn open(
        &self,
        table: &'static str,
        id: i64,
        row: &Row,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let vault = self.vault(id).ok_or_else(|| unknown(table, id))?;
        vault.open(row, sealed).map_err(StoreError::vault(table))
    }

    pub(super) fn knows(&self, id: i64) -> bool {
        self.values.contains_key(&id)
    }
}

fn unknown(table: &'static str, id: i64) -> StoreError {
    StoreError::row(table, &format!("it is sealed under data key {id}, which this process cannot unwrap"))
}

/// The key-encryption key of this process, and what it unwraps.
pub(super) struct KeyRing {
    pub(super) kek: Kek,
    keys: RwLock<Arc<Keys>>,
}

impl KeyRing {
    /// Unlocks the store's keys; makes them if it has none yet. `db` is in a transaction that writes.
    pub(super) async fn open(
        kind: Kind,
        db: &mut AnyConnection,
        source: &KekSource,
        folder: &Path,
        now: i64,
    ) -> anyhow::Result<Self> {
        let folder_key = folder.join(super::MASTER_KEY);
        let known = kek::known(db).await?;
        let kek = if known.is_empty() {
            first_keys(kind, db, source, &folder_key, now).await?
        } else {
            kek::unlock(source, &folder_key, &known)?
        };
        let keys = load(db, &kek).await?;
        Ok(Self { kek, keys: RwLock::new(Arc::new(keys)) })
    }

    /// The keys as they were read last.
    pub(super) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads them again.
    pub(super) async fn reload(&self, db: &mut AnyConnection) -> Result<Arc<Keys>, StoreError> {
        let keys = Arc::new(load(db, &self.kek).await?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&keys);
        Ok(keys)
    }

    /// The keys, with that of this id if there is one.
    pub(super) async fn with(&self, db: &mut AnyConnection, id: i64) -> Result<Arc<Keys>, StoreError> {
        let keys = self.keys();
        if keys.knows(id) { Ok(keys) } else { self.reload(db).await }
    }

    /// The key to seal under, held until the transaction ends: a rotation waits for it (see `rotation.rs`). And the number
    /// of the audit log's last entry as the transaction begins, which PostgreSQL alone needs (see `secrets/quota.rs`).
    pub(super) async fn active(&self, kind: Kind, db: &mut AnyConnection) -> Result<(Arc<Keys>, i64, i64), StoreError> {
        let select = kind.pick(
            "SELECT id, 0 FROM data_key WHERE state = 'ACTIVE' AND purpose = 'values'",
            "SELECT id, (SELECT seq FROM audit_head WHERE audit_head.id = 1)
             FROM data_key WHERE state = 'ACTIVE' AND purpose = 'values' FOR SHARE",
        );
        // A rotation that we waited for leaves no row to lock: the second look sees its key.
        for _ in 0..3 {
            if let Some((id, seq)) = sqlx::query_as(select).fetch_optional(&mut *db).await? {
                return Ok((self.with(db, id).await?, id, seq));
            }
        }
        Err(StoreError::row(TABLE, &"no data key is active"))
    }
}

type Wrapped = (i64, String, String, Option<Vec<u8>>);

/// Unwraps all keys.
async fn load(db: &mut AnyConnection, kek: &Kek) -> Result<Keys, StoreError> {
    let (mut values, mut marks) = (BTreeMap::new(), None);
    for (id, purpose, _, key) in unwrapped(db, kek).await? {
        match purpose.as_str() {
            "marks" => marks = Some(key),
            _ => {
                values.insert(id, Vault::new(&key));
            }
        }
    }
    let marks = marks.ok_or_else(|| StoreError::row(TABLE, &"there is no key of marks"))?;
    Ok(Keys { values, marks })
}

/// Id, purpose, state and key of each data key.
pub(super) async fn unwrapped(
    db: &mut AnyConnection,
    kek: &Kek,
) -> Result<Vec<(i64, String, String, Key)>, StoreError> {
    let select = "SELECT d.id, d.purpose, d.state, w.wrapped FROM data_key d
                  LEFT JOIN wrapped_key w ON w.key_id = d.id AND w.kek = $1 ORDER BY d.id";
    let rows: Vec<Wrapped> = sqlx::query_as(select).bind(&kek.id).fetch_all(db).await?;
    let unwrap = |(id, purpose, state, wrapped): Wrapped| {
        let unreadable = || StoreError::row(TABLE, &format!("data key {id} is not wrapped under {}", kek.id));
        let key = kek.unwrap(id, &purpose, &wrapped.ok_or_else(unreadable)?).map_err(StoreError::vault(TABLE))?;
        Ok((id, purpose, state, key))
    };
    rows.into_iter().map(unwrap).collect()
}

/// Keeps a data key, wrapped.
pub(super) async fn insert(
    db: &mut AnyConnection,
    kek: &Kek,
    (id, purpose, state, key): (i64, &str, &str, &Key),
    now: i64,
) -> Result<(), StoreError> {
    let insert = "INSERT INTO data_key (id, purpose, state, created) VALUES ($1, $2, $3, $4)";
    sqlx::query(insert).bind(id).bind(purpose).bind(state).bind(now).execute(&mut *db).await?;
    insert_wrapped(db, kek, id, purpose, key).await
}

/// Keeps a data key's wrapping under one more key-encryption key.
pub(super) async fn insert_wrapped(
    db: &mut AnyConnection,
    kek: &Kek,
    id: i64,
    purpose: &str,
    key: &Key,
) -> Result<(), StoreError> {
    let wrapped = kek.wrap(id, purpose, key).map_err(StoreError::vault(TABLE))?;
    let insert = "INSERT INTO wrapped_key (key_id, kek, wrapped) VALUES ($1, $2, $3)";
    sqlx::query(insert).bind(id).bind(&kek.id).bind(wrapped).execute(db).await?;
    Ok(())
}

/// The keys of a store without any: fresh ones, or, of a store of schema 1, what its master key stood for.
async fn first_keys(
    kind: Kind,
    db: &mut AnyConnection,
    source: &KekSource,
    folder_key: &Path,
    now: i64,
) -> anyhow::Result<Kek> {
    let (kek, values, marks) = match schema_1_check(kind, db).await? {
        Some(check) => {
            let path = if let KekSource::File(path) = source { path } else { folder_key };
            let master = schema_1_key(path, &check)?;
            let kek = if let KekSource::Passphrase(_) = source {
                kek::unlock(source, folder_key, &[])?
            } else {
                Kek::of_file(&master)
            };
            sqlx::raw_sql("DROP TABLE master_key").execute(&mut *db).await?;
            (kek, master.derive(b"iexec sms values v1"), master.derive(b"iexec sms marks v1"))
        }
        None => (kek::unlock(source, folder_key, &[])?, Key::random()?, Key::random()?),
    };
    kek.insert(db, now).await?;
    insert(db, &kek, (1, "values", "ACTIVE", &values), now).await?;
    insert(db, &kek, (2, "marks", "ACTIVE", &marks), now).await?;
    Ok(kek)
}

/// What a store of schema 1 sealed under its master key, so that another one is noticed.
async fn schema_1_check(kind: Kind, db: &mut AnyConnection) -> anyhow::Result<Option<Vec<u8>>> {
    if kind == Kind::Postgres {
        return Ok(None);
    }
    let table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'master_key'";
    if sqlx::query(table).fetch_optional(&mut *db).await?.is_none() {
        return Ok(None);
    }
    Ok(sqlx::query_scalar("SELECT sealed FROM master_key WHERE id = 1").fetch_optional(db).await?)
}

fn schema_1_key(path: &Path, check: &[u8]) -> anyhow::Result<Key> {
    let key = kek::read_file(path).with_context(|| format!("the master key {}", path.display()))?;
    let Some(key) = key else {
        bail!(
            "the master key {} is missing, and the store's secrets are sealed under it\nhint: restore the file from its backup",
            path.display()
        );
    };
    let vault = Vault::new(&key.derive(b"iexec sms values v1"));
    let right = vault.open(&Row::new("master_key", &[b"1"]), check);
    if right.is_ok_and(|plain| plain.as_slice() == b"iexec sms master key v1") {
        return Ok(key);
    }
    bail!(
        "the master key {} is not the one that the store's secrets are sealed under\nhint: restore the file that belongs to this store",
        path.display()
    )
}
