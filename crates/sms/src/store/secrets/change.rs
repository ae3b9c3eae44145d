//! Changes of a secret's value: created, updated (v1), put (v2); decided and written in one transaction.

use futures_util::future::BoxFuture;
use iexec_protocol::{call::sms::SecretId, session::SecretText};

use super::{
    Created, Fence, Place, Put, Store, StoreError, TABLE, Updated,
    outcome::Outcome,
    quota::{Marked, Quota},
    raced, read_version,
};
use crate::{
    secret::Approved,
    store::{
        audit::Event,
        stored_time,
        writer::{Batch, Write},
    },
    vault::Row,
};

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
    quota: Quota,
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

    async fn change(&self, approved: &Approved<'_>, rule: Rule) -> Result<Outcome, StoreError> {
        let place = Place::of(approved.id());
        let (request, signer) = match &rule {
            Rule::Create | Rule::Update => ("set", None),
            Rule::Put(fence) => ("put", Some(fence.signer)),
        };
        let twin = if signer.is_some() { None } else { Place::twin(approved.id()) };
        let (value, quota) = (approved.value().clone(), Quota(self.quota));
        let outcome = self.writer.write(Change { place: place.clone(), twin, value, rule, quota }).await?;
        if let Some(cause) = outcome.refusal() {
            self.refused_at(&place, request, cause, signer).await?;
        }
        Ok(outcome)
    }
}

impl Write for Change {
    type Reply = Outcome;

    fn run<'a>(&'a self, batch: &'a mut Batch<'_>) -> BoxFuture<'a, Result<Outcome, StoreError>> {
        Box::pin(async move {
            let outcome = self.decide(batch).await?;
            if let Outcome::Kept(version) = &outcome {
                let entry = self.place.entry(Event::SecretWritten).number("version", *version);
                batch.log(match &self.rule {
                    Rule::Put(fence) => entry.by(fence.signer),
                    Rule::Create | Rule::Update => entry,
                });
            }
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
        let found = self.place.look(batch.db, self.twin(batch)).await?;
        let row = self.place.row();
        match (&self.rule, &found.live) {
            (Rule::Create, Some(_)) => return Ok(Outcome::Exists),
            (Rule::Update, None) => return Ok(Outcome::Absent),
            (Rule::Update, Some((sealed, key))) => {
                let keys = batch.ring.with(batch.db, *key).await?;
                if keys.open(TABLE, *key, &row, sealed)?.as_slice() == self.value.expose().as_bytes() {
                    return Ok(Outcome::Unchanged);
                }
            }
            (Rule::Put(fence), _) if stored_time(fence.version) != found.version => {
                return Ok(Outcome::Version(read_version(found.version)));
            }
            _ => (),
        }
        if found.twin_had_it {
            return Ok(Outcome::OtherKind);
        }
        if found.live.is_none() && !batch.grown.admit(self.place.owner, self.quota, &found) {
            return Ok(Outcome::Full);
        }
        let new = self.remember(batch, &row).await?;
        if !new && !matches!(self.rule, Rule::Put(_)) {
            return Ok(Outcome::Returned);
        }
        self.keep(batch, &row, found.version).await?;
        Ok(Outcome::Kept(read_version(found.version + 1)))
    }

    /// Where the same signature is good, and the value's mark there.
    fn twin(&self, batch: &Batch<'_>) -> Option<Marked<'_>> {
        let twin = self.twin.as_ref()?;
        Some((twin, batch.keys.mark(&twin.row(), self.value.expose().as_bytes())))
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
}
