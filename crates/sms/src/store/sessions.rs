//! The table of sessions.
//!
//! ```text
//!  (none) ──offered──▶ PENDING ──evidence accepted──▶ RELEASED
//!                         └────── 5 minutes ──▶ (expired, purged)
//! ```

use futures_util::future::BoxFuture;
use iexec_protocol::{B256, Timestamp, authorization::WorkerpoolAuthorization, evidence::Nonce, key::Signature};

use super::{
    Store, StoreError,
    audit::Entry,
    read_time, stored_time,
    writer::{Batch, Write},
};

const TABLE: &str = "session";

/// A session that waits for evidence.
#[derive(Clone, Debug)]
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

struct Offered(Pending);

impl Write for Offered {
    type Reply = ();

    fn run<'a>(&'a self, batch: &'a mut Batch<'_>) -> BoxFuture<'a, Result<(), StoreError>> {
        let pending = &self.0;
        Box::pin(async move {
            let authorization = serde_json::to_string(&pending.authorization);
            let authorization = authorization.map_err(|error| StoreError::row(TABLE, &error))?;
            let insert = "INSERT INTO session (id, nonce, workerpool_authorization, worker_signature, expires, state)
                          VALUES ($1, $2, $3, $4, $5, 'PENDING')";
            sqlx::query(insert)
                .bind(&pending.id)
                .bind(pending.nonce.0.as_slice())
                .bind(authorization)
                .bind(pending.worker_signature.to_string())
                .bind(stored_time(pending.expires))
                .execute(&mut *batch.db)
                .await?;
            Ok(())
        })
    }
}

struct Release {
    id: String,
    entry: Entry,
}

impl Write for Release {
    type Reply = bool;

    fn run<'a>(&'a self, batch: &'a mut Batch<'_>) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let update = "UPDATE session SET state = 'RELEASED' WHERE id = $1 AND state = 'PENDING'";
            let released = sqlx::query(update).bind(&self.id).execute(&mut *batch.db).await?.rows_affected() == 1;
            if released {
                batch.log(self.entry.clone());
            }
            Ok(released)
        })
    }
}

impl Store {
    /// Keeps a new session.
    pub(crate) async fn add_session(&self, pending: &Pending) -> Result<(), StoreError> {
        self.session_writer.write(Offered(pending.clone())).await
    }

    /// The session of that id.
    pub(crate) async fn session(&self, id: &str) -> Result<Option<Stored>, StoreError> {
        let select =
            "SELECT nonce, workerpool_authorization, worker_signature, expires, state FROM session WHERE id = $1";
        let row = self.engine.read(|db| {
            let query = sqlx::query_as::<_, Columns>(select).bind(id.to_owned());
            Box::pin(async move { Ok(query.fetch_optional(db).await?) })
        });
        row.await?.map(|columns| read(id, &columns)).transpose()
    }

    /// Uses the session up.
    #[cfg(test)]
    pub(crate) async fn release_session(&self, id: &str) -> Result<bool, StoreError> {
        self.release_session_as(id, Entry::new(super::Event::SessionReleased)).await
    }

    /// Uses the session up; `false` if somebody else did (compare-and-set; spec SMS-44). If it was, the entry is in the
    /// audit log before this returns.
    pub(crate) async fn release_session_as(&self, id: &str, entry: Entry) -> Result<bool, StoreError> {
        let entry = entry.with("session", id);
        self.session_writer.write(Release { id: id.to_owned(), entry }).await
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
