//! Which archives a task has: rows (task, cid). A task may have several, as a worker that is lost leaves one behind.

use iexec_protocol::{Timestamp, cid::Cid, id::TaskId};
use iexec_service::{Problem, Store};

/// In the order in which they were released.
pub(crate) const MIGRATIONS: &[&str] = &[iexec_service::login::SCHEMA, RESULTS];

const RESULTS: &str = "
CREATE TABLE results (
    task TEXT NOT NULL,
    cid TEXT NOT NULL,
    size INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    PRIMARY KEY (task, cid)
) STRICT;
";

/// Archives that one task may have.
pub(crate) const MAX_ARCHIVES: usize = 16;

/// Remembers an archive; false when the task has [`MAX_ARCHIVES`] others.
pub(crate) async fn add(store: &Store, task: TaskId, cid: Cid, size: u64, now: Timestamp) -> Result<bool, Problem> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut transaction = store.begin().await?;
    let known: Vec<String> = sqlx::query_scalar("SELECT cid FROM results WHERE task = ?")
        .bind(task.to_string())
        .fetch_all(&mut *transaction)
        .await?;
    if known.contains(&cid.to_string()) {
        return Ok(true);
    }
    if known.len() >= MAX_ARCHIVES {
        return Ok(false);
    }
    sqlx::query("INSERT INTO results VALUES (?, ?, ?, ?)")
        .bind(task.to_string())
        .bind(cid.to_string())
        .bind(number(size))
        .bind(number(now))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(true)
}

/// The task's archives, the newest last.
pub(crate) async fn of(store: &Store, task: TaskId) -> Result<Vec<String>, Problem> {
    let rows = sqlx::query_scalar("SELECT cid FROM results WHERE task = ? ORDER BY stored, rowid");
    Ok(rows.bind(task.to_string()).fetch_all(store.pool()).await?)
}
