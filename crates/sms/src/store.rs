//! What the SMS keeps, in `SQLite`: secrets, challenges, sessions. Every secret value is sealed in the [`Vault`].
//!
//! One file per table; nothing here decides who may do what.

mod challenges;
mod master_key;
mod secrets;
mod sessions;

use std::path::Path;

use anyhow::Context as _;
use iexec_service::store::{self, Store as Sqlite};
use thiserror::Error;

pub(crate) use secrets::{Created, Updated};
pub(crate) use sessions::{Pending, Stored};

use crate::vault::{Vault, VaultError};

/// The database's name in the data folder.
const DATABASE: &str = "sms.sqlite";
/// The master key's name in the data folder.
const MASTER_KEY: &str = "master.key";

const MIGRATIONS: &[&str] = &[include_str!("../schema/1.sql")];

/// The SMS's store.
pub(crate) struct Store {
    sqlite: Sqlite,
    vault: Vault,
}

impl Store {
    /// Opens or makes the store in `folder`, with its master key beside it (spec SMS-21).
    pub(crate) async fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(DATABASE);
        // The database's lock keeps a second process from making a second key.
        let sqlite = store::open_sqlite(&path, MIGRATIONS).await?;
        let key = folder.join(MASTER_KEY);
        let vault = master_key::unlock(&sqlite, &key).await;
        let vault = vault.with_context(|| format!("the master key {} of {}", key.display(), path.display()))?;
        Ok(Self { sqlite, vault })
    }

    /// Forgets challenges and sessions that ended before `time` (spec SMS-34).
    pub(crate) async fn purge(&self, time: u64) -> Result<u64, StoreError> {
        let time = stored_time(time);
        let mut gone = 0;
        for statement in ["DELETE FROM challenge WHERE deadline < ?", "DELETE FROM session WHERE expires < ?"] {
            gone += sqlx::query(statement).bind(time).execute(self.sqlite.pool()).await?.rows_affected();
        }
        Ok(gone)
    }
}

/// `SQLite`'s integers are signed; times beyond are as far away as any.
fn stored_time(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

fn read_time(time: i64) -> u64 {
    u64::try_from(time).unwrap_or_default()
}

/// The store failed. Nothing was changed.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    /// The database.
    #[error("the store failed")]
    Sqlite(#[from] sqlx::Error),
    /// A value that does not open, or cannot be sealed.
    #[error("the store's table {table}")]
    Vault {
        /// Where.
        table: &'static str,
        /// Why.
        source: VaultError,
    },
    /// A row that this program did not write.
    #[error("the store's table {table} holds a row that cannot be read: {cause}")]
    Row {
        /// Where.
        table: &'static str,
        /// What does not fit.
        cause: String,
    },
}

impl StoreError {
    fn vault(table: &'static str) -> impl Fn(VaultError) -> Self {
        move |source| Self::Vault { table, source }
    }

    fn row(table: &'static str, cause: &impl ToString) -> Self {
        Self::Row { table, cause: cause.to_string() }
    }
}

#[cfg(test)]
mod tests;
