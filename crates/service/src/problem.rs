//! Refusals as `application/problem+json` (RFC 9457), and iExec's `{"error": …}` where its API fixes that body.

use axum::{
    extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;

use crate::{limit::Limited, serve::Failed};

/// A refusal: a status and the cause in words, shown to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    retry_seconds: Option<u64>,
    failed: Option<Failed>,
}

impl Problem {
    /// A refusal with this status; `detail` must hold no secret.
    #[allow(clippy::needless_pass_by_value)] // so that callers hand over an error or a literal as it is
    pub fn new(status: StatusCode, detail: impl ToString) -> Self {
        Self { status, detail: detail.to_string(), retry_seconds: None, failed: None }
    }

    /// 400: the request is malformed.
    pub fn bad_request(detail: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: the caller is not who the request needs.
    pub fn unauthorized(detail: impl ToString) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403: the caller is known, and may not.
    pub fn forbidden(detail: impl ToString) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404.
    pub fn not_found(detail: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409: it is there already, or in another state.
    pub fn conflict(detail: impl ToString) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 503: something that this service needs (the chain) does not answer.
    pub fn unavailable(detail: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// 500: we broke. The cause is logged here, once, and not shown.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!("{cause:#}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the service failed; its log says why")
    }

    /// The same, with the seconds after which it is worth another try (the header `Retry-After`).
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_seconds: Some(seconds), ..self }
    }

    /// The same, counted as a failure of this dependency (`chain`, `database`).
    #[must_use]
    pub fn failed(self, dependency: &'static str) -> Self {
        Self { failed: Some(Failed(dependency)), ..self }
    }

    /// Seconds after which it is worth another try, if that is known.
    pub fn retry_seconds(&self) -> Option<u64> {
        self.retry_seconds
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The cause in words.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Refused");
        let body =
            json!({"type": "about:blank", "title": title, "status": self.status.as_u16(), "detail": self.detail});
        let mut response = reply(self.status, "application/problem+json", &body);
        if let Some(seconds) = self.retry_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(failed) = self.failed {
            response.extensions_mut().insert(failed);
        }
        response
    }
}

/// iExec's refusal body: `{"error": error}`, `error` being a text or a list of texts.
pub fn iexec_error(status: StatusCode, error: impl Serialize) -> Response {
    reply(status, "application/json", &json!({ "error": error }))
}

fn reply(status: StatusCode, content_type: &'static str, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body.to_string()).into_response()
}

#[cfg(feature = "store")]
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::internal(anyhow::Error::new(error).context("the store failed")).failed("database")
    }
}

/// 429, RFC 6585 section 4.
impl From<Limited> for Problem {
    fn from(limited: Limited) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, limited).retry_after(limited.seconds())
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::internal(anyhow::Error::new(error).context("a file operation failed"))
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self::internal(error)
    }
}

macro_rules! from_rejection {
    ($($rejection:ty),*) => {$(
        impl From<$rejection> for Problem {
            fn from(rejection: $rejection) -> Self {
                Self::new(rejection.status(), rejection.body_text())
            }
        }
    )*};
}
from_rejection!(BytesRejection, JsonRejection, PathRejection, QueryRejection);
