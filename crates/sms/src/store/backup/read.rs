//! Restoring a backup into a store that does not exist yet: all of it is checked, then it is written in one transaction.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, Read as _, Seek as _},
    path::Path,
};

use anyhow::{Context as _, bail, ensure};
use iexec_service::clock;
use sqlx::AnyConnection;
use zeroize::Zeroizing;

use super::{
    file::{BackupKey, decrypt},
    record::{BackupCounts, FORMAT, Hex, MAX_LINE, Record},
};
use crate::{
    store::{
        Location, MASTER_KEY,
        audit::{self, Entry, Event},
        challenges,
        engine::{self, Engine, Kind},
        kek::{self, Kek},
        keys, name, place, secrets, stored_time,
        verify::{AuditHead, Chain},
        writer,
    },
    vault::{Key, Vault},
};

/// Restores `file`; the store must not exist.
pub(crate) async fn restore(location: &Location, file: &Path, key: &BackupKey) -> anyhow::Result<BackupCounts> {
    let mut backup = File::open(file).with_context(|| format!("the backup {}", file.display()))?;
    let counts = check(&mut backup, key).with_context(|| format!("the backup {}", file.display()))?;
    backup.rewind()?;
    let engine = Engine::open(place(location, true)).await.with_context(|| format!("the store {}", name(location)))?;
    let mut db = engine.connect().await?;
    let mut transaction = writer::begin(engine.kind, &mut db).await?;
    let schema = engine::schema(engine.kind, &mut transaction).await?;
    ensure!(schema == 0, "the store {} is in use\nhint: restore into a new one", name(location));
    engine::migrate(engine.kind, &mut transaction).await?;
    if engine.kind == Kind::Sqlite {
        sqlx::raw_sql("DROP TABLE master_key").execute(&mut *transaction).await?;
    }
    let kek = kek::unlock(&location.kek, &location.data.join(MASTER_KEY), &[])?;
    kek.insert(&mut transaction, stored_time(clock::now())).await?;
    write(&mut transaction, engine.kind, &kek, &mut backup, key).await?;
    transaction.commit().await?;
    Ok(counts)
}

/// Reads the whole file: its form, its end, every value's seal, the audit log's chain.
fn check(file: &mut File, key: &BackupKey) -> anyhow::Result<BackupCounts> {
    let mut lines = Lines { reader: decrypt(key, file)?, number: 0 };
    match lines.next()? {
        Some(Record::Header { format, .. }) => {
            ensure!(format == FORMAT, "its format is {format:?}, this is {FORMAT:?}");
        }
        _ => bail!("its first line is not a header"),
    }
    let mut seen = Seen::default();
    while let Some(record) = lines.next()? {
        if let Record::End { counts, audit_head } = record {
            ensure!(counts == seen.counts, "it says that it holds {counts:?}, it holds {:?}", seen.counts);
            let head = seen.chain.head().hash;
            ensure!(audit_head.0.as_slice() == head, "its audit log ends with another hash than its head");
            ensure!(lines.next()?.is_none(), "something follows its end");
            return seen.finish();
        }
        seen.see(&record).with_context(|| format!("line {}", lines.number))?;
    }
    bail!("it ends too early")
}

struct Lines<'a> {
    reader: Box<dyn BufRead + Send + 'a>,
    number: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> anyhow::Result<Option<Record>> {
        let mut line = Zeroizing::new(Vec::new());
        let read = self.reader.as_mut().take(MAX_LINE).read_until(b'\n', &mut line);
        read.context("it was changed, or cut, or its disk fails")?;
        self.number += 1;
        if line.is_empty() {
            return Ok(None);
        }
        ensure!(line.last() == Some(&b'\n'), "line {} is cut, or longer than {MAX_LINE} bytes", self.number);
        // serde_json's words may quote the line, which may hold a key.
        serde_json::from_slice(&line).ok().map(Some).with_context(|| format!("line {} cannot be read", self.number))
    }
}

struct Seen {
    counts: BackupCounts,
    vaults: BTreeMap<i64, Vault>,
    marks: u32,
    active: u32,
    chain: Chain,
}

impl Default for Seen {
    fn default() -> Self {
        let (counts, vaults) = (BackupCounts::default(), BTreeMap::new());
        Self { counts, vaults, marks: 0, active: 0, chain: Chain::start() }
    }
}

impl Seen {
    fn see(&mut self, record: &Record) -> anyhow::Result<()> {
        self.counts.count(record);
        match record {
            Record::Header { .. } => bail!("a second header"),
            Record::DataKey { id, purpose, state, key, .. } => self.data_key(*id, purpose, state, key),
            Record::Secret { kind, owner, name, sealed: Some(sealed), key_id, .. } => {
                self.opens(*key_id, &secrets::row(kind, &owner.0, name), sealed)
            }
            Record::Challenge { task, sealed, key_id, .. } => self.opens(*key_id, &challenges::row(&task.0), sealed),
            Record::AuditAnchor { seq, hash } => {
                ensure!(self.chain.head() == Chain::start().head(), "the audit log begins twice");
                self.chain = begin(*seq, hash)?;
                Ok(())
            }
            Record::Audit { seq, entry } => self.chain.follow(*seq, entry).map(drop),
            _ => Ok(()),
        }
    }

