//! Tasks: read, listed, and advanced by compare-and-set.

use std::collections::BTreeMap;

use anyhow::Context as _;
use iexec_protocol::{
    Address, Timestamp,
    id::TaskId,
    task::{Deadlines, Event, Task},
};

use super::{Row, Store, loaded, stored};
use crate::history;

/// Ready tasks looked at for one grant; the next request looks again.
const CANDIDATES: i64 = 64;

type Columns = (String, String, i64, String, i64, i64, String, i64);

impl Store {
    /// A task; `None` when this pool has no such task.
    pub(crate) async fn task(&self, id: TaskId) -> anyhow::Result<Option<Row>> {
        let found = sqlx::query_as(
            "SELECT t.id, t.deal, t.idx, d.tag, d.contribution_deadline, t.claim_deadline, t.data, t.version
             FROM tasks t JOIN deals d ON d.id = t.deal WHERE t.id = ?",
        )
        .bind(id.to_string())
        .fetch_optional(self.sqlite.pool())
        .await?;
        found.map(row).transpose()
    }

    /// The tasks that something may still happen to.
    pub(crate) async fn unfinished(&self) -> anyhow::Result<Vec<TaskId>> {
        let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM tasks WHERE state NOT IN ('COMPLETED', 'FAILED')")
            .fetch_all(self.sqlite.pool())
            .await?;
        ids.iter().map(|id| id.parse().with_context(|| format!("the store holds a task {id:?}"))).collect()
    }

    /// The tasks that may be granted now, the most urgent first.
    pub(crate) async fn grantable(&self, now: Timestamp) -> anyhow::Result<Vec<Row>> {
        let rows = sqlx::query_as(
            "SELECT t.id, t.deal, t.idx, d.tag, d.contribution_deadline, t.claim_deadline, t.data, t.version
             FROM tasks t JOIN deals d ON d.id = t.deal
             WHERE t.state = 'READY' AND d.contribution_deadline > ?1 AND t.data ->> 'not_before' <= ?1
             ORDER BY t.claim_deadline LIMIT ?2",
        )
        .bind(stored(now))
        .bind(CANDIDATES)
        .fetch_all(self.sqlite.pool())
        .await?;
        rows.into_iter().map(row).collect()
    }

    /// The tasks that a worker holds.
    pub(crate) async fn held_by(&self, worker: Address) -> anyhow::Result<Vec<Row>> {
        let rows = sqlx::query_as(
            "SELECT t.id, t.deal, t.idx, d.tag, d.contribution_deadline, t.claim_deadline, t.data, t.version
             FROM tasks t JOIN deals d ON d.id = t.deal WHERE t.state = 'GRANTED' AND t.worker = ?",
        )
        .bind(worker.to_string())
        .fetch_all(self.sqlite.pool())
        .await?;
        rows.into_iter().map(row).collect()
    }

    /// The tasks that any worker holds.
    pub(crate) async fn granted(&self) -> anyhow::Result<Vec<TaskId>> {
        let ids: Vec<String> =
            sqlx::query_scalar("SELECT id FROM tasks WHERE state = 'GRANTED'").fetch_all(self.sqlite.pool()).await?;
        ids.iter().map(|id| id.parse().with_context(|| format!("the store holds a task {id:?}"))).collect()
    }

    /// How many tasks are in each state.
    pub(crate) async fn counts(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT state, count(*) FROM tasks GROUP BY state").fetch_all(self.sqlite.pool()).await?;
        Ok(rows.into_iter().map(|(state, count)| (state, loaded(count))).collect())
    }

    /// Stores the state after `row`, with its history; false when the task has changed since `row` was read, then
    /// nothing is stored.
    pub(crate) async fn advance(
        &self,
        row: &Row,
        next: &Task,
        event: &Event,
        message: Option<&str>,
    ) -> anyhow::Result<bool> {
        let mut transaction = self.sqlite.begin().await?;
        let id = row.id.to_string();
        let set = sqlx::query(
            "UPDATE tasks SET state = ?, data = ?, worker = ?, message = coalesce(?, message), version = version + 1
             WHERE id = ? AND version = ?",
        )
        .bind(next.name())
        .bind(serde_json::to_string(next)?)
        .bind(next.holder().map(|worker| worker.to_string()))
        .bind(message)
        .bind(&id)
        .bind(row.version)
        .execute(&mut *transaction)
        .await?;
        if set.rows_affected() == 0 {
            return Ok(false);
        }
        for entry in history::entries(&row.task, next, event, message) {
            super::report::append(&mut transaction, &id, &entry).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}

fn row((id, deal, index, tag, contribution, claim, data, version): Columns) -> anyhow::Result<Row> {
    let malformed = || format!("the row of task {id} is malformed");
    Ok(Row {
        id: id.parse().with_context(malformed)?,
        deal: deal.parse().with_context(malformed)?,
        index: loaded(index),
        tag: tag.parse().with_context(malformed)?,
        deadlines: Deadlines { contribution: loaded(contribution), claim: loaded(claim) },
        task: serde_json::from_str(&data).with_context(malformed)?,
        version,
    })
}
