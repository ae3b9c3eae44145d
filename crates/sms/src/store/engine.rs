//! The two databases: how each is reached, and the few words in which their SQL differs.
//!
//! Every statement of the store is written once, with `$1` placeholders, for both.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures_util::future::BoxFuture;
use iexec_service::store as files;
use sqlx::{AnyConnection, AssertSqlSafe, ConnectOptions as _, Connection as _, any::AnyConnectOptions};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{StoreError, error::is_broken};

/// Connections that answer reads.
const READERS: u32 = 4;
/// How long a read waits for one of them, and a new one for the database.
const WAIT: Duration = Duration::from_secs(5);

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    /// Starts a transaction that writes. `SQLite` takes its only lock at once.
    pub(super) const fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Starts a transaction that sees the database as it is now, to its end.
    pub(super) const fn snapshot(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// Of two statements that mean the same, this database's.
    pub(super) const fn pick(self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }
}

/// Where the store is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A file; `exclusive` for the one service that runs on it.
    File { path: PathBuf, exclusive: bool },
    /// A server.
    Server(super::DatabaseUrl),
}

/// A database with connections to it.
pub(super) struct Engine {
    pub(super) kind: Kind,
    options: AnyConnectOptions,
    idle: Mutex<Vec<AnyConnection>>,
    permits: Semaphore,
    /// Of a file that is used alone, until the engine is closed.
    lock: Mutex<Option<File>>,
}

impl Engine {
    /// Reaches the database; a file is made if it is to be used alone.
    pub(super) async fn open(place: Place) -> anyhow::Result<Self> {
        sqlx::any::install_default_drivers();
        let (kind, url, lock) = match place {
            Place::File { path, exclusive } => {
                let lock = if exclusive { Some(prepare(&path)?) } else { None };
                if !path.exists() {
                    bail!("there is no store {}\nhint: --data names the folder of an SMS", path.display());
                }
                (Kind::Sqlite, sqlite_url(&path)?, lock)
            }
            Place::Server(url) => (Kind::Postgres, url.with_password()?, None),
        };
        // Statements are not logged: it costs more than most of them.
        let options = AnyConnectOptions::from_url(&url)?.disable_statement_logging();
        let (idle, permits, lock) = (Mutex::default(), Semaphore::new(READERS as usize), Mutex::new(lock));
        let engine = Self { kind, options, idle, permits, lock };
        let first = engine.connect().await.context("the database cannot be reached")?;
        engine.put_back(first);
        Ok(engine)
    }

    /// A connection of one's own.
    pub(super) async fn connect(&self) -> Result<AnyConnection, StoreError> {
        let connecting = tokio::time::timeout(WAIT, AnyConnection::connect_with(&self.options));
        let mut db = connecting.await.map_err(|_| sqlx::Error::PoolTimedOut)??;
        let settings = self.kind.pick(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;
             PRAGMA cache_size = -8192;",
            "SET synchronous_commit = on; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s';",
        );
        sqlx::raw_sql(settings).execute(&mut db).await?;
        Ok(db)
    }

