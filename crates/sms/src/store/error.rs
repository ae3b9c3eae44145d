//! How the store fails: the database is away, or the database has an answer that should not be.

use std::sync::Arc;

use thiserror::Error;

use crate::vault::VaultError;

/// The store failed. Unless it says otherwise, nothing was changed.
#[derive(Clone, Debug, Error)]
pub(crate) enum StoreError {
    /// The database cannot be reached, is full, stops or starts. A request that fails so may be sent again later; whether
    /// a write that was being committed is kept, is not known.
    #[error("the database is not available: {0}")]
    Unavailable(Arc<sqlx::Error>),
    /// More writes wait than the store takes.
    #[error("too many writes wait for the database")]
    Busy,
    /// Another process wrote the same row at the same time.
    #[error("the store's table {table}: another process wrote the same row")]
    Raced {
        /// Where.
        table: &'static str,
    },
    /// The database answers with an error.
    #[error("the database failed: {0}")]
    Database(Arc<sqlx::Error>),
    /// A value that does not open, or cannot be sealed.
    #[error("the store's table {table}: {source}")]
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
    pub(super) fn vault(table: &'static str) -> impl Fn(VaultError) -> Self {
        move |source| Self::Vault { table, source }
    }

    pub(super) fn row(table: &'static str, cause: &impl ToString) -> Self {
        Self::Row { table, cause: cause.to_string() }
    }

    /// Whether it passes: to be answered with 503 and `Retry-After` (spec SMS-15).
    pub(crate) fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy | Self::Raced { .. })
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if is_passing(&error) { Self::Unavailable(Arc::new(error)) } else { Self::Database(Arc::new(error)) }
    }
}

/// Whether the connection is of no use any more.
pub(super) fn is_broken(error: &sqlx::Error) -> bool {
    use sqlx::Error::{Database, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    match error {
        Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed => true,
        // 57P01 to 57P03: the server stops or starts. Class 08: the connection.
        Database(error) => error.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08")),
        _ => false,
    }
}

/// What passes by itself, or when an operator makes room: never the caller's fault.
fn is_passing(error: &sqlx::Error) -> bool {
    if is_broken(error) {
        return true;
    }
    let Some(error) = error.as_database_error() else { return false };
    let Some(code) = error.code() else { return false };
    // PostgreSQL: 53 no resources (53100 disk full), 55P03 lock, 25006 read-only while it fails over, 40 a serialisation.
    if code.len() == 5 {
        return code.starts_with("53") || code.starts_with("40") || matches!(&*code, "55P03" | "25006" | "58030");
    }
    // SQLite's result codes, with their extended ones: BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN.
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14))
}
