//! The workerpool's word that a worker may compute a task, and the proof that it was checked.

use alloy_primitives::{Address, B256, keccak256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    cause::Cause,
    deal::Deal,
    id::{DealId, TaskId},
    key::{KeyError, Signature, SigningKey},
    task::{ChainStatus, ChainTask},
};

/// iExec's `WorkerpoolAuthorization`: what the scheduler gives a worker and the worker shows to SMS, storage and hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerpoolAuthorization {
    /// The task.
    pub chain_task_id: TaskId,
    /// Its deal.
    pub deal_id: DealId,
    /// Its index in the deal.
    pub task_index: u64,
    /// Who may compute it.
    pub worker_wallet: Address,
    /// The address whose key the enclave will sign with; zero for a deal without TEE.
    pub enclave_challenge: Address,
    /// The workerpool owner's personal signature over [`authorization_hash`].
    pub signature: SignatureValue,
}

/// `{"value": "0x…"}`, as iExec's Java services write a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureValue {
    /// The signature.
    pub value: Signature,
}

/// `keccak256(worker ‖ taskId ‖ enclaveChallenge)`; workerpool and worker both sign it (EIP-191).
pub fn authorization_hash(worker: Address, task: TaskId, challenge: Address) -> B256 {
    keccak256([worker.as_slice(), task.0.as_slice(), challenge.as_slice()].concat())
}

/// `keccak256(taskId)`: what a workerpool owner signs to ask the SMS for a challenge.
pub fn challenge_request_hash(task: TaskId) -> B256 {
    keccak256(task.0)
}

impl WorkerpoolAuthorization {
    /// Signs one.
    pub fn sign(
        task: &TaskRef,
        worker: Address,
        challenge: Address,
        pool_owner: &SigningKey,
    ) -> Result<Self, KeyError> {
        let value = pool_owner.sign_personal(authorization_hash(worker, task.id, challenge))?;
        Ok(Self {
            chain_task_id: task.id,
            deal_id: task.deal,
            task_index: task.index,
            worker_wallet: worker,
            enclave_challenge: challenge,
            signature: SignatureValue { value },
        })
    }

    /// The hash that both sign.
    pub fn hash(&self) -> B256 {
        authorization_hash(self.worker_wallet, self.chain_task_id, self.enclave_challenge)
    }

    /// Checks it against a chain whose hub has no TEE broker, with the worker's own signature of the same hash.
    ///
    /// The order of the checks is that of iExec's SMS.
    pub fn authorize(
        self,
        by_worker: &Signature,
        task: &ChainTask,
        deal: &Deal,
    ) -> Result<Authorized, AuthorizationError> {
        self.authorize_under(None, by_worker, task, deal)
    }

    /// The same for a hub with this `broker`, if it has one: what counts is what `contributeAndFinalize` accepts. The
    /// broker signs where there is a challenge, the workerpool's owner where there is none.
    pub fn authorize_under(
        self,
        broker: Option<Address>,
        by_worker: &Signature,
        task: &ChainTask,
        deal: &Deal,
    ) -> Result<Authorized, AuthorizationError> {
        check_worker(&self, by_worker)?;
        check_active(task)?;
        check_same_task(&self, task, deal)?;
        match broker {
            Some(broker) if !self.enclave_challenge.is_zero() => check_broker(&self, broker)?,
            _ => check_pool(&self, deal)?,
        }
        Ok(Authorized { authorization: self })
    }

    /// Whether the workerpool's owner issued it for a task that is ACTIVE: what a broker asks before it signs.
    pub fn check_issued(&self, task: &ChainTask, deal: &Deal) -> Result<(), AuthorizationError> {
        check_active(task)?;
        check_same_task(self, task, deal)?;
        check_pool(self, deal)
    }
}

/// A task and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRef {
    /// Its id.
    pub id: TaskId,
    /// Its deal.
    pub deal: DealId,
    /// Its index.
    pub index: u64,
}

fn check_worker(authorization: &WorkerpoolAuthorization, by_worker: &Signature) -> Result<(), AuthorizationError> {
    let found = by_worker.signer_of_personal(authorization.hash());
    if found == Some(authorization.worker_wallet) {
        return Ok(());
    }
    Err(AuthorizationError::Worker { expected: authorization.worker_wallet, found })
}

fn check_active(task: &ChainTask) -> Result<(), AuthorizationError> {
    if task.status == ChainStatus::Active {
        Ok(())
    } else {
        Err(AuthorizationError::NotActive { status: task.status.name(false) })
    }
}

fn check_same_task(
    authorization: &WorkerpoolAuthorization,
    task: &ChainTask,
    deal: &Deal,
) -> Result<(), AuthorizationError> {
    let same = task.id == authorization.chain_task_id && task.deal == deal.id;
    if same {
        Ok(())
    } else {
        Err(AuthorizationError::OtherTask { authorized: authorization.chain_task_id, found: task.id })
    }
}