    /// Reads on a connection that lives on; one that turns out dead is replaced, once. `read` does not write.
    pub(super) async fn read<T>(
        &self,
        read: impl for<'a> Fn(&'a mut AnyConnection) -> BoxFuture<'a, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let _permit = self.permit().await?;
        let idle = self.take();
        let was_idle = idle.is_some();
        let mut db = match idle {
            Some(db) => db,
            None => self.connect().await?,
        };
        match read(&mut db).await {
            Err(StoreError::Unavailable(error)) if is_broken(&error) => {
                // What waited beside it met the same end.
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
                if !was_idle {
                    return Err(StoreError::Unavailable(error));
                }
                db = self.connect().await?;
                let done = read(&mut db).await?;
                self.put_back(db);
                Ok(done)
            }
            done => {
                self.put_back(db);
                done
            }
        }
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        let permit = tokio::time::timeout(WAIT, self.permits.acquire()).await;
        permit.ok().and_then(Result::ok).ok_or_else(|| StoreError::Unavailable(Arc::new(sqlx::Error::PoolTimedOut)))
    }

    fn take(&self) -> Option<AnyConnection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put_back(&self, db: AnyConnection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
    }

    /// Waits for who reads, closes all connections, and leaves the file to others. Later reads are refused.
    pub(super) async fn close(&self) {
        // Whoever reads longer than this reads on a connection of a file that may be another's: no harm, they only read.
        let _all = tokio::time::timeout(WAIT, self.permits.acquire_many(READERS)).await;
        self.permits.close();
        while let Some(db) = self.take() {
            // The database forgets a connection that does not say goodbye.
            let _ = db.close().await;
        }
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

fn prepare(path: &Path) -> anyhow::Result<File> {
    let lock = files::lock(path)?;
    files::private_file(path)?;
    Ok(lock)
}

fn sqlite_url(path: &Path) -> anyhow::Result<url::Url> {
    let path = std::path::absolute(path)?;
    let mut url = url::Url::from_file_path(&path)
        .map_err(|()| anyhow::anyhow!("the path {} is not UTF-8", path.display()))?
        .to_string();
    url.replace_range(.."file".len(), "sqlite");
    Ok(url.parse()?)
}

/// Schemas one after the other; never change one that was released.
const SQLITE: [&str; SCHEMA] = [
    include_str!("../../schema/sqlite/1.sql"),
    include_str!("../../schema/sqlite/2.sql"),
    include_str!("../../schema/sqlite/3.sql"),
];
const POSTGRES: [&str; SCHEMA] =
    ["", include_str!("../../schema/postgres/2.sql"), include_str!("../../schema/postgres/3.sql")];
/// This program's schema.
const SCHEMA: usize = 3;

/// Brings the schema to this program's.
pub(super) async fn migrate(kind: Kind, db: &mut AnyConnection) -> anyhow::Result<()> {
    let migrations: &[&'static str] = match kind {
        Kind::Sqlite => &SQLITE,
        Kind::Postgres => &POSTGRES,
    };
    let seen = usize::try_from(schema(kind, db).await?)?;
    if seen > SCHEMA {
        bail!("it has schema {seen}, this program knows {SCHEMA}\nhint: it was written by a newer version");
    }
    for migration in migrations[seen..].iter().filter(|migration| !migration.is_empty()) {
        sqlx::raw_sql(*migration).execute(&mut *db).await?;
    }
    // A number of our own: nothing from outside gets into the statement.
    let set = match kind {
        Kind::Sqlite => format!("PRAGMA user_version = {SCHEMA}"),
        Kind::Postgres => format!("UPDATE schema_version SET version = {SCHEMA}"),
    };
    sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut *db).await?;
    Ok(())
}

/// Whether the database has this program's schema.
pub(super) async fn check_schema(kind: Kind, db: &mut AnyConnection) -> anyhow::Result<()> {
    let version = kind.pick("PRAGMA user_version", "SELECT version FROM schema_version");
    let version: i64 = sqlx::query_scalar(version).fetch_one(db).await.context("it is no store of an SMS")?;
    if usize::try_from(version).is_ok_and(|version| version == SCHEMA) {
        return Ok(());
    }
    bail!(
        "it has schema {version}, this program knows {SCHEMA}\nhint: a newer SMS migrates an older store when it starts"
    )
}

/// The schema that the database has. On PostgreSQL, replicas that start together wait here for each other.
pub(super) async fn schema(kind: Kind, db: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    if kind == Kind::Sqlite {
        return sqlx::query_scalar("PRAGMA user_version").fetch_one(db).await;
    }
    let table =
        "SELECT pg_advisory_xact_lock(7311020); CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL);
        INSERT INTO schema_version SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM schema_version);";
    sqlx::raw_sql(table).execute(&mut *db).await?;
    sqlx::query_scalar("SELECT version FROM schema_version").fetch_one(db).await
}
