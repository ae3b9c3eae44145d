//! The table of challenge keys: one per task, for as long as the task lives.

use futures_util::future::BoxFuture;
use iexec_protocol::{Address, B256, Timestamp, id::TaskId, key::SigningKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    Location, Store, StoreError, stored_time, task_secrets,
    writer::{Batch, Write},
};
use crate::vault::Row;

pub(super) const TABLE: &str = "challenge";

/// The row of the broker's key: no task's id, since those are keccak hashes of a deal's id and an index.
fn broker_row() -> TaskId {
    TaskId(B256::new(Sha256::digest(b"iexec SMS TEE broker key").into()))
}

/// What a challenge key is sealed for.
pub(super) fn row(task: &[u8]) -> Row {
    Row::new(TABLE, &[task])
}

/// A task's challenge: the key that its enclave signs with, and the key's address, which is kept with it since it costs
/// more to compute than to read. Zeroed when dropped, never printed.
pub(crate) struct ChallengeKey {
    key: Zeroizing<[u8; 32]>,
    address: Address,
}

impl ChallengeKey {
    /// The challenge that signs with `key`.
    pub(crate) fn of(key: &SigningKey) -> Self {
        Self { key: key.expose(), address: key.address() }
    }

    /// The address that signatures are of.
    pub(crate) fn address(&self) -> Address {
        self.address
    }

    /// The 32 secret bytes.
    pub(crate) fn expose(&self) -> &Zeroizing<[u8; 32]> {
        &self.key
    }

    /// The key, to sign with.
    fn signing_key(&self) -> Result<SigningKey, StoreError> {
        SigningKey::from_bytes(&self.key).map_err(|error| StoreError::row(TABLE, &error))
    }

    /// What is sealed: the key, then its address.
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([self.key.as_slice(), self.address.as_slice()].concat())
    }

    /// Reads what was sealed. Stores of schema 1 kept the key alone.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let (key, address) = bytes.split_at_checked(32).ok_or_else(|| StoreError::row(TABLE, &"it is too short"))?;
        let key = Zeroizing::new(key.try_into().map_err(|error| StoreError::row(TABLE, &error))?);
        if address.is_empty() {
            return SigningKey::from_bytes(&key)
                .map(|key| Self::of(&key))
                .map_err(|error| StoreError::row(TABLE, &error));
        }
        let address = Address::try_from(address).map_err(|error| StoreError::row(TABLE, &error))?;
        Ok(Self { key, address })
    }
}

struct Challenge {
    task: TaskId,
    fresh: ChallengeKey,
    deadline: Timestamp,
}

impl Write for Challenge {
    type Reply = ChallengeKey;

    fn run<'a>(&'a self, batch: &'a mut Batch<'_>) -> BoxFuture<'a, Result<ChallengeKey, StoreError>> {
        Box::pin(async move {
            let row = row(self.task.as_bytes().as_slice());
            let sealed = batch.keys.seal(TABLE, batch.active, &row, &self.fresh.to_bytes())?;
            let insert = "INSERT INTO challenge (task, sealed, key_id, deadline) VALUES ($1, $2, $3, $4)
                          ON CONFLICT (task) DO NOTHING";
            let query = sqlx::query(insert).bind(self.task.as_bytes().as_slice()).bind(sealed);
            query.bind(batch.active).bind(stored_time(self.deadline)).execute(&mut *batch.db).await?;
            let (kept, _) = task_secrets::read(batch.db, batch.ring, self.task, &[]).await?;
            kept.ok_or_else(|| StoreError::row(TABLE, &"the challenge was purged as it was read"))
        })
    }
}

impl Store {
    /// The task's challenge key: `fresh` if it has none yet, else the one it has. Two calls at once get the same
    /// (spec SMS-32).
    pub(crate) async fn challenge_or(
        &self,
        task: TaskId,
        fresh: &SigningKey,
        deadline: Timestamp,
    ) -> Result<ChallengeKey, StoreError> {
        match self.challenge(task).await? {
            Some(key) => Ok(key),
            None => self.session_writer.write(Challenge { task, fresh: ChallengeKey::of(fresh), deadline }).await,
        }
    }

    /// The TEE broker's key, one for all replicas: `fresh` if there is none yet.
    pub(crate) async fn broker_or(&self, fresh: &SigningKey) -> Result<SigningKey, StoreError> {
        self.challenge_or(broker_row(), fresh, Timestamp::MAX).await?.signing_key()
    }

    /// The task's challenge key.
    pub(crate) async fn challenge(&self, task: TaskId) -> Result<Option<ChallengeKey>, StoreError> {
        Ok(self.task_secrets(task, &[]).await?.0)
    }
}

/// Address of a store's TEE broker; `None` if no service was ever started as one.
pub(crate) async fn broker_address(location: &Location) -> anyhow::Result<Option<Address>> {
    let (engine, ring) = super::open(location, false).await?;
    let mut db = engine.connect().await?;
    let (key, _) = task_secrets::read(&mut db, &ring, broker_row(), &[]).await?;
    Ok(key.map(|key| key.address()))
}
