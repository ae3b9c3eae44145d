//! The scheduler's rows: the cursor, deals, tasks and their history. Every change of a task names the version it read.
//!
//! It decides nothing: states come from [`Task::step`], lines of history from [`crate::history`].

mod deals;
mod report;
mod tasks;

use std::path::Path;

use anyhow::{Context as _, bail};
use iexec_protocol::{
    Address,
    id::{DealId, TaskId},
    tag::Tag,
    task::{Deadlines, Task},
};

pub(crate) use self::{
    deals::NewDeal,
    report::{Line, TaskReport},
};

const MIGRATIONS: &[&str] = &[include_str!("store/schema.sql")];

/// The open store; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    sqlite: iexec_service::Store,
}

/// A task as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its id.
    pub(crate) id: TaskId,
    /// Its deal.
    pub(crate) deal: DealId,
    /// Its index in the deal.
    pub(crate) index: u64,
    /// The deal's tag.
    pub(crate) tag: Tag,
    /// When its time is up.
    pub(crate) deadlines: Deadlines,
    /// Its state.
    pub(crate) task: Task,
    /// How often it changed.
    pub(crate) version: i64,
}

impl Store {
    /// Opens or makes the store of one workerpool on one chain; `start` is the first block to read when it is new.
    pub(crate) async fn open(path: &Path, network: &str, start: u64) -> anyhow::Result<Self> {
        let sqlite = iexec_service::store::open_sqlite(path, MIGRATIONS).await?;
        let store = Self { sqlite };
        sqlx::query("INSERT INTO cursor (id, network, next_block) VALUES (0, ?, ?) ON CONFLICT DO NOTHING")
            .bind(network)
            .bind(stored(start))
            .execute(store.sqlite.pool())
            .await?;
        let found: String = sqlx::query_scalar("SELECT network FROM cursor").fetch_one(store.sqlite.pool()).await?;
        if found != network {
            bail!(
                "the data {} is of {found}, the configuration says {network}\nhint: choose another data directory",
                path.display()
            );
        }
        Ok(store)
    }

    /// 32 random bytes, drawn once for this store.
    pub(crate) async fn login_secret(&self) -> anyhow::Result<[u8; 32]> {
        let mut drawn = [0_u8; 32];
        rand::TryRngCore::try_fill_bytes(&mut rand::rngs::OsRng, &mut drawn).context("no randomness")?;
        sqlx::query("INSERT INTO login_secret (id, bytes) VALUES (0, ?) ON CONFLICT DO NOTHING")
            .bind(drawn.as_slice())
            .execute(self.sqlite.pool())
            .await?;
        let kept: Vec<u8> = sqlx::query_scalar("SELECT bytes FROM login_secret").fetch_one(self.sqlite.pool()).await?;
        kept.try_into().map_err(|_| anyhow::anyhow!("login_secret is not 32 bytes"))
    }
}

/// SQLite's integers are signed; a time beyond them is as far away as any other.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn loaded(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn address(text: &str) -> anyhow::Result<Address> {
    text.parse().with_context(|| format!("the store holds {text:?} where an address belongs"))
}

#[cfg(test)]
mod tests;
