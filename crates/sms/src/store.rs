//! What the SMS keeps, in `SQLite` or PostgreSQL: secrets, challenges, sessions, used nonces, the audit log. Every
//! secret value is sealed (`vault.rs`).
//!
//! One file per table; nothing here decides who may do what. Reads have connections of their own (`engine.rs`); all
//! writes go through tasks that commit many at once (`writer.rs`).

mod audit;
mod backup;
mod challenges;
mod engine;
mod error;
pub(crate) mod export;
mod kek;
mod keys;
mod location;
mod nonces;
pub(crate) mod prune;
mod refusals;
pub(crate) mod rotation;
mod secrets;
mod sessions;
mod task_secrets;
pub(crate) mod verify;
mod writer;

use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use iexec_service::clock;

use self::{
    engine::{Engine, Place},
    keys::KeyRing,
    refusals::Refusals,
    writer::{Batch, Write, Writer},
};

pub(crate) use audit::{Entry, Event};
pub use backup::{BackupCounts, BackupKey, BackupTo};
pub(crate) use backup::{backup, restore};
pub(crate) use challenges::{ChallengeKey, broker_address};
pub(crate) use error::StoreError;
pub use export::AuditPart;
pub use location::{DatabaseUrl, KekSource, Location};
pub(crate) use refusals::{Refused, Source};
pub use rotation::{KeyLine, Rotated};
pub(crate) use secrets::{Created, Deleted, Fence, Listed, Put, Updated};
pub(crate) use sessions::{Pending, Stored};
pub use verify::AuditHead;

/// The database's name in the data folder.
const DATABASE: &str = "sms.sqlite";
/// The key-encryption key's name in the data folder.
const MASTER_KEY: &str = "master.key";
/// Secrets that one owner may have, unless the operator says otherwise.
pub(crate) const QUOTA: u64 = 1000;

/// The SMS's store. It must be made inside a tokio runtime, which runs its writer.
pub(crate) struct Store {
    engine: Arc<Engine>,
    ring: Arc<KeyRing>,
    writer: Arc<Writer>,
    /// Of challenges and sessions.
    session_writer: Arc<Writer>,
    refusals: Refusals,
    quota: u64,
}

impl Store {
    /// Opens or makes the store, with its keys (spec SMS-20, SMS-21). Of `SQLite`, one process alone.
    pub(crate) async fn open(location: &Location) -> anyhow::Result<Self> {
        let (engine, ring) = open(location, true).await?;
        let (engine, ring) = (Arc::new(engine), Arc::new(ring));
        let (writer, session_writer) = writer::start(&engine, &ring);
        Ok(Self { engine, ring, writer, session_writer, refusals: Refusals::default(), quota: QUOTA })
    }

    /// The same, with this many secrets per owner.
    #[must_use]
    pub(crate) fn with_quota(self, quota: u64) -> Self {
        Self { quota, ..self }
    }

    /// Tells the log what was counted, does the writes that wait, and closes: then another may open it.
    pub(crate) async fn close(&self) {
        if let Err(error) = self.tell_refusals().await {
            tracing::warn!("refusals since the last minute are not in the audit log: {error}");
        }
        self.writer.close().await;
        self.session_writer.close().await;
        self.engine.close().await;
    }

    /// Forgets challenges, sessions and nonces that ended before `time` (spec SMS-34).
    pub(crate) async fn purge(&self, time: u64) -> Result<u64, StoreError> {
        self.writer.write(Purge(stored_time(time))).await
    }

    /// Whether the database answers.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        let answer = self.engine.read(|db| {
            Box::pin(async move { Ok(sqlx::query("SELECT seq FROM audit_head").fetch_optional(db).await?) })
        });
        answer.await.map(drop)
    }
}

/// Opens a store: its database, its keys. A service opens it `exclusive`ly, and brings its schema up to date; others
/// open what is there.
async fn open(location: &Location, exclusive: bool) -> anyhow::Result<(Engine, KeyRing)> {
    let place = place(location, exclusive);
    let name = name(location);
    let engine = Engine::open(place).await.with_context(|| format!("the store {name}"))?;
    let mut db = engine.connect().await.with_context(|| format!("the store {name}"))?;
    let now = stored_time(clock::now());
    let mut transaction = writer::begin(engine.kind, &mut db).await?;
    let ready = if exclusive {
        engine::migrate(engine.kind, &mut transaction).await
    } else {
        engine::check_schema(engine.kind, &mut transaction).await
    };
    ready.with_context(|| format!("the store {name}"))?;
    let ring = KeyRing::open(engine.kind, &mut transaction, &location.kek, &location.data, now).await;
    let ring = ring.with_context(|| format!("the keys of the store {name}"))?;
    transaction.commit().await.with_context(|| format!("the store {name}"))?;
    Ok((engine, ring))
}

/// Reaches a store beside its service, as it is: without its keys, and never changing its schema.
async fn reach(location: &Location) -> anyhow::Result<Engine> {
    let name = name(location);
    let engine = Engine::open(place(location, false)).await.with_context(|| format!("the store {name}"))?;
    let mut db = engine.connect().await?;
    engine::check_schema(engine.kind, &mut db).await.with_context(|| format!("the store {name}"))?;
    Ok(engine)
}

fn place(location: &Location, exclusive: bool) -> Place {
    match &location.database {
        Some(url) => Place::Server(url.clone()),
        None => Place::File { path: location.data.join(DATABASE), exclusive },
    }
}

fn name(location: &Location) -> String {
    match &location.database {
        Some(url) => url.to_string(),
        None => location.data.join(DATABASE).display().to_string(),
    }
}

struct Purge(i64);

impl Write for Purge {
    type Reply = u64;

    fn run<'a>(&'a self, batch: &'a mut Batch<'_>) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let mut gone = 0;
            for statement in [
                "DELETE FROM challenge WHERE deadline < $1",
                "DELETE FROM session WHERE expires < $1",
                "DELETE FROM used_nonce WHERE deadline < $1",
            ] {
                gone += sqlx::query(statement).bind(self.0).execute(&mut *batch.db).await?.rows_affected();
            }
            Ok(gone)
        })
    }
}

/// The databases' integers are signed; times beyond are as far away as any.
fn stored_time(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

fn read_time(time: i64) -> u64 {
    u64::try_from(time).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests;
