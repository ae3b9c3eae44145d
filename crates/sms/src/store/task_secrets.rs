//! All that a task's session is made of, read by one statement: the challenge and the secrets.

use std::sync::Arc;

use iexec_protocol::{call::sms::SecretId, id::TaskId, session::SecretText};
use sqlx::{AnyConnection, AssertSqlSafe};

use super::{
    Store, StoreError,
    challenges::{self, ChallengeKey},
    keys::{KeyRing, Keys},
    secrets::{self, Place},
};

/// Its number, 0 for the challenge; the value; its data key.
type Sealed = (i64, Vec<u8>, i64);

/// The challenge, and a secret's value or none for each that was asked for.
type Found = (Option<ChallengeKey>, Vec<Option<SecretText>>);

impl Store {
    /// A task's challenge and these secrets, as far as they are there, in this order.
    pub(crate) async fn task_secrets(&self, task: TaskId, ids: &[&SecretId]) -> Result<Found, StoreError> {
        let places: Arc<[Place]> = ids.iter().map(|id| Place::of(id)).collect();
        let found = self.engine.read(|db| {
            let (places, ring) = (Arc::clone(&places), Arc::clone(&self.ring));
            Box::pin(async move { read(db, &ring, task, &places).await })
        });
        found.await
    }

    /// A secret's value.
    #[cfg(test)]
    pub(crate) async fn secret(&self, id: &SecretId) -> Result<Option<SecretText>, StoreError> {
        Ok(self.task_secrets(TaskId::default(), &[id]).await?.1.remove(0))
    }
}

/// The same, on this connection.
pub(super) async fn read(
    db: &mut AnyConnection,
    ring: &KeyRing,
    task: TaskId,
    places: &[Place],
) -> Result<Found, StoreError> {
    let mut rows = select(db, task, places).await?;
    let mut keys = ring.keys();
    if !knows_all(&keys, &rows) {
        keys = ring.reload(db).await?;
    }
    if !knows_all(&keys, &rows) {
        // They were sealed anew, and a key destroyed, since they were read.
        rows = select(db, task, places).await?;
        keys = ring.reload(db).await?;
    }
    open(&keys, task, places, rows)
}

fn knows_all(keys: &Keys, rows: &[Sealed]) -> bool {
    rows.iter().all(|(_, _, key)| keys.knows(*key))
}

/// Each place by the primary key of its table.
async fn select(db: &mut AnyConnection, task: TaskId, places: &[Place]) -> Result<Vec<Sealed>, sqlx::Error> {
    let of_place = |number: usize| {
        let [owner, kind, name] = [3 * number - 1, 3 * number, 3 * number + 1];
        format!(
            "SELECT {number}, sealed, key_id FROM secret
             WHERE owner = ${owner} AND kind = ${kind} AND name = ${name} AND sealed IS NOT NULL"
        )
    };
    let challenge = "SELECT 0, sealed, key_id FROM challenge WHERE task = $1".to_owned();
    let all: Vec<_> = std::iter::once(challenge).chain((1..=places.len()).map(of_place)).collect();
    // Only numbers that we counted ourselves are written into the statement.
    let mut query = sqlx::query_as(AssertSqlSafe(all.join(" UNION ALL "))).bind(task.as_bytes().as_slice());
    for place in places {
        query = query.bind(place.owner.as_slice()).bind(place.kind).bind(place.name.as_str());
    }
    query.fetch_all(db).await
}

fn open(keys: &Keys, task: TaskId, places: &[Place], rows: Vec<Sealed>) -> Result<Found, StoreError> {
    let mut challenge = None;
    let mut values = vec![None; places.len()];
    for (number, sealed, key) in rows {
        match usize::try_from(number).ok().and_then(|number| number.checked_sub(1)) {
            None => {
                let row = challenges::row(task.as_bytes().as_slice());
                challenge = Some(ChallengeKey::from_bytes(&keys.open(challenges::TABLE, key, &row, &sealed)?)?);
            }
            Some(index) => {
                let plain = keys.open(secrets::TABLE, key, &places[index].row(), &sealed)?;
                let text = std::str::from_utf8(&plain).map_err(|error| StoreError::row(secrets::TABLE, &error))?;
                values[index] = Some(SecretText::new(text));
            }
        }
    }
    Ok((challenge, values))
}