    fn data_key(&mut self, id: i64, purpose: &str, state: &str, key: &Hex) -> anyhow::Result<()> {
        let key = Key::from_slice(&key.0).context("a data key has not 32 bytes")?;
        match (purpose, state) {
            ("marks", "ACTIVE") => self.marks += 1,
            ("values", "ACTIVE") => self.active += 1,
            ("values", "RETIRED") => (),
            other => bail!("a data key for {other:?}"),
        }
        ensure!(self.vaults.insert(id, Vault::new(&key)).is_none(), "a second data key {id}");
        Ok(())
    }

    fn opens(&self, key: i64, row: &crate::vault::Row, sealed: &Hex) -> anyhow::Result<()> {
        let vault =
            self.vaults.get(&key).with_context(|| format!("it is sealed under data key {key}, which is missing"))?;
        vault.open(row, &sealed.0)?;
        Ok(())
    }

    fn finish(self) -> anyhow::Result<BackupCounts> {
        ensure!(self.marks == 1 && self.active == 1, "it has not one active data key and one key of marks");
        Ok(self.counts)
    }
}

/// The audit log's chain after an anchor.
fn begin(seq: i64, hash: &Hex) -> anyhow::Result<Chain> {
    let seq = u64::try_from(seq).context("the audit log's anchor has no such number")?;
    let hash = hash.0.as_slice().try_into().context("the audit log's anchor has not 32 bytes")?;
    Chain::after(AuditHead { seq, hash })
}

async fn write(db: &mut AnyConnection, kind: Kind, kek: &Kek, file: &mut File, key: &BackupKey) -> anyhow::Result<()> {
    let mut lines = Lines { reader: decrypt(key, file)?, number: 0 };
    let mut chain = Chain::start();
    while let Some(record) = lines.next()? {
        insert(db, kek, record, &mut chain).await.with_context(|| format!("line {}", lines.number))?;
    }
    let head = chain.head();
    let update = "UPDATE audit_head SET seq = $1, hash = $2 WHERE id = 1";
    sqlx::query(update).bind(stored_time(head.seq)).bind(head.hash.to_vec()).execute(&mut *db).await?;
    let entry = Entry::new(Event::Restored).with("kek", &kek.id);
    audit::append(kind, db, &[entry], stored_time(clock::now())).await?;
    Ok(())
}

async fn insert(db: &mut AnyConnection, kek: &Kek, record: Record, chain: &mut Chain) -> anyhow::Result<()> {
    match record {
        Record::DataKey { id, purpose, state, created, key } => {
            let key = Key::from_slice(&key.0).context("a data key has not 32 bytes")?;
            keys::insert(db, kek, (id, &purpose, &state, &key), created).await?;
        }
        Record::AuditAnchor { seq, hash } => {
            *chain = begin(seq, &hash)?;
            let update = "UPDATE audit_anchor SET seq = $1, hash = $2 WHERE id = 1";
            sqlx::query(update).bind(seq).bind(hash.0.to_vec()).execute(db).await?;
        }
        Record::Audit { seq, entry } => {
            let hash = chain.follow(seq, &entry)?;
            audit::insert(db, &[(seq, entry, hash)]).await?;
        }
        record => insert_row(db, record).await?,
    }
    Ok(())
}

/// What is one row of a table as it stands.
async fn insert_row(db: &mut AnyConnection, record: Record) -> Result<(), sqlx::Error> {
    let bytes = |hex: Hex| hex.0.to_vec();
    let query = match record {
        Record::Secret { kind, owner, name, sealed, key_id, version, created, updated } => {
            let insert = "INSERT INTO secret (kind, owner, name, sealed, key_id, version, created, updated)
                          VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
            let query = sqlx::query(insert).bind(kind).bind(bytes(owner)).bind(name).bind(sealed.map(bytes));
            query.bind(key_id).bind(version).bind(created).bind(updated)
        }
        Record::Mark { kind, owner, name, mark } => {
            let insert = "INSERT INTO secret_mark (kind, owner, name, mark) VALUES ($1, $2, $3, $4)";
            sqlx::query(insert).bind(kind).bind(bytes(owner)).bind(name).bind(bytes(mark))
        }
        Record::Challenge { task, sealed, key_id, deadline } => {
            let insert = "INSERT INTO challenge (task, sealed, key_id, deadline) VALUES ($1, $2, $3, $4)";
            sqlx::query(insert).bind(bytes(task)).bind(bytes(sealed)).bind(key_id).bind(deadline)
        }
        Record::Session { id, nonce, workerpool_authorization, worker_signature, expires, state } => {
            let insert = "INSERT INTO session (id, nonce, workerpool_authorization, worker_signature, expires, state)
                          VALUES ($1, $2, $3, $4, $5, $6)";
            let query = sqlx::query(insert).bind(id).bind(bytes(nonce)).bind(workerpool_authorization);
            query.bind(worker_signature).bind(expires).bind(state)
        }
        Record::Nonce { signer, nonce, deadline } => {
            let insert = "INSERT INTO used_nonce (signer, nonce, deadline) VALUES ($1, $2, $3)";
            sqlx::query(insert).bind(bytes(signer)).bind(bytes(nonce)).bind(deadline)
        }
        // The head, the end and what is no row of its own are done by the caller.
        _ => return Ok(()),
    };
    query.execute(db).await?;
    Ok(())
}
