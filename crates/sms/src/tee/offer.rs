//! The offer of a session to an authorized worker (spec SMS-40 to SMS-43): a nonce, and no secret.

use iexec_chain::Chain;
use iexec_protocol::{Timestamp, authorization::WorkerpoolAuthorization, call::sms::SessionOffer, key::Signature};

use super::{Refusal, facts};
use crate::{
    policy::SmsPolicy,
    session,
    store::{Pending, Store},
};

/// Offers a session whose evidence is to be sent to `origin`. What is missing, or refused by a rule, is said now, not when
/// the image is loaded.
pub(crate) async fn offer(
    store: &Store,
    chain: &Chain,
    policy: &SmsPolicy,
    origin: &str,
    authorization: WorkerpoolAuthorization,
    worker_signature: Signature,
    now: Timestamp,
) -> Result<SessionOffer, Refusal> {
    let (task, deal) = facts::task_and_deal(chain, authorization.chain_task_id).await?;
    let authorized = facts::authorize(chain, authorization.clone(), &worker_signature, &task, &deal).await?;
    let worker = authorization.worker_wallet;
    policy.for_deal(&deal)?;
    let description = facts::describe(chain, task, deal).await?;
    let secrets = facts::secrets(store, &description, authorization.enclave_challenge, worker).await?;
    session::check_challenge(&authorized, &secrets)?;
    session::check_complete(&description, &secrets)?;
    let (id, nonce) = facts::fresh_session(description.task.id)?;
    let pending = Pending { id, nonce, authorization, worker_signature, expires: now + facts::SESSION_TIME };
    store.add_session(&pending).await?;
    Ok(SessionOffer { session_id: pending.id, secret_provisioning_url: origin.to_owned(), nonce })
}