fn check_pool(authorization: &WorkerpoolAuthorization, deal: &Deal) -> Result<(), AuthorizationError> {
    let found = authorization.signature.value.signer_of_personal(authorization.hash());
    if found == Some(deal.workerpool.owner) {
        return Ok(());
    }
    Err(AuthorizationError::Pool { expected: deal.workerpool.owner, found })
}

fn check_broker(authorization: &WorkerpoolAuthorization, expected: Address) -> Result<(), AuthorizationError> {
    let found = authorization.signature.value.signer_of_personal(authorization.hash());
    if found == Some(expected) { Ok(()) } else { Err(AuthorizationError::Broker { expected, found }) }
}

/// Proof that the workerpool of an ACTIVE task vouched for this worker.
#[derive(Clone, Debug)]
pub struct Authorized {
    authorization: WorkerpoolAuthorization,
}

impl Authorized {
    /// What was authorized.
    pub fn authorization(&self) -> &WorkerpoolAuthorization {
        &self.authorization
    }

    /// The task.
    pub fn task(&self) -> TaskId {
        self.authorization.chain_task_id
    }
}

/// Why a worker is not authorized.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AuthorizationError {
    /// The caller is not the worker.
    #[error("the request must be signed by the worker {expected}, but the signature is of {}", shown(*found))]
    Worker {
        /// The authorized worker.
        expected: Address,
        /// Who signed.
        found: Option<Address>,
    },
    /// Not ACTIVE on chain.
    #[error("the task must be ACTIVE on chain, it is {status}")]
    NotActive {
        /// Its status.
        status: &'static str,
    },
    /// The chain's task is another one.
    #[error("the authorization is for task {authorized}, the chain answered about {found}")]
    OtherTask {
        /// In the authorization.
        authorized: TaskId,
        /// On chain.
        found: TaskId,
    },
    /// The hub's TEE broker did not sign.
    #[error("the authorization must be signed by the hub's TEE broker {expected}, but the signature is of {}", shown(*found))]
    Broker {
        /// The hub's broker.
        expected: Address,
        /// Who signed.
        found: Option<Address>,
    },
    /// The workerpool did not sign.
    #[error("the authorization must be signed by the workerpool owner {expected}, but the signature is of {}", shown(*found))]
    Pool {
        /// Owner of the deal's workerpool.
        expected: Address,
        /// Who signed.
        found: Option<Address>,
    },
}

impl AuthorizationError {
    /// iExec's name for it.
    pub const fn cause(&self) -> Cause {
        match self {
            Self::Worker { .. } => Cause::SessionInvalidAuthorization,
            Self::NotActive { .. } => Cause::SessionTaskNotActive,
            Self::OtherTask { .. } => Cause::SessionGetTaskFailed,
            Self::Pool { .. } | Self::Broker { .. } => Cause::SessionInvalidSignature,
        }
    }
}

fn shown(address: Option<Address>) -> String {
    address.map_or_else(|| "nobody".to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepted by the hub on a local chain (`PoCo` 6.1.0).
    #[test]
    fn the_authorization_equals_the_one_that_the_hub_accepted() {
        let task: TaskId = "0x014b1b2f5b27ab62313bb4716da84a1ab8009835d852813644e107e92061f717".parse().unwrap();
        let worker: Address = "0x90F79bf6EB2c4f870365E785982E1f101E93b906".parse().unwrap();
        let challenge: Address = "0x26Eb81aF6E02A6ef1F8FA3fC4Cc6Be92c8a5b370".parse().unwrap();
        let hash = authorization_hash(worker, task, challenge);
        assert_eq!(hash.to_string(), "0xd90cbf4b41b67785a25eed8e51a63baa71f34a40f0db1bb4923eceb6fdbe2e86");
        let sign: Signature = "0xf1942344fd1f4dd45d456c49cdf1aa541c7a99c2a27ff5a603b28eb12214d1830481b95aa99768201c9268c24c76605ff877ed5bedae4e77580e329e2de7b5651c".parse().unwrap();
        let scheduler: Address = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC".parse().unwrap();
        assert_eq!(sign.signer_of_personal(hash), Some(scheduler));
    }

    #[test]
    fn hashes_equal_those_of_iexec_core_and_sms() {
        let task = TaskId(B256::with_last_byte(1));
        assert_eq!(
            challenge_request_hash(task).to_string(),
            "0xb10e2d527612073b26eecdfd717e6a320cf44b4afac2b0732d9fcbe2b7fa0cf6"
        );
        let hash = authorization_hash(Address::with_last_byte(2), task, Address::repeat_byte(0x33));
        assert_eq!(hash.to_string(), "0xa03b476df356e4748ba2da5854e8694c6ab87077deee781b2b41ad2a99874f06");
    }
}
