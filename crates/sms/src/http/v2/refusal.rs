//! Refusals of the second API: RFC 9457 problems with a cause that programs can read.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use iexec_protocol::{
    secret::{MAX_SECRET, SecretError},
    secret_request::TermsError,
};
use iexec_service::{limit::Limited, serve::Failed};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use super::super::{RETRY_AFTER, audited::Decided, owner::OwnerError, value::ValueError};
use crate::{secret::Refused, store::StoreError};

/// A refusal's body (RFC 9457).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Problem {
    /// `about:blank`: the status says what it is.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// The cause in words.
    detail: String,
    /// The cause for programs. Refusals that are about no secret have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// With `version`: the last version that there was.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_version: Option<u64>,
}

/// Why a request is refused.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Malformed(String),
    #[error("versions begin with 1, and the request is signed for 0")]
    FirstVersion,
    #[error("a secret is text: send it as text/plain")]
    MediaType,
    #[error("the secret has more than {MAX_SECRET} bytes")]
    TooLarge,
    #[error("header Authorization: {0}")]
    Unsigned(String),
    #[error(transparent)]
    Signer(#[from] Refused),
    #[error(transparent)]
    Terms(#[from] TermsError),
    #[error(transparent)]
    Owner(#[from] OwnerError),
    #[error("there is no such secret")]
    Absent,
    #[error(
        "the last version is {last}, and the request is signed for {asked}; look again, then sign for what is there"
    )]
    Version { last: u64, asked: u64 },
    #[error("the request's nonce was used before: a request counts once")]
    NonceUsed,
    #[error(
        "the owner has as many secrets as one owner may have ({most}, and ten times as many deleted ones); delete some first"
    )]
    Full { most: u64 },
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error("the database does not answer; nothing is known to be done")]
    Unavailable,
    #[error("the service failed; its log says why")]
    Store(#[source] StoreError),
}

impl Decided for Refusal {
    fn verdict(&self) -> Option<&'static str> {
        match self {
            Self::Unsigned(_) | Self::Signer(_) | Self::Terms(_) | Self::Owner(OwnerError::NoAsset(_)) => {
                Some(self.code())
            }
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
        Self::Malformed(error.to_string())
    }
}

impl Refusal {
    /// Its cause for programs.
    pub(super) fn code(&self) -> &'static str {
        self.kind().1
    }

    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed(_) | Self::FirstVersion => (StatusCode::BAD_REQUEST, "malformed"),
            Self::Unsigned(_) => (StatusCode::UNAUTHORIZED, "unsigned"),
            Self::Signer(_) => (StatusCode::UNAUTHORIZED, "signer"),
            Self::Terms(TermsError::Audience { .. }) => (StatusCode::UNAUTHORIZED, "audience"),
            Self::Terms(TermsError::Expired { .. }) => (StatusCode::UNAUTHORIZED, "expired"),
            Self::Terms(TermsError::Far { .. }) => (StatusCode::UNAUTHORIZED, "deadline"),
            Self::Full { .. } => (StatusCode::FORBIDDEN, "quota"),
            Self::Absent => (StatusCode::NOT_FOUND, "absent"),
            Self::Owner(OwnerError::NoAsset(_)) => (StatusCode::NOT_FOUND, "unregistered"),
            Self::Version { .. } => (StatusCode::CONFLICT, "version"),
            Self::NonceUsed => (StatusCode::CONFLICT, "nonce-used"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type"),
            Self::Limited(_) => (StatusCode::TOO_MANY_REQUESTS, "rate"),
            Self::Owner(OwnerError::Chain(_)) => (StatusCode::SERVICE_UNAVAILABLE, "chain"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "store"),
            Self::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
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
        let (status, code) = self.kind();
        let last_version = if let Self::Version { last, .. } = &self { Some(*last) } else { None };
        let problem = Problem {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Refused"),
            status: status.as_u16(),
            detail: self.to_string(),
            code: Some(code),
            last_version,
        };
        let mut response = (status, axum::Json(problem)).into_response();
        let form = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, form);
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(failed) = self.failed() {
            response.extensions_mut().insert(failed);
        }
        response
    }
}
