//! Writing a backup: every table, as it was at one moment, while services run.

use std::{fs::File, io::Write as _, path::Path};

use anyhow::{Context as _, bail};
use futures_util::TryStreamExt as _;
use iexec_service::clock;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    file::{BackupTo, Output, encrypt},
    record::{BackupCounts, FORMAT, Hex, Record},
};
use crate::store::{Location, kek::Kek, keys, open};

/// A table: how it is read, and what a row becomes.
type Source = (&'static str, fn(&AnyRow) -> Result<Record, sqlx::Error>);

const SOURCES: [Source; 7] = [
    ("SELECT kind, owner, name, sealed, key_id, version, created, updated FROM secret", secret),
    ("SELECT kind, owner, name, mark FROM secret_mark", mark),
    ("SELECT task, sealed, key_id, deadline FROM challenge", challenge),
    ("SELECT id, nonce, workerpool_authorization, worker_signature, expires, state FROM session", session),
    ("SELECT signer, nonce, deadline FROM used_nonce", nonce),
    ("SELECT seq, hash FROM audit_anchor WHERE seq > 0", audit_anchor),
    ("SELECT seq, entry FROM audit WHERE seq > (SELECT seq FROM audit_anchor WHERE id = 1) ORDER BY seq", audit),
];

/// Writes the backup to a new file, whole or not at all.
pub(crate) async fn backup(location: &Location, out: &Path, to: &BackupTo) -> anyhow::Result<BackupCounts> {
    if out.exists() {
        bail!("{} exists already\nhint: a backup is never written over another", out.display());
    }
    let (engine, ring) = open(location, false).await?;
    let folder = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(|| format!("in {}", folder.display()))?;
    let mut db = engine.connect().await?;
    let mut snapshot = sqlx::Connection::begin_with(&mut db, engine.kind.snapshot()).await?;
    let mut output = encrypt(to, file.as_file_mut())?;
    let counts = write_all(&mut snapshot, &ring.kek, &mut output).await?;
    output.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    file.persist_noclobber(out).with_context(|| format!("{}", out.display()))?;
    File::open(folder)?.sync_all()?;
    Ok(counts)
}

async fn write_all(db: &mut AnyConnection, kek: &Kek, output: &mut Output<'_>) -> anyhow::Result<BackupCounts> {
    let mut counts = BackupCounts::default();
    put(output, &mut counts, &Record::Header { format: FORMAT.to_owned(), created: clock::now() })?;
    let created: Vec<(i64, i64)> = sqlx::query_as("SELECT id, created FROM data_key").fetch_all(&mut *db).await?;
    for (id, purpose, state, key) in keys::unwrapped(db, kek).await? {
        let created = created.iter().find(|(other, _)| *other == id).map_or(0, |(_, created)| *created);
        let key = Hex::from(key.0.to_vec());
        put(output, &mut counts, &Record::DataKey { id, purpose, state, created, key })?;
    }
    for (select, read) in SOURCES {
        let mut rows = sqlx::query(select).fetch(&mut *db);
        while let Some(row) = rows.try_next().await? {
            put(output, &mut counts, &read(&row)?)?;
        }
    }
    let head: Vec<u8> = sqlx::query_scalar("SELECT hash FROM audit_head WHERE id = 1").fetch_one(db).await?;
    put(output, &mut counts.clone(), &Record::End { counts, audit_head: head.into() })?;
    Ok(counts)
}

fn put(output: &mut Output<'_>, counts: &mut BackupCounts, record: &Record) -> anyhow::Result<()> {
    counts.count(record);
    let mut line = zeroize::Zeroizing::new(serde_json::to_vec(record)?);
    line.push(b'\n');
    Ok(output.write_all(&line)?)
}

fn bytes(row: &AnyRow, index: usize) -> Result<Hex, sqlx::Error> {
    Ok(Hex::from(row.try_get::<Vec<u8>, _>(index)?))
}

fn secret(row: &AnyRow) -> Result<Record, sqlx::Error> {
    Ok(Record::Secret {
        kind: row.try_get(0)?,
        owner: bytes(row, 1)?,
        name: row.try_get(2)?,
        sealed: row.try_get::<Option<Vec<u8>>, _>(3)?.map(Hex::from),
        key_id: row.try_get(4)?,
        version: row.try_get(5)?,
        created: row.try_get(6)?,
        updated: row.try_get(7)?,
    })
}

fn mark(row: &AnyRow) -> Result<Record, sqlx::Error> {
    Ok(Record::Mark { kind: row.try_get(0)?, owner: bytes(row, 1)?, name: row.try_get(2)?, mark: bytes(row, 3)? })
}

fn challenge(row: &AnyRow) -> Result<Record, sqlx::Error> {
    Ok(Record::Challenge {
        task: bytes(row, 0)?,
        sealed: bytes(row, 1)?,
        key_id: row.try_get(2)?,
        deadline: row.try_get(3)?,
    })
}

fn session(row: &AnyRow) -> Result<Record, sqlx::Error> {
    Ok(Record::Session {
        id: row.try_get(0)?,
        nonce: bytes(row, 1)?,
        workerpool_authorization: row.try_get(2)?,
        worker_signature: row.try_get(3)?,
        expires: row.try_get(4)?,
        state: row.try_get(5)?,
    })
}

fn nonce(row: &AnyRow) -> Result<Record, sqlx::Error> {
    Ok(Record::Nonce { signer: bytes(row, 0)?, nonce: bytes(row, 1)?, deadline: row.try_get(2)? })
}

fn audit_anchor(row: &AnyRow) -> Result<Record, sqlx::Error> {
    Ok(Record::AuditAnchor { seq: row.try_get(0)?, hash: bytes(row, 1)? })
}

fn audit(row: &AnyRow) -> Result<Record, sqlx::Error> {
    Ok(Record::Audit { seq: row.try_get(0)?, entry: row.try_get(1)? })
}
