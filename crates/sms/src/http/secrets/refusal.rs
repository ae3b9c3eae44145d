//! Refusals of secret requests in iExec's API: its statuses and words where it has some, and the cause.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use iexec_protocol::{
    call::sms::SecretId,
    secret::{MAX_SECRET, SecretError},
};
use iexec_service::{limit::Limited, serve::Failed};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use super::super::{RETRY_AFTER, audited::Decided, owner::OwnerError, value::ValueError};
use crate::{secret::Refused, store::StoreError};

/// A refusal's body.
#[derive(Serialize, ToSchema)]
#[schema(as = V1Refusal)]
pub(in crate::http) struct Said {
    /// iExec's words, one text in a list.
    error: [&'static str; 1],
    /// The cause in words.
    detail: String,
}

/// Why a secret request is refused.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Key(SecretError),
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
    #[error(
        "this signature kept the value as a secret of another kind, whose signatures have the same form; the second API tells them apart"
    )]
    OtherKind,
    #[error("the owner has as many secrets as one owner may have; delete some first")]
    Full,
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error("the database does not answer; nothing is known to be kept")]
    Unavailable,
    #[error(transparent)]
    Owner(#[from] OwnerError),
    #[error("the service failed; its log says why")]
    Store(#[source] StoreError),
}

impl Decided for Refusal {
    fn verdict(&self) -> Option<&'static str> {
        match self {
            Self::Unsigned(_) => Some("unsigned"),
            Self::Refused(_) => Some("signer"),
            Self::Owner(OwnerError::NoAsset(_)) => Some("unregistered"),
            _ => None,
        }
    }
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

impl From<ValueError> for Refusal {
    fn from(error: ValueError) -> Self {
        match error {
            ValueError::TooLarge => Self::TooLarge,
            ValueError::Malformed(words) => Self::Malformed(words),
        }
    }
}

impl From<SecretError> for Refusal {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Key => Self::Key(error),
            SecretError::Name { bytes } => {
                Self::Malformed(format!("parameter secretName must have 1 to 255 bytes, it has {bytes}"))
            }
            other => Self::Malformed(other.to_string()),
        }
    }
}

impl Refusal {
    /// The same, of this secret.
    pub(super) fn of(self, id: &SecretId) -> Self {
        match (self, id) {
            (Self::TooLarge, SecretId::Requester { .. }) => Self::RequesterTooLarge,
            (refusal, _) => refusal,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unsigned(_) | Self::Refused(_) => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(_) | Self::Key(_) | Self::RequesterTooLarge => StatusCode::BAD_REQUEST,
            Self::NotFound | Self::Owner(OwnerError::NoAsset(_)) => StatusCode::NOT_FOUND,
            Self::Exists | Self::Returned | Self::OtherKind => StatusCode::CONFLICT,
            Self::Full => StatusCode::FORBIDDEN,
            Self::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Owner(OwnerError::Chain(_)) | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// iExec's words where it has some.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Unsigned(_) | Self::Refused(_) => "Invalid authorization",
            Self::TooLarge | Self::RequesterTooLarge => "Secret size should not exceed 4 Kb",
            Self::Key(_) => "Secret key should contain at most 64 characters from [0-9A-Za-z-_]",
            Self::Malformed(_) => "Malformed request",
            Self::NotFound => "Secret not found",
            Self::Owner(OwnerError::NoAsset(_)) => "Asset not found",
            Self::Exists => "Secret already exists",
            Self::Returned => "Secret value was replaced before",
            Self::OtherKind => "Signature was used for another secret",
            Self::Full => "Too many secrets",
            Self::Limited(_) => "Too many requests",
            Self::Unavailable => "Store unavailable",
            Self::Owner(OwnerError::Chain(_)) => "Chain unreachable",
            Self::Store(_) => "Internal error",
        }
    }

    /// Seconds after which it is worth another try.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Limited(limited) => Some(limited.seconds()),
            Self::Owner(OwnerError::Chain(_)) | Self::Unavailable => Some(RETRY_AFTER),
            _ => None,
        }
    }

    /// What is to blame, if not the caller.
    fn failed(&self) -> Option<Failed> {
        match self {
            Self::Owner(OwnerError::Chain(_)) => Some(Failed("chain")),
            Self::Unavailable | Self::Store(_) => Some(Failed("database")),
            _ => None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if let Self::Store(error) = &self {
            tracing::error!("{:#}", anyhow::Error::new(error.clone()));
        }
        let said = Said { error: [self.title()], detail: self.to_string() };
        let mut response = (self.status(), axum::Json(said)).into_response();
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(failed) = self.failed() {
            response.extensions_mut().insert(failed);
        }
        response
    }
}
