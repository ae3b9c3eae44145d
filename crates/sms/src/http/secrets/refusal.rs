//! Refusals of secret requests: iExec's statuses and words where it has some, and the cause.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use iexec_chain::ChainError;
use iexec_protocol::{
    call::sms::SecretId,
    secret::{MAX_SECRET, SecretError},
};
use serde_json::json;
use thiserror::Error;

use crate::{secret::Refused, store::StoreError};

/// Why a secret request is refused.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Malformed(String),
    #[error("header Authorization: {0}")]
    Unsigned(String),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the secret has more than {MAX_SECRET} bytes")]
    TooLarge,
    /// For requesters' secrets iExec's SMS answers 400 here.
    #[error("the secret has more than {MAX_SECRET} bytes")]
    RequesterTooLarge,
    #[error("there is no such secret")]
    NotFound,
    #[error("a secret is kept there already, and it is not replaced")]
    Exists,
    #[error(
        "the secret had this value before; an update must bring a new one, since an old signature could be replayed"
    )]
    Returned,
    #[error("the owner has as many secrets as one owner may have")]
    Full,
    #[error("the database does not answer; nothing is known to be kept")]
    Unavailable,
    #[error("the address is no {0} that is registered on this chain")]
    NoAsset(&'static str),
    #[error("the chain does not answer: {0}")]
    Chain(#[from] ChainError),
    #[error("the service failed; its log says why")]
    Store(#[source] StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() {
            tracing::warn!("{error}");
            return Self::Unavailable;
        }
        Self::Store(error)
    }
}

impl Refusal {
    /// The same, of this secret.
    pub(super) fn of(self, id: &SecretId) -> Self {
        let large = matches!(self, Self::TooLarge | Self::Refused(Refused::Bounds(SecretError::TooLarge { .. })));
        if large && matches!(id, SecretId::Requester { .. }) { Self::RequesterTooLarge } else { self }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unsigned(_) | Self::Refused(Refused::Signer { .. }) => StatusCode::UNAUTHORIZED,
            Self::TooLarge | Self::Refused(Refused::Bounds(SecretError::TooLarge { .. })) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Malformed(_) | Self::RequesterTooLarge | Self::Refused(_) => StatusCode::BAD_REQUEST,
            Self::NotFound | Self::NoAsset(_) => StatusCode::NOT_FOUND,
            Self::Exists | Self::Returned => StatusCode::CONFLICT,
            Self::Full => StatusCode::FORBIDDEN,
            Self::Chain(_) | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// iExec's words where it has some.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Unsigned(_) | Self::Refused(Refused::Signer { .. }) => "Invalid authorization",
            Self::TooLarge | Self::RequesterTooLarge | Self::Refused(Refused::Bounds(SecretError::TooLarge { .. })) => {
                "Secret size should not exceed 4 Kb"
            }
            Self::Refused(Refused::Bounds(SecretError::Key)) => {
                "Secret key should contain at most 64 characters from [0-9A-Za-z-_]"
            }
            Self::Malformed(_) | Self::Refused(_) => "Malformed request",
            Self::NotFound => "Secret not found",
            Self::NoAsset(_) => "Asset not found",
            Self::Exists => "Secret already exists",
            Self::Returned => "Secret value was replaced before",
            Self::Full => "Too many secrets",
            Self::Unavailable => "Store unavailable",
            Self::Chain(_) => "Chain unreachable",
            Self::Store(_) => "Internal error",
        }
    }
}

impl IntoResponse for Refusal {
    /// `{"error": [iExec's words], "detail": the cause}`.
    fn into_response(self) -> Response {
        if let Self::Store(error) = &self {
            tracing::error!("{:#}", anyhow::anyhow!("{error}: {:?}", std::error::Error::source(error)));
        }
        let body = json!({ "error": [self.title()], "detail": self.to_string() }).to_string();
        (self.status(), [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}
