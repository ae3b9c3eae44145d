//! Deals and the cursor: what was read from the chain, and how far, in one transaction.

use iexec_protocol::{
    Address,
    deal::Deal,
    id::DealId,
    task::{Deadlines, Task},
};
use sqlx::{Sqlite, Transaction};

use super::{Store, address, loaded, stored};
use crate::history::Entry;

/// A deal that was read, and the state that its tasks begin with.
#[derive(Clone, Debug)]
pub(crate) struct NewDeal {
    /// As the hub tells it.
    pub(crate) deal: Deal,
    /// The block of its notice.
    pub(crate) block: u64,
    /// When its tasks' time is up.
    pub(crate) deadlines: Deadlines,
    /// `Received`, or `Failing` for a deal that this pool cannot compute.
    pub(crate) first: Task,
    /// Why it is failing, in words.
    pub(crate) message: Option<String>,
}

/// Tasks of one deal that are stored and driven. A deal's volume is bounded by the workerpool's own signed order.
const MAX_TASKS: usize = 100_000;

impl Store {
    /// The first block whose notices are not all in the store.
    pub(crate) async fn next_block(&self) -> anyhow::Result<u64> {
        let next = sqlx::query_scalar("SELECT next_block FROM cursor").fetch_one(self.sqlite.pool()).await?;
        Ok(loaded(next))
    }

    /// Keeps the deals and moves the cursor, both or neither. Deals that are there already stay as they are. Yields
    /// how many are new.
    pub(crate) async fn keep_deals(&self, deals: &[NewDeal], next_block: u64) -> anyhow::Result<usize> {
        let mut transaction = self.sqlite.begin().await?;
        let mut new = 0;
        for deal in deals {
            new += usize::from(insert(&mut transaction, deal).await?);
        }
        sqlx::query("UPDATE cursor SET next_block = ?").bind(stored(next_block)).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(new)
    }

    /// Whether the deal is in the store.
    pub(crate) async fn has_deal(&self, deal: DealId) -> anyhow::Result<bool> {
        let found = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM deals WHERE id = ?)").bind(deal.to_string());
        Ok(found.fetch_one(self.sqlite.pool()).await?)
    }

    /// Who pays for the deal; `None` for a deal that is not in the store.
    pub(crate) async fn requester(&self, deal: DealId) -> anyhow::Result<Option<Address>> {
        let found: Option<String> = sqlx::query_scalar("SELECT requester FROM deals WHERE id = ?")
            .bind(deal.to_string())
            .fetch_optional(self.sqlite.pool())
            .await?;
        found.as_deref().map(address).transpose()
    }
}

async fn insert(transaction: &mut Transaction<'static, Sqlite>, new: &NewDeal) -> anyhow::Result<bool> {
    let NewDeal { deal, deadlines, .. } = new;
    let inserted = sqlx::query(
        "INSERT INTO deals (id, block, requester, app, tag, category, contribution_deadline, claim_deadline)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    )
    .bind(deal.id.to_string())
    .bind(stored(new.block))
    .bind(deal.requester.to_string())
    .bind(deal.app.pointer.to_string())
    .bind(deal.tag.0.to_string())
    .bind(stored(deal.category))
    .bind(stored(deadlines.contribution))
    .bind(stored(deadlines.claim))
    .execute(&mut **transaction)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    if deal.bot_size > MAX_TASKS as u64 {
        tracing::error!("deal {} has {} tasks; the first {MAX_TASKS} are driven", deal.id, deal.bot_size);
    }
    for (index, task) in deal.tasks().take(MAX_TASKS) {
        insert_task(transaction, new, index, &task.to_string()).await?;
    }
    Ok(true)
}

async fn insert_task(
    transaction: &mut Transaction<'static, Sqlite>,
    new: &NewDeal,
    index: u64,
    id: &str,
) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO tasks (id, deal, idx, claim_deadline, state, data, version, message)
         VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
    )
    .bind(id)
    .bind(new.deal.id.to_string())
    .bind(stored(index))
    .bind(stored(new.deadlines.claim))
    .bind(new.first.name())
    .bind(serde_json::to_string(&new.first)?)
    .bind(new.message.as_deref())
    .execute(&mut **transaction)
    .await?;
    super::report::append(transaction, id, &Entry::of_task("RECEIVED")).await?;
    if let Some(cause) = new.first.cause() {
        let refused = Entry::of_task("INITIALIZE_FAILED").because(Some(cause), new.message.as_deref());
        super::report::append(transaction, id, &refused).await?;
    }
    Ok(())
}
