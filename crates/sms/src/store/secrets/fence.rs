//! What keeps a signed request from counting twice (spec SMS-73, SMS-74).

use iexec_protocol::{Address, B256, Timestamp};
use sqlx::AnyConnection;

use crate::store::{StoreError, stored_time, writer::Batch};

/// What keeps a signed request from counting twice, or for a state that its signer did not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    /// Who signed.
    pub(crate) signer: Address,
    /// Used once by this signer, whatever became of the request.
    pub(crate) nonce: B256,
    /// When the request ends to be valid: the nonce is remembered till then.
    pub(crate) deadline: Timestamp,
    /// The version that the secret is at: 0 if it was never there; a deletion counts as one.
    pub(crate) version: u64,
}

impl Fence {
    /// Uses the nonce up; `false` if it was.
    pub(super) async fn take(&self, batch: &mut Batch<'_>) -> Result<bool, StoreError> {
        take_nonce(batch.db, self.signer, self.nonce, self.deadline).await
    }
}

/// Uses a signer's nonce up; `false` if it was used before.
pub(in crate::store) async fn take_nonce(
    db: &mut AnyConnection,
    signer: Address,
    nonce: B256,
    deadline: Timestamp,
) -> Result<bool, StoreError> {
    let insert = "INSERT INTO used_nonce (signer, nonce, deadline) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let query = sqlx::query(insert).bind(signer.as_slice()).bind(nonce.as_slice()).bind(stored_time(deadline));
    Ok(query.execute(db).await?.rows_affected() == 1)
}
