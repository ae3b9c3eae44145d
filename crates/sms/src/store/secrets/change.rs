//! Changes of secrets: created, updated (v1), put, deleted (v2); decided and written in one transaction.

use futures_util::future::BoxFuture;
use iexec_protocol::{Address, B256, Timestamp, call::sms::SecretId, session::SecretText};
use sqlx::AnyConnection;

use super::{Place, Store, StoreError, TABLE};
use crate::{
    secret::Approved,
    store::{
        audit::{Entry, Event},
        stored_time,
        writer::{Batch, Write},
    },
    vault::Row,
};

/// Deleted secrets that an owner may leave behind, as a multiple of the quota.
const TOMBSTONES: u64 = 10;

/// Whether a secret was kept for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It is kept now.
    Kept,
    /// There is one already; nothing changed.
    Exists,
    /// It was deleted, and had this value before: nothing changed.
    Returned,
    /// The value was kept by the same signature as a secret of another kind: nothing changed.
    OtherKind,
    /// The owner has as many as it may have: nothing changed.
    Full,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Updated {
    /// The value is kept now, or was the current one.
    Kept,
    /// There is none to update.
    Absent,
    /// The value was replaced before: nothing changed.
    Returned,
    /// The value was kept by the same signature as a secret of another kind: nothing changed.
    OtherKind,
}

/// What became of a value that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is kept, as this version.
    Kept(u64),
    /// It is at this version, not at the expected one: nothing changed. 0: it was never there.
    Version(u64),
    /// The owner has as many as it may have: nothing changed.
    Full,
    /// The nonce was used before: nothing changed.
    NonceUsed,
}

/// What became of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// It is gone; the deletion is this version.
    Gone(u64),
    /// There is none.
    Absent,
    /// It is at this version, not at the expected one: nothing changed.
    Version(u64),
    /// The nonce was used before: nothing changed.
    NonceUsed,
}

/// What keeps a signed request from counting twice, or for a state that its signer did not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    /// Who signed.
    pub(crate) signer: Address,
    /// Used once by this signer, whatever became of the request.
    pub(crate) nonce: B256,
    /// When the request ends to be valid: the nonce is remembered till then.
    pub(crate) deadline: Timestamp,
    /// The version that the secret is at: 0 if it was never there; a deletion counts as one.
    pub(crate) version: u64,
}

enum Rule {
    Create,
    Update,
    Put(Fence),
}

struct Change {
    place: Place,
    /// Where iExec's signature for this secret would be good as well (v1).
    twin: Option<Place>,
    value: SecretText,
    rule: Rule,
    quota: u64,
}

enum Outcome {
    Kept(u64),
    Unchanged,
    Exists,
    Absent,
    Returned,
    OtherKind,
    Version(u64),
    Full,
    NonceUsed,
}

impl Outcome {
    /// Why nothing was written.
    fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Kept(_) | Self::Unchanged => None,
            Self::Exists => Some("exists"),
            Self::Absent => Some("absent"),
            Self::Returned => Some("value returned"),
            Self::OtherKind => Some("signature of another kind"),
            Self::Version(_) => Some("version"),
            Self::Full => Some("quota"),
            Self::NonceUsed => Some("nonce used"),
        }
    }
}

impl Store {
    /// Keeps a secret that is not there (v1).
    pub(crate) async fn create_secret(&self, approved: Approved<'_>) -> Result<Created, StoreError> {
        match self.change(&approved, Rule::Create).await? {
            Outcome::Kept(_) => Ok(Created::Kept),
            Outcome::Returned => Ok(Created::Returned),
            Outcome::OtherKind => Ok(Created::OtherKind),
            Outcome::Full => Ok(Created::Full),
            _ => Ok(Created::Exists),
        }
    }

    /// Replaces a secret's value by one that it never had (v1; spec SMS-14).
    pub(crate) async fn update_secret(&self, approved: Approved<'_>) -> Result<Updated, StoreError> {
        match self.change(&approved, Rule::Update).await? {
            Outcome::Kept(_) | Outcome::Unchanged => Ok(Updated::Kept),
            Outcome::Returned => Ok(Updated::Returned),
            Outcome::OtherKind => Ok(Updated::OtherKind),
            _ => Ok(Updated::Absent),
        }
    }

    /// Keeps a value as the version after the one that the fence expects (v2). It may be one that was there before.
    pub(crate) async fn put_secret(&self, approved: Approved<'_>, fence: Fence) -> Result<Put, StoreError> {
        match self.change(&approved, Rule::Put(fence)).await? {
            Outcome::Kept(version) => Ok(Put::Kept(version)),
            Outcome::Version(version) => Ok(Put::Version(version)),
            Outcome::NonceUsed => Ok(Put::NonceUsed),
            _ => Ok(Put::Full),
        }
    }

