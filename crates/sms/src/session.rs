//! Makes a task's session out of two proofs and the secrets that they entitle to (spec `docs/spec/session.md`).
//!
//! Variables and error names are iExec's. What is missing is an error, never an empty variable.

mod environment;

use std::collections::BTreeMap;

use iexec_attestation::Attested;
use iexec_protocol::{
    Address,
    authorization::Authorized,
    cause::Cause,
    id::{Sha256, TaskId},
    session::{SecretText, Session, VERSION},
};
use thiserror::Error;

use crate::{description::Description, store::ChallengeKey};

/// The secrets of a task, as far as they are kept here.
pub(crate) struct Secrets {
    /// The key that the task's enclave signs with.
    pub(crate) challenge: ChallengeKey,
    /// The dataset's key.
    pub(crate) dataset_key: Option<SecretText>,
    /// The beneficiary's public key.
    pub(crate) beneficiary_key: Option<SecretText>,
    /// The app developer's secret.
    pub(crate) app_developer: Option<SecretText>,
    /// Requester secrets, by the number that the app reads them under.
    pub(crate) requester: BTreeMap<String, SecretText>,
    /// The worker's token for the result proxy that the deal names.
    pub(crate) storage_token: Option<SecretText>,
}

impl Secrets {
    /// Of a task that needs none.
    pub(crate) fn of(challenge: ChallengeKey) -> Self {
        Self {
            challenge,
            dataset_key: None,
            beneficiary_key: None,
            app_developer: None,
            requester: BTreeMap::new(),
            storage_token: None,
        }
    }
}

/// Opens the session `name`: only for an authorized worker's attested enclave, and only if nothing is missing. Both
/// proofs are used up: another session asks for others.
#[expect(clippy::needless_pass_by_value, reason = "a proof is spent on one session")]
pub(crate) fn open(
    authorized: Authorized,
    attested: Attested,
    description: &Description,
    secrets: &Secrets,
    name: String,
) -> Result<Session, SessionError> {
    check_task(&authorized, &attested, description)?;
    check_image(&attested, description)?;
    check_challenge(&authorized, secrets)?;
    check_complete(description, secrets)?;
    let worker = authorized.authorization().worker_wallet;
    Ok(Session {
        name,
        version: VERSION.to_owned(),
        time_limit: description.time_limit,
        services: vec![
            environment::pre_compute(description, secrets),
            environment::app(description, secrets),
            environment::post_compute(description, secrets, worker),
        ],
    })
}

/// Both proofs and the chain speak of one task.
fn check_task(authorized: &Authorized, attested: &Attested, description: &Description) -> Result<(), SessionError> {
    let (authorized, attested, found) = (authorized.task(), attested.task(), description.task.id);
    if authorized == found && attested == found {
        return Ok(());
    }
    Err(SessionError::OtherTask { authorized, attested, found })
}

/// The attested image is the one of this description's app.
fn check_image(attested: &Attested, description: &Description) -> Result<(), SessionError> {
    let (expected, found) = (description.image(), attested.image());
    if found == expected { Ok(()) } else { Err(SessionError::Image { expected, found }) }
}

/// The workerpool authorized the challenge that this SMS holds the key of (spec SMS-41).
pub(crate) fn check_challenge(authorized: &Authorized, secrets: &Secrets) -> Result<(), SessionError> {
    let (expected, found) = (secrets.challenge.address(), authorized.authorization().enclave_challenge);
    if found == expected { Ok(()) } else { Err(SessionError::Challenge { expected, found }) }
}

/// Every secret that the deal cannot do without is here (spec SMS-43). Asked when a session is offered, and again when
/// it is opened.
pub(crate) fn check_complete(description: &Description, secrets: &Secrets) -> Result<(), SessionError> {
    let deal = &description.deal;
    if deal.has_dataset() && secrets.dataset_key.is_none() {
        return Err(SessionError::DatasetKey { dataset: deal.dataset.pointer });
    }
    if description.params.encrypts() && secrets.beneficiary_key.is_none() {
        return Err(SessionError::BeneficiaryKey { beneficiary: deal.beneficiary });
    }
    match &description.proxy {
        Some(proxy) if secrets.storage_token.is_none() => Err(SessionError::StorageToken { proxy: proxy.clone() }),
        _ => Ok(()),
    }
}

/// Why there is no session.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum SessionError {
    /// The proofs do not belong together.
    #[error(
        "the worker is authorized for task {authorized}, the enclave attested for {attested}, the chain's is {found}"
    )]
    OtherTask {
        /// Of the authorization.
        authorized: TaskId,
        /// Of the evidence.
        attested: TaskId,
        /// On chain.
        found: TaskId,
    },
    /// Another image.
    #[error("the enclave starts image {found}, the app's checksum on chain is {expected}")]
    Image {
        /// On chain.
        expected: Sha256,
        /// Attested.
        found: Sha256,
    },
    /// A challenge of somebody else.
    #[error("the authorization names enclave challenge {found}, this SMS's challenge for the task is {expected}")]
    Challenge {
        /// Ours.
        expected: Address,
        /// The authorization's.
        found: Address,
    },
    /// Nobody asked for a challenge.
    #[error("the authorization names enclave challenge {found}, but no challenge was asked of this SMS for the task")]
    NoChallenge {
        /// The authorization's.
        found: Address,
    },
    /// The dataset's key is not here.
    #[error("dataset {dataset} has no key in this SMS; its owner must push it")]
    DatasetKey {
        /// Which.
        dataset: Address,
    },
    /// The deal asks for encryption, and there is no key to encrypt to.
    #[error(
        "beneficiary {beneficiary} has no result encryption key in this SMS, and the deal asks for an encrypted result"
    )]
    BeneficiaryKey {
        /// Whose.
        beneficiary: Address,
    },
    /// The deal names a result proxy, and the worker has no token for it.
    #[error("the worker has no token for the result proxy {proxy} in this SMS, and the deal names that one")]
    StorageToken {
        /// Its origin.
        proxy: String,
    },
}

impl SessionError {
    /// iExec's name for it.
    pub(crate) const fn cause(&self) -> Cause {
        match self {
            Self::OtherTask { .. } | Self::Image { .. } => Cause::SessionAttestationFailed,
            Self::Challenge { .. } | Self::NoChallenge { .. } => Cause::SessionChallengeMismatch,
            Self::DatasetKey { .. } => Cause::SessionDatasetSecretMissing,
            Self::BeneficiaryKey { .. } => Cause::SessionBeneficiaryKeyMissing,
            Self::StorageToken { .. } => Cause::SessionStorageTokensFailed,
        }
    }
}

#[cfg(test)]
mod tests;
