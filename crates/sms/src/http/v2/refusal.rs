//! Refusals of the second API: RFC 9457 problems with a cause that programs can read.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use iexec_protocol::{secret::SecretError, secret_request::TermsError};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use super::super::{audited::Decided, fault::Fault};

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
    #[error(transparent)]
    Fault(Fault),
    #[error("versions begin with 1, and the request is signed for 0")]
    FirstVersion,
    #[error("a secret is text: send it as text/plain")]
    MediaType,
    #[error(transparent)]
    Terms(TermsError),
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
}

impl Decided for Refusal {
    fn verdict(&self) -> Option<&'static str> {
        match self {
            Self::Fault(fault) => fault.verdict(),
            Self::Terms(_) => Some(self.code()),
            _ => None,
        }
    }
}

impl<T> From<T> for Refusal
where
    Fault: From<T>,
{
    fn from(cause: T) -> Self {
        Self::Fault(cause.into())
    }
}

impl From<TermsError> for Refusal {
    fn from(error: TermsError) -> Self {
        Self::Terms(error)
    }
}

impl From<SecretError> for Refusal {
    fn from(error: SecretError) -> Self {
        Fault::Malformed(error.to_string()).into()
    }
}

impl Refusal {
    /// Its cause for programs.
    pub(super) fn code(&self) -> &'static str {
        self.kind().1
    }

    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Fault(fault) => fault.kind(),
            Self::FirstVersion => (StatusCode::BAD_REQUEST, "malformed"),
            Self::Terms(TermsError::Audience { .. }) => (StatusCode::UNAUTHORIZED, "audience"),
            Self::Terms(TermsError::Expired { .. }) => (StatusCode::UNAUTHORIZED, "expired"),
            Self::Terms(TermsError::Far { .. }) => (StatusCode::UNAUTHORIZED, "deadline"),
            Self::Full { .. } => (StatusCode::FORBIDDEN, "quota"),
            Self::Absent => (StatusCode::NOT_FOUND, "absent"),
            Self::Version { .. } => (StatusCode::CONFLICT, "version"),
            Self::NonceUsed => (StatusCode::CONFLICT, "nonce-used"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
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
        if let Self::Fault(fault) = &self {
            fault.complete(&mut response);
        }
        response
    }
}