    /// Deletes a secret's value (v2); who may, the caller has checked.
    pub(crate) async fn delete_secret(&self, id: &SecretId, fence: Fence) -> Result<Deleted, StoreError> {
        self.writer.write(Deletion { place: Place::of(id), fence }).await
    }

    async fn change(&self, approved: &Approved<'_>, rule: Rule) -> Result<Outcome, StoreError> {
        let (place, value) = (Place::of(approved.id()), approved.value().clone());
        let twin = if matches!(rule, Rule::Put(_)) { None } else { Place::twin(approved.id()) };
        self.writer.write(Change { place, twin, value, rule, quota: self.quota }).await
    }
}

impl Write for Change {
    type Reply = Outcome;

    fn run<'a>(&'a self, batch: &'a mut Batch<'_>) -> BoxFuture<'a, Result<Outcome, StoreError>> {
        Box::pin(async move {
            let outcome = self.decide(batch).await?;
            let entry = match (&outcome, outcome.refusal()) {
                (Outcome::Kept(version), _) => self.place.entry(Event::SecretWritten).number("version", *version),
                (_, Some(cause)) => self.place.entry(Event::Refused).with("cause", cause),
                _ => return Ok(outcome),
            };
            batch.log(match &self.rule {
                Rule::Put(fence) => entry.by(fence.signer),
                Rule::Create | Rule::Update => entry,
            });
            Ok(outcome)
        })
    }
}

impl Change {
    async fn decide(&self, batch: &mut Batch<'_>) -> Result<Outcome, StoreError> {
        if let Rule::Put(fence) = &self.rule
            && !fence.take(batch).await?
        {
            return Ok(Outcome::NonceUsed);
        }
        let current = self.place.current(batch.db).await?;
        let version = current.as_ref().map_or(0, |(_, _, version)| *version);
        let live = current.and_then(|(sealed, key, _)| Some((sealed?, key)));
        let row = self.place.row();
        match (&self.rule, &live) {
            (Rule::Create, Some(_)) => return Ok(Outcome::Exists),
            (Rule::Update, None) => return Ok(Outcome::Absent),
            (Rule::Update, Some((sealed, key))) => {
                let keys = batch.ring.with(batch.db, *key).await?;
                if keys.open(TABLE, *key, &row, sealed)?.as_slice() == self.value.expose().as_bytes() {
                    return Ok(Outcome::Unchanged);
                }
            }
            (Rule::Put(fence), _) if stored_time(fence.version) != version => {
                return Ok(Outcome::Version(read_version(version)));
            }
            _ => (),
        }
        if self.twin_had_it(batch).await? {
            return Ok(Outcome::OtherKind);
        }
        if live.is_none() && self.is_full(batch, version > 0).await? {
            return Ok(Outcome::Full);
        }
        let new = self.remember(batch, &row).await?;
        if !new && !matches!(self.rule, Rule::Put(_)) {
            return Ok(Outcome::Returned);
        }
        self.keep(batch, &row, version).await?;
        Ok(Outcome::Kept(read_version(version + 1)))
    }

    /// Whether the value was ever kept where the same signature is good.
    async fn twin_had_it(&self, batch: &mut Batch<'_>) -> Result<bool, StoreError> {
        let Some(twin) = &self.twin else { return Ok(false) };
        let mark = batch.keys.mark(&twin.row(), self.value.expose().as_bytes());
        let select = "SELECT count(*) FROM secret_mark WHERE kind = $1 AND owner = $2 AND name = $3 AND mark = $4";
        let query = sqlx::query_scalar::<_, i64>(select).bind(twin.kind).bind(twin.owner.as_slice());
        let found = query.bind(twin.name.as_str()).bind(mark).fetch_one(&mut *batch.db).await?;
        Ok(found > 0)
    }

    /// Whether one more value is too many.
    async fn is_full(&self, batch: &mut Batch<'_>, had_row: bool) -> Result<bool, StoreError> {
        let count = "SELECT count(*), count(sealed) FROM secret WHERE owner = $1";
        let query = sqlx::query_as(count).bind(self.place.owner.as_slice());
        let (rows, live): (i64, i64) = query.fetch_one(&mut *batch.db).await?;
        let rows_left = had_row || read_version(rows) < self.quota.saturating_mul(TOMBSTONES);
        Ok(read_version(live) >= self.quota || !rows_left)
    }

    /// Whether the value is new here; it is remembered from now on.
    async fn remember(&self, batch: &mut Batch<'_>, row: &Row) -> Result<bool, StoreError> {
        let mark = batch.keys.mark(row, self.value.expose().as_bytes());
        let insert = "INSERT INTO secret_mark (kind, owner, name, mark) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        let query = sqlx::query(insert).bind(self.place.kind).bind(self.place.owner.as_slice());
        let query = query.bind(self.place.name.as_str()).bind(mark);
        Ok(query.execute(&mut *batch.db).await?.rows_affected() == 1)
    }

