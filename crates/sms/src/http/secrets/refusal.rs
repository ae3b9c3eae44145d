//! Refusals of secret requests in iExec's API: its statuses and words where it has some, and the cause.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use iexec_protocol::{
    call::sms::SecretId,
    secret::{MAX_SECRET, SecretError},
};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use super::super::{audited::Decided, fault::Fault, owner::OwnerError};

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
    #[error(transparent)]
    Fault(Fault),
    #[error("{0}")]
    Key(SecretError),
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
}

impl Decided for Refusal {
    fn verdict(&self) -> Option<&'static str> {
        if let Self::Fault(fault) = self { fault.verdict() } else { None }
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

impl From<SecretError> for Refusal {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Key => Self::Key(error),
            SecretError::Name { bytes } => {
                Fault::Malformed(format!("parameter secretName must have 1 to 255 bytes, it has {bytes}")).into()
            }
            other => Fault::Malformed(other.to_string()).into(),
        }
    }
}

impl Refusal {
    /// The same, of this secret.
    pub(super) fn of(self, id: &SecretId) -> Self {
        match (self, id) {
            (Self::Fault(Fault::TooLarge), SecretId::Requester { .. }) => Self::RequesterTooLarge,
            (refusal, _) => refusal,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Fault(fault) => fault.kind().0,
            Self::Key(_) | Self::RequesterTooLarge => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Exists | Self::Returned | Self::OtherKind => StatusCode::CONFLICT,
            Self::Full => StatusCode::FORBIDDEN,
        }
    }

    /// iExec's words where it has some.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Fault(fault) => match fault {
                Fault::Unsigned(_) | Fault::Signer(_) => "Invalid authorization",
                Fault::TooLarge => TOO_LARGE,
                Fault::Malformed(_) => "Malformed request",
                Fault::Owner(OwnerError::NoAsset(_)) => "Asset not found",
                Fault::Owner(OwnerError::Chain(_)) => "Chain unreachable",
                Fault::Limited(_) => "Too many requests",
                Fault::Unavailable => "Store unavailable",
                Fault::Store(_) => "Internal error",
            },
            Self::RequesterTooLarge => TOO_LARGE,
            Self::Key(_) => "Secret key should contain at most 64 characters from [0-9A-Za-z-_]",
            Self::NotFound => "Secret not found",
            Self::Exists => "Secret already exists",
            Self::Returned => "Secret value was replaced before",
            Self::OtherKind => "Signature was used for another secret",
            Self::Full => "Too many secrets",
        }
    }
}

const TOO_LARGE: &str = "Secret size should not exceed 4 Kb";

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let said = Said { error: [self.title()], detail: self.to_string() };
        let mut response = (self.status(), axum::Json(said)).into_response();
        if let Self::Fault(fault) = &self {
            fault.complete(&mut response);
        }
        response
    }
}
