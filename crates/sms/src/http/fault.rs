//! What both APIs for secrets refuse alike: malformed and unsigned requests, owners nobody knows, turns, and our own
//! troubles. How a refusal is worded is each API's.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use iexec_protocol::secret::MAX_SECRET;
use iexec_service::{limit::Limited, serve::Failed};
use thiserror::Error;

use super::{RETRY_AFTER, owner::OwnerError, value::ValueError};
use crate::{secret::Refused, store::StoreError};

/// Why a request is refused, whichever API it came by.
#[derive(Debug, Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Malformed(String),
    #[error("the secret has more than {MAX_SECRET} bytes")]
    TooLarge,
    #[error("header Authorization: {0}")]
    Unsigned(String),
    #[error(transparent)]
    Signer(#[from] Refused),
    #[error(transparent)]
    Owner(#[from] OwnerError),
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error("the database does not answer; nothing is known to be done")]
    Unavailable,
    #[error("the service failed; its log says why")]
    Store(#[source] StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() {
            tracing::warn!("{error}");
            return Self::Unavailable;
        }
        Self::Store(error)
    }
}

impl From<ValueError> for Fault {
    fn from(error: ValueError) -> Self {
        match error {
            ValueError::TooLarge => Self::TooLarge,
            ValueError::Malformed(words) => Self::Malformed(words),
        }
    }
}

impl Fault {
    /// A signature of nobody asks the chain nothing.
    pub(super) fn nobody() -> Self {
        Self::Unsigned("no key can have made it".into())
    }

    /// Its status, and its cause for programs.
    pub(super) fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            Self::Unsigned(_) => (StatusCode::UNAUTHORIZED, "unsigned"),
            Self::Signer(_) => (StatusCode::UNAUTHORIZED, "signer"),
            Self::Owner(OwnerError::NoAsset(_)) => (StatusCode::NOT_FOUND, "unregistered"),
            Self::Owner(OwnerError::Chain(_)) => (StatusCode::SERVICE_UNAVAILABLE, "chain"),
            Self::Limited(_) => (StatusCode::TOO_MANY_REQUESTS, "rate"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "store"),
            Self::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// The cause as the audit log has it; `None` if nothing was decided.
    pub(super) fn verdict(&self) -> Option<&'static str> {
        let decided = matches!(self, Self::Unsigned(_) | Self::Signer(_) | Self::Owner(OwnerError::NoAsset(_)));
        decided.then(|| self.kind().1)
    }

    /// Completes an answer: after how many seconds it is worth another try, and what is to blame if not the caller. Our
    /// own failures are logged here, once.
    pub(super) fn complete(&self, response: &mut Response) {
        if let Self::Store(error) = self {
            tracing::error!("{:#}", anyhow::Error::new(error.clone()));
        }
        let (retry_after, failed) = match self {
            Self::Limited(limited) => (Some(limited.seconds()), None),
            Self::Owner(OwnerError::Chain(_)) => (Some(RETRY_AFTER), Some("chain")),
            Self::Unavailable => (Some(RETRY_AFTER), Some("database")),
            Self::Store(_) => (None, Some("database")),
            _ => (None, None),
        };
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(failed) = failed {
            response.extensions_mut().insert(Failed(failed));
        }
    }
}