    /// Another process may have kept one since `version` was read: then this write runs again, and sees it.
    async fn keep(&self, batch: &mut Batch<'_>, row: &Row, version: i64) -> Result<(), StoreError> {
        let sealed = batch.keys.seal(TABLE, batch.active, row, self.value.expose().as_bytes())?;
        let statement = if version == 0 {
            "INSERT INTO secret (owner, kind, name, sealed, key_id, version, updated, created)
             VALUES ($1, $2, $3, $4, $5, $6 + 1, $7, $7) ON CONFLICT DO NOTHING"
        } else {
            "UPDATE secret SET sealed = $4, key_id = $5, version = version + 1, updated = $7
             WHERE owner = $1 AND kind = $2 AND name = $3 AND version = $6"
        };
        let query = sqlx::query(statement).bind(self.place.owner.as_slice()).bind(self.place.kind);
        let query = query.bind(self.place.name.as_str()).bind(sealed).bind(batch.active).bind(version).bind(batch.now);
        raced(query.execute(&mut *batch.db).await?.rows_affected())
    }
}

/// A write that another process came before.
fn raced(changed: u64) -> Result<(), StoreError> {
    if changed == 1 { Ok(()) } else { Err(StoreError::Raced { table: TABLE }) }
}

struct Deletion {
    place: Place,
    fence: Fence,
}

impl Write for Deletion {
    type Reply = Deleted;

    fn run<'a>(&'a self, batch: &'a mut Batch<'_>) -> BoxFuture<'a, Result<Deleted, StoreError>> {
        Box::pin(async move {
            let outcome = self.decide(batch).await?;
            let refused = |cause: &str| self.place.entry(Event::Refused).with("cause", cause);
            let entry = match outcome {
                Deleted::Gone(version) => self.place.entry(Event::SecretDeleted).number("version", version),
                Deleted::Absent => refused("absent"),
                Deleted::Version(_) => refused("version"),
                Deleted::NonceUsed => refused("nonce used"),
            };
            batch.log(entry.by(self.fence.signer));
            Ok(outcome)
        })
    }
}

impl Deletion {
    async fn decide(&self, batch: &mut Batch<'_>) -> Result<Deleted, StoreError> {
        if !self.fence.take(batch).await? {
            return Ok(Deleted::NonceUsed);
        }
        let Some((Some(_), _, version)) = self.place.current(batch.db).await? else { return Ok(Deleted::Absent) };
        if stored_time(self.fence.version) != version {
            return Ok(Deleted::Version(read_version(version)));
        }
        let update = "UPDATE secret SET sealed = NULL, version = version + 1, updated = $4
                      WHERE owner = $1 AND kind = $2 AND name = $3 AND version = $5";
        let query = sqlx::query(update).bind(self.place.owner.as_slice()).bind(self.place.kind);
        let query = query.bind(self.place.name.as_str()).bind(batch.now).bind(version);
        raced(query.execute(&mut *batch.db).await?.rows_affected())?;
        Ok(Deleted::Gone(read_version(version + 1)))
    }
}

impl Fence {
    /// Uses the nonce up; `false` if it was.
    async fn take(&self, batch: &mut Batch<'_>) -> Result<bool, StoreError> {
        take_nonce(batch.db, self.signer, self.nonce, self.deadline).await
    }
}

/// Uses a signer's nonce up; `false` if it was used before.
pub(in crate::store) async fn take_nonce(
    db: &mut AnyConnection,
    signer: Address,
    nonce: B256,
    deadline: Timestamp,
) -> Result<bool, StoreError> {
    let insert = "INSERT INTO used_nonce (signer, nonce, deadline) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let query = sqlx::query(insert).bind(signer.as_slice()).bind(nonce.as_slice()).bind(stored_time(deadline));
    Ok(query.execute(db).await?.rows_affected() == 1)
}

impl Place {
    /// The secret of another kind that iExec's signature for this one is good for: web2 and requesters' secrets have one
    /// form of challenge (spec SMS-16).
    fn twin(id: &SecretId) -> Option<Self> {
        match id {
            SecretId::Web2 { owner, name } => {
                Some(Self::of(&SecretId::Requester { requester: *owner, key: name.clone() }))
            }
            SecretId::Requester { requester, key } => {
                Some(Self::of(&SecretId::Web2 { owner: *requester, name: key.clone() }))
            }
            _ => None,
        }
    }

    fn entry(&self, event: Event) -> Entry {
        Entry::new(event).with("kind", self.kind).with("owner", self.owner).with("name", &self.name)
    }
}

fn read_version(version: i64) -> u64 {
    u64::try_from(version).unwrap_or_default()
}
