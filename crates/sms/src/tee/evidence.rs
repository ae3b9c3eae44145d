//! The release of a session: evidence in, the session sealed to the enclave's key out (spec SMS-44 to SMS-47).

use iexec_attestation::{Attested, Expected, Policy, TrustAnchors, screen};
use iexec_chain::Chain;
use iexec_protocol::{
    Timestamp,
    evidence::{Evidence, Tee},
    session::{MAX_FRAME, SealedSession, seal},
};

use super::{Refusal, facts, registered};
use crate::{
    collateral::Source,
    policy::{DealPolicy, SmsPolicy},
    session,
    store::{Entry, Event, Pending, Store, Stored},
};

/// Whom the SMS trusts.
pub(crate) struct Trust {
    pub(crate) anchors: TrustAnchors,
    /// Those that count here.
    pub(crate) tees: Vec<Tee>,
    pub(crate) policy: SmsPolicy,
    pub(crate) collateral: Source,
}

/// Gives a pending session to the enclave that `evidence` is of, once. The task is read from the chain again: an
/// authorization counts only as long as it is ACTIVE. Deal and broker may be as they were a minute ago (spec SMS-42).
pub(crate) async fn release(
    store: &Store,
    chain: &Chain,
    trust: &Trust,
    id: &str,
    evidence: &Evidence,
    now: Timestamp,
) -> Result<SealedSession, Refusal> {
    let pending = pending(store, id, now).await?;
    let Pending { nonce, authorization, worker_signature, .. } = *pending;
    let worker = authorization.worker_wallet;
    let (task, deal) = facts::task_and_deal(chain, authorization.chain_task_id).await?;
    let authorized = facts::authorize(chain, authorization, &worker_signature, &task, &deal).await?;
    let DealPolicy { policy, rules } = trust.policy.for_deal(&deal)?;
    let description = facts::describe(chain, task, deal).await?;
    let expected = Expected { task: description.task.id, nonce, image: description.image() };
    let attested = attest(trust, &policy, &expected, evidence, now).await?;
    registered::check(&description.app, attested.claims(), description.image())?;
    let challenge = authorized.authorization().enclave_challenge;
    let secrets = facts::secrets(store, &description, challenge, worker).await?;
    let (key, reference) = (*attested.key(), attested.reference().to_owned());
    let session = session::open(authorized, attested, &description, &secrets, id.to_owned())?;
    let sealed = seal(&session, &key, &mut rand::rng()).map_err(|_| Refusal::Key)?;
    check_frame(&sealed)?;
    let entry = Entry::new(Event::SessionReleased).task(description.task.id).with("tee", evidence.tee);
    let entry = entry.with("worker", worker).with("image", description.image());
    let entry = entry.with("reference", reference).with("rules", rules.join("; "));
    if store.release_session_as(id, entry).await? { Ok(sealed) } else { Err(Refusal::Used) }
}

async fn pending(store: &Store, id: &str, now: Timestamp) -> Result<Box<Pending>, Refusal> {
    match store.session(id).await? {
        None => Err(Refusal::NoSession),
        Some(Stored::Released) => Err(Refusal::Used),
        Some(Stored::Pending(pending)) if now >= pending.expires => {
            Err(Refusal::Expired { ago: now - pending.expires })
        }
        Some(Stored::Pending(pending)) => Ok(pending),
    }
}

/// Decides, with what the platform's vendor says. Nobody is asked about evidence that is refused whatever they say.
async fn attest(
    trust: &Trust,
    policy: &Policy,
    expected: &Expected,
    evidence: &Evidence,
    now: Timestamp,
) -> Result<Attested, Refusal> {
    let screened = screen(evidence, expected, &trust.anchors, policy, now)?;
    let revocations = policy.snp.require_revocation_list;
    let collateral = trust.collateral.find(&screened.needs(), revocations, now).await?;
    Ok(screened.verify(&collateral, now)?)
}

/// A sealed session must fit into one frame of the enclave's pipe; base64 makes three bytes four.
fn check_frame(sealed: &SealedSession) -> Result<(), Refusal> {
    let bytes = sealed.ciphertext.len() / 3 * 4 + 1024;
    if bytes <= MAX_FRAME { Ok(()) } else { Err(Refusal::TooLarge { bytes }) }
}

#[cfg(test)]
mod tests {
    use iexec_protocol::{
        Address, B256,
        authorization::{TaskRef, WorkerpoolAuthorization},
        evidence::Nonce,
        key::SigningKey,
    };

    use super::*;

    #[tokio::test]
    async fn a_session_is_offered_for_a_time_and_evidence_after_it_is_refused_before_anything_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&crate::store::Location::folder(folder.path())).await.unwrap();
        let key = SigningKey::from_bytes(&[1; 32]).unwrap();
        let task = TaskRef { id: B256::ZERO.into(), deal: B256::ZERO.into(), index: 0 };
        let authorization = WorkerpoolAuthorization::sign(&task, key.address(), Address::ZERO, &key).unwrap();
        let worker_signature = key.sign_personal(authorization.hash()).unwrap();
        let nonce = Nonce(B256::repeat_byte(3));
        let offered = Pending { id: "s".into(), nonce, authorization, worker_signature, expires: 100 };
        store.add_session(&offered).await.unwrap();
        let found = pending(&store, "s", 99).await.unwrap();
        assert_eq!((found.nonce, &found.authorization), (nonce, &offered.authorization));
        let expired = pending(&store, "s", 107).await.unwrap_err();
        assert_eq!(
            (expired.status(), expired.to_string().as_str()),
            (410, "the session expired 7 s ago; ask for another")
        );
        assert!(store.release_session("s").await.unwrap());
        assert!(!store.release_session("s").await.unwrap());
        assert_eq!(pending(&store, "s", 99).await.unwrap_err().status(), 409);
    }
}
