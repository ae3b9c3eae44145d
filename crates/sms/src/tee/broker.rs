//! The SMS as PoCo's TEE broker (spec SMS-36 to SMS-39): where the hub names its key, no authorization counts on chain
//! unless this key signed it. A workerpool can then not pass off a challenge of its own for that of an enclave.

use iexec_chain::Chain;
use iexec_protocol::{
    authorization::{SignatureValue, WorkerpoolAuthorization},
    key::SigningKey,
};

use super::{Refusal, facts};
use crate::{policy::SmsPolicy, session::SessionError, store::Store};

/// Signs what the workerpool's owner signed, if it names this SMS's challenge for the task.
pub(crate) async fn vouch(
    store: &Store,
    chain: &Chain,
    policy: &SmsPolicy,
    broker: Option<&SigningKey>,
    mut authorization: WorkerpoolAuthorization,
) -> Result<WorkerpoolAuthorization, Refusal> {
    let broker = broker.ok_or(Refusal::NoBroker)?;
    let (task, deal) = facts::task_and_deal(chain, authorization.chain_task_id).await?;
    authorization.check_issued(&task, &deal)?;
    policy.for_deal(&deal)?;
    let found = authorization.enclave_challenge;
    let own = store.challenge(task.id).await?.ok_or(SessionError::NoChallenge { found })?;
    if own.address() != found {
        return Err(SessionError::Challenge { expected: own.address(), found }.into());
    }
    let hub = chain.tee_broker().await.map_err(Refusal::GetDeal)?;
    if hub != Some(broker.address()) {
        return Err(Refusal::OtherBroker { own: broker.address(), hub });
    }
    let value = broker.sign_personal(authorization.hash()).map_err(|error| Refusal::Internal(error.into()))?;
    authorization.signature = SignatureValue { value };
    Ok(authorization)
}
