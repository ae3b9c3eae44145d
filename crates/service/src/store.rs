//! A service's `SQLite` file: one process, every commit on disk before it counts, readable by its owner alone.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures_util::future::BoxFuture;
use sqlx::{
    AssertSqlSafe, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

/// An open store; clones share it. The lock on its file lasts as long as the last clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
    _lock: Arc<File>,
}

impl Store {
    /// The connections, for reads and single statements.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// A transaction that takes the write lock at once (`BEGIN IMMEDIATE`): a read in it cannot be outdated by the time
    /// of its write. While it is open, use it alone; it rolls back when dropped.
    pub fn begin(&self) -> BoxFuture<'_, Result<Transaction<'static, Sqlite>, sqlx::Error>> {
        Box::pin(self.pool.begin_with("BEGIN IMMEDIATE"))
    }
}

/// Opens or makes the store at `path`, then runs the migrations that it has not seen (`PRAGMA user_version` counts them;
/// never change or reorder one that was released).
pub fn open_sqlite(path: &Path, migrations: &'static [&'static str]) -> BoxFuture<'static, anyhow::Result<Store>> {
    let path = path.to_owned();
    Box::pin(async move {
        let lock = lock(&path)?;
        private_file(&path)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await;
        let pool = pool.with_context(|| format!("the store {} cannot be opened", path.display()))?;
        let store = Store { pool, _lock: Arc::new(lock) };
        migrate(&store, migrations)
            .await
            .with_context(|| format!("the store {} cannot be migrated", path.display()))?;
        Ok(store)
    })
}

async fn migrate(store: &Store, migrations: &'static [&'static str]) -> anyhow::Result<()> {
    let mut transaction = store.begin().await?;
    let version: u32 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    let seen = version as usize;
    if seen > migrations.len() {
        bail!("it has schema {seen}, this program knows {}\nhint: it was written by a newer version", migrations.len());
    }
    for migration in &migrations[seen..] {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    // A number that we counted ourselves: nothing from outside gets into the statement.
    let set = AssertSqlSafe(format!("PRAGMA user_version = {}", migrations.len()));
    sqlx::raw_sql(set).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Takes the lock of the store at `path`, in a folder that is made if absent; it lasts as long as the file is open.
pub fn lock(path: &Path) -> anyhow::Result<File> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        private_folder(parent)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = private_file(&name)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "the data {} is in use by another process\nhint: stop it, or choose another data directory",
            path.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", name.display())),
    }
}

/// Makes a folder (and its parents) that only its owner may enter; leaves an existing one as it is.
pub fn private_folder(path: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).with_context(|| format!("the folder {} cannot be made", path.display()))
}

/// Opens a file for writing, made 0600 if it is new; nothing of it is cut off.
pub fn private_file(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).with_context(|| format!("the file {} cannot be opened", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[&str] = &["CREATE TABLE a (x INTEGER PRIMARY KEY) STRICT;"];
    const SECOND: &[&str] = &[FIRST[0], "INSERT INTO a VALUES (5); CREATE TABLE b (y TEXT) STRICT;"];

    #[tokio::test]
    async fn each_migration_runs_once_and_an_older_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/store.sqlite");
        drop(open_sqlite(&path, FIRST).await.unwrap());
        for _ in 0..2 {
            let store = open_sqlite(&path, SECOND).await.unwrap();
            let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM a").fetch_one(store.pool()).await.unwrap();
            assert_eq!(rows, 1);
            store.pool().close().await;
        }
        let error = open_sqlite(&path, FIRST).await.unwrap_err();
        assert!(format!("{error:#}").contains("it has schema 2, this program knows 1"), "{error:#}");
    }

    #[tokio::test]
    async fn a_second_process_on_the_same_data_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.sqlite");
        let _first = open_sqlite(&path, FIRST).await.unwrap();
        let error = open_sqlite(&path, FIRST).await.unwrap_err().to_string();
        assert!(error.contains("is in use by another process\nhint:"), "{error}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_files_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/store.sqlite");
        let store = open_sqlite(&path, FIRST).await.unwrap();
        sqlx::query("INSERT INTO a VALUES (1)").execute(store.pool()).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        for name in ["store.sqlite", "store.sqlite-wal", "store.sqlite.lock"] {
            assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
        }
    }
}
