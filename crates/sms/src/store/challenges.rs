//! The table of challenge keys: one per task, for as long as the task lives.

use iexec_protocol::{Timestamp, id::TaskId, key::SigningKey};

use super::{Store, StoreError, stored_time};
use crate::vault::Row;

const TABLE: &str = "challenge";

fn row(task: TaskId) -> Row {
    Row::new(TABLE, &[task.as_bytes()])
}

impl Store {
    /// The task's challenge key: `fresh` if it has none yet, else the one it has. Two calls at once get the same
    /// (spec SMS-32).
    pub(crate) async fn challenge_or(
        &self,
        task: TaskId,
        fresh: SigningKey,
        deadline: Timestamp,
    ) -> Result<SigningKey, StoreError> {
        let sealed = self.vault.seal(&row(task), fresh.expose().as_slice()).map_err(StoreError::vault(TABLE))?;
        let insert = "INSERT INTO challenge (task, sealed, deadline) VALUES (?, ?, ?) ON CONFLICT (task) DO NOTHING";
        let query = sqlx::query(insert).bind(task.as_bytes().as_slice()).bind(sealed).bind(stored_time(deadline));
        if query.execute(self.sqlite.pool()).await?.rows_affected() == 1 {
            return Ok(fresh);
        }
        self.challenge(task).await?.ok_or_else(|| StoreError::row(TABLE, &"the challenge was purged as it was read"))
    }

    /// The task's challenge key.
    pub(crate) async fn challenge(&self, task: TaskId) -> Result<Option<SigningKey>, StoreError> {
        let query = sqlx::query_scalar("SELECT sealed FROM challenge WHERE task = ?").bind(task.as_bytes().as_slice());
        let sealed: Option<Vec<u8>> = query.fetch_optional(self.sqlite.pool()).await?;
        let Some(sealed) = sealed else { return Ok(None) };
        let plain = self.vault.open(&row(task), &sealed).map_err(StoreError::vault(TABLE))?;
        let bytes = plain.as_slice().try_into().map_err(|error| StoreError::row(TABLE, &error))?;
        SigningKey::from_bytes(bytes).map(Some).map_err(|error| StoreError::row(TABLE, &error))
    }
}
