//! Refusals under `/tee`: `{"error": <iExec's name>, "detail": "<cause>: <sentence>"}` with a status that tells the truth
//! (spec SMS-50).

use iexec_attestation::AttestationError;
use iexec_chain::ChainError;
use iexec_protocol::{
    Address,
    authorization::AuthorizationError,
    cause::Cause,
    id::{DealId, TaskId},
    session::MAX_FRAME,
    tag::Tag,
};
use thiserror::Error;

use super::registered::RegisteredError;
use crate::{
    collateral::CollateralError, description::Undescribed, policy::Denied, session::SessionError, store::StoreError,
};

/// Why there is no challenge or session.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    /// Not of the form that the path asks for.
    #[error("{0}")]
    Malformed(String),
    /// More than is read.
    #[error("{0}")]
    Oversized(String),
    /// No signature, or none that can be read.
    #[error("header Authorization: {0}")]
    Unsigned(String),
    /// The chain did not tell the task.
    #[error("{0}")]
    GetTask(#[source] ChainError),
    /// The chain did not tell the deal, or what it names.
    #[error("{0}")]
    GetDeal(#[source] ChainError),
    /// The task is of no deal.
    #[error("task {task} is of deal {deal}, which the chain does not know")]
    NoDeal {
        /// The task.
        task: TaskId,
        /// Its deal.
        deal: DealId,
    },
    /// Not ACTIVE.
    #[error("the task must be ACTIVE on chain, it is {status}")]
    NotActive {
        /// What it is.
        status: &'static str,
    },
    /// No TEE, or an unclear one.
    #[error("the deal's tag must name tee with at most one framework, it is {0}")]
    Tag(Tag),
    /// Somebody else asked for a challenge.
    #[error(
        "header Authorization must be the signature of the workerpool owner {expected} over the task, but it is of {}",
        found.map_or_else(|| "nobody".to_owned(), |found| found.to_string())
    )]
    Pool {
        /// The deal's workerpool owner.
        expected: Address,
        /// Who signed.
        found: Option<Address>,
    },
    /// The worker is not authorized.
    #[error(transparent)]
    Authorization(#[from] AuthorizationError),
    /// The task cannot be carried out.
    #[error(transparent)]
    Undescribed(#[from] Undescribed),
    /// Something that the session needs is missing, or does not fit.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Evidence refused.
    #[error(transparent)]
    Attestation(#[from] AttestationError),
    /// This SMS was not told to be a broker.
    #[error("this SMS is no TEE broker")]
    NoBroker,
    /// The hub names another.
    #[error(
        "this SMS's TEE broker is {own}, the hub's is {}",
        hub.map_or_else(|| "nobody".to_owned(), |hub| hub.to_string())
    )]
    OtherBroker {
        /// The key here.
        own: Address,
        /// On chain.
        hub: Option<Address>,
    },
    /// The word of the platform's vendor is not here.
    #[error(transparent)]
    Collateral(#[from] CollateralError),
    /// A rule of the operator's.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The enclave is not the one that the app's owner registered.
    #[error(transparent)]
    Registered(#[from] RegisteredError),
    /// The evidence's key is no X25519 key that can be sealed to.
    #[error("the evidence's key is not a usable X25519 public key")]
    Key,
    /// More than the enclave takes.
    #[error(
        "the session has {bytes} bytes, the enclave takes {MAX_FRAME}: the deal has too many or too large parameters and secrets"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Unknown id.
    #[error("there is no such session")]
    NoSession,
    /// Waited too long.
    #[error("the session expired {ago} s ago; ask for another")]
    Expired {
        /// Seconds.
        ago: u64,
    },
    /// Opened before.
    #[error("the session was opened before; a session is given once, ask for another")]
    Used,
    /// The database does not answer.
    #[error("the database does not answer; try again later")]
    Unavailable,
    /// We broke.
    #[error("the service failed; its log says why")]
    Internal(#[source] anyhow::Error),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() {
            tracing::warn!("{error}");
            return Self::Unavailable;
        }
        Self::Internal(error.into())
    }
}

impl Refusal {
    /// HTTP status.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Oversized(_) => 413,
            Self::Unsigned(_) | Self::Pool { .. } => 401,
            Self::Authorization(error) => match error {
                AuthorizationError::NotActive { .. } => 409,
                AuthorizationError::OtherTask { .. } => 422,
                AuthorizationError::Worker { .. }
                | AuthorizationError::Pool { .. }
                | AuthorizationError::Broker { .. } => 401,
            },
            Self::Attestation(_) | Self::Denied(_) | Self::Registered(_) | Self::Key => 403,
            Self::Session(error) => match error {
                SessionError::DatasetKey { .. }
                | SessionError::BeneficiaryKey { .. }
                | SessionError::StorageToken { .. } => 422,
                _ => 403,
            },
            Self::NoSession | Self::NoBroker => 404,
            Self::NotActive { .. } | Self::OtherBroker { .. } | Self::Used => 409,
            Self::Expired { .. } => 410,
            Self::NoDeal { .. } | Self::Tag(_) | Self::Undescribed(_) | Self::TooLarge { .. } => 422,
            Self::Internal(_) => 500,
            Self::GetTask(_) | Self::GetDeal(_) | Self::Collateral(_) | Self::Unavailable => 503,
        }
    }

    /// What was decided about evidence: `refused` or `delayed`, and the check that it hangs on. `None` if it never came to a
    /// decision.
    pub(crate) fn judged(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Attestation(error) => Some(("refused", error.check())),
            Self::Denied(_) => Some(("refused", "rules")),
            Self::Registered(_) => Some(("refused", "registered")),
            Self::Key => Some(("refused", "key")),
            Self::Collateral(_) => Some(("delayed", "collateral")),
            _ => None,
        }
    }

    /// The cause that a worker reports.
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::Malformed(_) | Self::Oversized(_) | Self::Unsigned(_) => Cause::SessionInvalidAuthorization,
            Self::GetTask(_) => Cause::SessionGetTaskFailed,
            Self::GetDeal(_) | Self::NoDeal { .. } => Cause::SessionGetDealFailed,
            Self::NotActive { .. } => Cause::SessionTaskNotActive,
            Self::Tag(_) => Cause::SessionNoMatchOnchainType,
            Self::Pool { .. } | Self::NoBroker | Self::OtherBroker { .. } => Cause::SessionInvalidSignature,
            Self::Authorization(error) => error.cause(),
            Self::Undescribed(_) | Self::TooLarge { .. } => Cause::TaskDescriptionInvalid,
            Self::Session(error) => error.cause(),
            Self::Attestation(_) | Self::Denied(_) | Self::Registered(_) | Self::Key => Cause::SessionAttestationFailed,
            Self::NoSession
            | Self::Expired { .. }
            | Self::Used
            | Self::Collateral(_)
            | Self::Unavailable
            | Self::Internal(_) => Cause::SessionUnknownIssue,
        }
    }

    /// iExec's `TeeSessionGenerationError`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Undescribed(Undescribed::Storage(_) | Undescribed::Proxy(_)) => {
                "POST_COMPUTE_GET_STORAGE_TOKENS_FAILED"
            }
            Self::Undescribed(_) | Self::TooLarge { .. } => "GET_TASK_DESCRIPTION_FAILED",
            Self::NoSession | Self::Expired { .. } | Self::Used => "NO_SESSION_REQUEST",
            Self::Collateral(_) | Self::Unavailable | Self::Internal(_) => "SECURE_SESSION_GENERATION_FAILED",
            other => {
                let cause = other.cause().name();
                cause.strip_prefix("TEE_SESSION_GENERATION_").unwrap_or(cause)
            }
        }
    }
}
