//! The table of sessions.
//!
//! ```text
//!  (none) ──offered──▶ PENDING ──evidence accepted──▶ RELEASED
//!                         └────── 5 minutes ──▶ (expired, purged)
//! ```

use iexec_protocol::{B256, Timestamp, authorization::WorkerpoolAuthorization, evidence::Nonce, key::Signature};

use super::{Store, StoreError, read_time, stored_time};

const TABLE: &str = "session";

/// A session that waits for evidence.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) id: String,
    pub(crate) nonce: Nonce,
    pub(crate) authorization: WorkerpoolAuthorization,
    pub(crate) worker_signature: Signature,
    pub(crate) expires: Timestamp,
}

/// A stored session.
#[derive(Debug)]
pub(crate) enum Stored {
    /// Waits for evidence.
    Pending(Box<Pending>),
    /// Was given to an enclave: it is used up.
    Released,
}

type Columns = (Vec<u8>, String, String, i64, String);

impl Store {
    /// Keeps a new session.
    pub(crate) async fn add_session(&self, pending: &Pending) -> Result<(), StoreError> {
        let authorization = serde_json::to_string(&pending.authorization);
        let authorization = authorization.map_err(|error| StoreError::row(TABLE, &error))?;
        let insert = "INSERT INTO session (id, nonce, workerpool_authorization, worker_signature, expires, state)
                      VALUES (?, ?, ?, ?, ?, 'PENDING')";
        sqlx::query(insert)
            .bind(&pending.id)
            .bind(pending.nonce.0.as_slice())
            .bind(authorization)
            .bind(pending.worker_signature.to_string())
            .bind(stored_time(pending.expires))
            .execute(self.sqlite.pool())
            .await?;
        Ok(())
    }

    /// The session of that id.
    pub(crate) async fn session(&self, id: &str) -> Result<Option<Stored>, StoreError> {
        let select =
            "SELECT nonce, workerpool_authorization, worker_signature, expires, state FROM session WHERE id = ?";
        let row: Option<Columns> = sqlx::query_as(select).bind(id).fetch_optional(self.sqlite.pool()).await?;
        row.map(|columns| read(id, &columns)).transpose()
    }

    /// Uses the session up; `false` if somebody else did (compare-and-set; spec SMS-44).
    pub(crate) async fn release_session(&self, id: &str) -> Result<bool, StoreError> {
        let update = "UPDATE session SET state = 'RELEASED' WHERE id = ? AND state = 'PENDING'";
        Ok(sqlx::query(update).bind(id).execute(self.sqlite.pool()).await?.rows_affected() == 1)
    }
}

fn read(id: &str, (nonce, authorization, signature, expires, state): &Columns) -> Result<Stored, StoreError> {
    if state == "RELEASED" {
        return Ok(Stored::Released);
    }
    let unreadable = |cause: String| StoreError::row(TABLE, &cause);
    Ok(Stored::Pending(Box::new(Pending {
        id: id.to_owned(),
        nonce: Nonce(B256::try_from(nonce.as_slice()).map_err(|error| unreadable(error.to_string()))?),
        authorization: serde_json::from_str(authorization).map_err(|error| unreadable(error.to_string()))?,
        worker_signature: signature
            .parse()
            .map_err(|error: iexec_protocol::key::KeyError| unreadable(error.to_string()))?,
        expires: read_time(*expires),
    })))
}
