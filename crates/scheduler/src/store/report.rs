//! A task's history: appended by every change, read for `task debug`.

use iexec_protocol::{Address, id::TaskId};
use sqlx::{Sqlite, Transaction};

use super::{Store, address};
use crate::history::Entry;

/// Lines kept of one task; a worker that reports without end fills no disk.
const MAX_LINES: i64 = 1000;

/// A line of history as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// ISO 8601, UTC.
    pub(crate) date: String,
    /// Whose: the task's where `None`, else this worker's replicate.
    pub(crate) worker: Option<Address>,
    /// iExec's name of the status.
    pub(crate) status: String,
    /// `POOL_MANAGER` or `WORKER`.
    pub(crate) modifier: String,
    /// iExec's name of the cause.
    pub(crate) cause: Option<String>,
    /// In words.
    pub(crate) message: Option<String>,
}

/// What is told of a task beside its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskReport {
    /// In the order they came.
    pub(crate) lines: Vec<Line>,
    /// The last words about it.
    pub(crate) message: Option<String>,
}

type Columns = (String, Option<String>, String, String, Option<String>, Option<String>);

impl Store {
    /// Adds a line, unless it repeats the last one of the same worker (or of the task).
    pub(crate) async fn note(&self, task: TaskId, entry: &Entry) -> anyhow::Result<()> {
        let mut transaction = self.sqlite.begin().await?;
        append(&mut transaction, &task.to_string(), entry).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whether the task was ever granted to this worker.
    pub(crate) async fn was_held_by(&self, task: TaskId, worker: Address) -> anyhow::Result<bool> {
        let found = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM history WHERE task = ? AND worker = ?)")
            .bind(task.to_string())
            .bind(worker.to_string());
        Ok(found.fetch_one(self.sqlite.pool()).await?)
    }

    /// A task's history.
    pub(crate) async fn report(&self, task: TaskId) -> anyhow::Result<TaskReport> {
        let lines: Vec<Columns> = sqlx::query_as(
            "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch'), worker, status, modifier, cause, message
             FROM history WHERE task = ? ORDER BY id",
        )
        .bind(task.to_string())
        .fetch_all(self.sqlite.pool())
        .await?;
        let message: Option<Option<String>> = sqlx::query_scalar("SELECT message FROM tasks WHERE id = ?")
            .bind(task.to_string())
            .fetch_optional(self.sqlite.pool())
            .await?;
        let lines = lines.into_iter().map(line).collect::<anyhow::Result<_>>()?;
        Ok(TaskReport { lines, message: message.flatten() })
    }
}

/// Adds a line within the transaction of what it tells.
pub(super) async fn append(
    transaction: &mut Transaction<'static, Sqlite>,
    task: &str,
    entry: &Entry,
) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO history (task, at, worker, status, modifier, cause, message)
         SELECT ?1, CAST(unixepoch('subsec') * 1000 AS INTEGER), ?2, ?3, ?4, ?5, ?6
         WHERE ?3 IS NOT (
             SELECT status FROM history WHERE task = ?1 AND worker IS ?2 ORDER BY id DESC LIMIT 1
         ) AND (SELECT count(*) FROM history WHERE task = ?1) < ?7",
    )
    .bind(task)
    .bind(entry.worker.map(|worker| worker.to_string()))
    .bind(&entry.status)
    .bind(entry.modifier.name())
    .bind(entry.cause.map(iexec_protocol::cause::Cause::name))
    .bind(entry.message.as_deref())
    .bind(MAX_LINES)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

fn line((date, worker, status, modifier, cause, message): Columns) -> anyhow::Result<Line> {
    let worker = worker.as_deref().map(address).transpose()?;
    Ok(Line { date, worker, status, modifier, cause, message })
}
