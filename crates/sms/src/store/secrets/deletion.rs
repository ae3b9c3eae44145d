//! Deletions of secrets (v2): the row stays, with its version and marks.

use futures_util::future::BoxFuture;
use iexec_protocol::call::sms::SecretId;

use super::{Deleted, Fence, Place, Store, StoreError, raced, read_version};
use crate::store::{
    audit::Event,
    stored_time,
    writer::{Batch, Write},
};

impl Store {
    /// Deletes a secret's value; who may, the caller has checked.
    pub(crate) async fn delete_secret(&self, id: &SecretId, fence: Fence) -> Result<Deleted, StoreError> {
        let place = Place::of(id);
        let outcome = self.writer.write(Deletion { place: place.clone(), fence }).await?;
        let cause = match outcome {
            Deleted::Gone(_) => return Ok(outcome),
            Deleted::Absent => "absent",
            Deleted::Version(_) => "version",
            Deleted::NonceUsed => "nonce used",
        };
        self.refused_at(&place, "delete", cause, Some(fence.signer)).await?;
        Ok(outcome)
    }
}
struct Deletion {
    place: Place,
    fence: Fence,
}

impl Write for Deletion {
    type Reply = Deleted;

    fn run<'a>(&'a self, batch: &'a mut Batch<'_>) -> BoxFuture<'a, Result<Deleted, StoreError>> {
        Box::pin(async move {
            let outcome = self.decide(batch).await?;
            if let Deleted::Gone(version) = outcome {
                let entry = self.place.entry(Event::SecretDeleted).number("version", version);
                batch.log(entry.by(self.fence.signer));
            }
            Ok(outcome)
        })
    }
}

impl Deletion {
    async fn decide(&self, batch: &mut Batch<'_>) -> Result<Deleted, StoreError> {
        if !self.fence.take(batch).await? {
            return Ok(Deleted::NonceUsed);
        }
        let Some((Some(_), _, version)) = self.place.current(batch.db).await? else { return Ok(Deleted::Absent) };
        if stored_time(self.fence.version) != version {
            return Ok(Deleted::Version(read_version(version)));
        }
        let update = "UPDATE secret SET sealed = NULL, version = version + 1, updated = $4
                      WHERE owner = $1 AND kind = $2 AND name = $3 AND version = $5";
        let query = sqlx::query(update).bind(self.place.owner.as_slice()).bind(self.place.kind);
        let query = query.bind(self.place.name.as_str()).bind(batch.now).bind(version);
        raced(query.execute(&mut *batch.db).await?.rows_affected())?;
        Ok(Deleted::Gone(read_version(version + 1)))
    }
}
