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

const MIGRATIONS: &[&str] = &[include_str!("store/schema.sql"), iexec_service::login::SCHEMA];

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

    /// The login challenges' store (see [`iexec_service::login`]).
    pub(crate) fn logins(&self) -> &iexec_service::Store {
        &self.sqlite
    }

    /// Waits until nothing is written any more.
    pub(crate) async fn close(&self) {
        self.sqlite.pool().close().await;
    }
}

/// The integers of `SQLite` are signed; a time beyond them is as far away as any other.
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
