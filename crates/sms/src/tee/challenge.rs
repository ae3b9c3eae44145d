//! A task's challenge: the address that its enclave will sign as (spec SMS-30 to SMS-33).

use iexec_chain::Chain;
use iexec_protocol::{
    Address,
    authorization::challenge_request_hash,
    id::TaskId,
    key::{Signature, SigningKey},
    task::ChainStatus,
};

use super::{Refusal, facts};
use crate::store::Store;

/// Answers the workerpool's owner with the task's challenge, made when first asked for.
pub(crate) async fn challenge(
    store: &Store,
    chain: &Chain,
    task: TaskId,
    signature: &Signature,
) -> Result<Address, Refusal> {
    let (on_chain, deal) = facts::task_and_deal(chain, task).await?;
    check_active(on_chain.status)?;
    check_pool(task, deal.workerpool.owner, signature)?;
    let fresh = SigningKey::random(&mut rand::rng());
    let key = store.challenge_or(task, &fresh, on_chain.final_deadline).await?;
    Ok(key.address())
}

fn check_active(status: ChainStatus) -> Result<(), Refusal> {
    if status == ChainStatus::Active { Ok(()) } else { Err(Refusal::NotActive { status: status.name(false) }) }
}

fn check_pool(task: TaskId, expected: Address, signature: &Signature) -> Result<(), Refusal> {
    let found = signature.signer_of_personal(challenge_request_hash(task));
    if found == Some(expected) { Ok(()) } else { Err(Refusal::Pool { expected, found }) }
}
