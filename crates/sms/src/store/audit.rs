//! The audit log: append-only, each entry's hash over the one before it (spec SMS-60 to SMS-65).
//!
//! `hash = sha256(hash of the entry before ‖ entry)`, where an entry is one JSON object with its keys sorted and no
//! spaces. The log shows that somebody changed, removed or moved entries; that its end was cut off shows only to who
//! kept a head.

use std::{collections::BTreeMap, fmt::Display};

use futures_util::future::BoxFuture;
use iexec_protocol::{Address, call::sms::SecretId, id::TaskId};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, AssertSqlSafe};

use super::{
    Store, StoreError,
    engine::Kind,
    writer::{Batch, Write},
};

const TABLE: &str = "audit";
/// Longest text of a field, in bytes: what a caller can make long is cut.
const MAX_TEXT: usize = 512;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A secret's value was kept.
    SecretWritten,
    /// A secret was deleted.
    SecretDeleted,
    /// A session was given to an enclave.
    SessionReleased,
    /// A request was refused.
    Refused,
    /// A data key was made.
    KeyCreated,
    /// A data key seals nothing any more and was deleted.
    KeyDestroyed,
    /// A key-encryption key was added.
    KekAdded,
    /// A key-encryption key was dropped.
    KekDropped,
    /// The store was restored from a backup.
    Restored,
    /// The log's oldest entries were exported and deleted.
    Pruned,
}

impl Event {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SecretWritten => "secret.written",
            Self::SecretDeleted => "secret.deleted",
            Self::SessionReleased => "session.released",
            Self::Refused => "refused",
            Self::KeyCreated => "key.created",
            Self::KeyDestroyed => "key.destroyed",
            Self::KekAdded => "kek.added",
            Self::KekDropped => "kek.dropped",
            Self::Restored => "restored",
            Self::Pruned => "audit.pruned",
        }
    }
}

/// An entry to be: an event and words about it. No secret value may be among them.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    event: Event,
    fields: BTreeMap<&'static str, Value>,
}

impl Entry {
    /// An entry without words.
    pub(crate) fn new(event: Event) -> Self {
        Self { event, fields: BTreeMap::new() }
    }

    /// With this word; it is cut after 512 bytes.
    #[must_use]
    pub(crate) fn with(mut self, field: &'static str, text: impl Display) -> Self {
        let mut text = format!("{text}");
        let end = (0..=MAX_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
        self.fields.insert(field, Value::String(text));
        self
    }

    /// With this number.
    #[must_use]
    pub(crate) fn number(mut self, field: &'static str, number: u64) -> Self {
        self.fields.insert(field, Value::from(number));
        self
    }

    /// Who asked.
    #[must_use]
    pub(crate) fn by(self, signer: Address) -> Self {
        self.with("signer", signer)
    }

    /// Of which task.
    #[must_use]
    pub(crate) fn task(self, task: TaskId) -> Self {
        self.with("task", task)
    }

    /// Of which secret.
    #[must_use]
    pub(crate) fn secret(self, id: &SecretId) -> Self {
        let (kind, owner, name) = super::secrets::place(id);
        self.with("kind", kind).with("owner", owner).with("name", name)
    }

    /// The entry as it is hashed: one JSON object, its keys sorted.
    fn text(&self, seq: i64, time: i64) -> Result<String, StoreError> {
        let mut all = self.fields.clone();
        all.insert("event", self.event.name().into());
        all.insert("seq", seq.into());
        all.insert("time", time.into());
        serde_json::to_string(&all).map_err(|error| StoreError::row(TABLE, &error))
    }
}

/// An entry's hash.
type Hash = [u8; 32];

fn chain(before: &Hash, entry: &str) -> Hash {
    Sha256::new().chain_update(before).chain_update(entry).finalize().into()
}

/// Appends to the log, in the transaction of what it tells. Replicas wait here for each other: the chain is one. Tells
/// the number of the entry before them; 0 if there are none to append.
pub(super) async fn append(kind: Kind, db: &mut AnyConnection, entries: &[Entry], now: i64) -> Result<i64, StoreError> {
    if entries.is_empty() {
        return Ok(0);
    }
    let select = kind.pick(
        "SELECT seq, hash FROM audit_head WHERE id = 1",
        "SELECT seq, hash FROM audit_head WHERE id = 1 FOR UPDATE",
    );
    let (before, hash): (i64, Vec<u8>) = sqlx::query_as(select).fetch_one(&mut *db).await?;
    let (mut seq, mut hash) = (before, read_hash(&hash)?);
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        seq += 1;
        let text = entry.text(seq, now)?;
        hash = chain(&hash, &text);
        rows.push((seq, text, hash));
    }
    let mut rest = rows.as_slice();
    while !rest.is_empty() {
        // Powers of two: few statements to prepare.
        let (now, later) = rest.split_at(1 << rest.len().min(64).ilog2());
        insert(db, now).await?;
        rest = later;
    }
    let update = "UPDATE audit_head SET seq = $1, hash = $2 WHERE id = 1";
    sqlx::query(update).bind(seq).bind(hash.to_vec()).execute(db).await?;
    Ok(before)
}

pub(super) async fn insert(db: &mut AnyConnection, rows: &[(i64, String, Hash)]) -> Result<(), StoreError> {
    let places = (0..rows.len()).map(|row| format!("(${}, ${}, ${})", 3 * row + 1, 3 * row + 2, 3 * row + 3));
    let insert = format!("INSERT INTO audit (seq, entry, hash) VALUES {}", places.collect::<Vec<_>>().join(", "));
    // Numbers that we counted ourselves.
    let mut query = sqlx::query(AssertSqlSafe(insert));
    for (seq, text, hash) in rows {
        query = query.bind(*seq).bind(text.as_str()).bind(hash.as_slice());
    }
    query.execute(db).await?;
    Ok(())
}

fn read_hash(bytes: &[u8]) -> Result<Hash, StoreError> {
    bytes.try_into().map_err(|_| StoreError::row(TABLE, &format!("a hash has {} bytes, not 32", bytes.len())))
}

struct Log(Entry);

impl Write for Log {
    type Reply = ();

    fn run<'a>(&'a self, batch: &'a mut Batch<'_>) -> BoxFuture<'a, Result<(), StoreError>> {
        batch.log(self.0.clone());
        Box::pin(async { Ok(()) })
    }
}

impl Store {
    /// Appends an entry, and returns when it is on disk. [`StoreError::Busy`] if too many wait: then whatever it is
    /// about must not be answered.
    pub(crate) async fn audit(&self, entry: Entry) -> Result<(), StoreError> {
        self.writer.write(Log(entry)).await
    }
}
