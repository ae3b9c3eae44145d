//! HTTP exchanges as data: a request type becomes an `http::Request`, a response type is read from an `http::Response`.
//! No client and no server in here; both sides share these types.

pub mod faucet;
pub mod market;
pub mod scheduler;
pub mod secrets;
pub mod sms;
pub mod storage;

use http::{Method, Request, Response, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use thiserror::Error;

/// Longest reply read, in bytes (archives are streamed, not called for).
pub const MAX_REPLY: usize = 8 * 1024 * 1024;

/// One exchange: what is sent, and how the answer is read.
pub trait Call {
    /// What a success yields.
    type Reply;

    /// The request; its URI is `base` (an origin such as `http://127.0.0.1:13300`) and the call's path.
    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError>;

    /// Reads the answer.
    fn reply(&self, response: Response<Vec<u8>>) -> Result<Self::Reply, CallError>;
}

/// An exchange that failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CallError {
    /// Nobody answered.
    #[error("{url} cannot be reached: {error}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        error: String,
    },
    /// The service says no.
    #[error("{message} (HTTP {status})")]
    Refused {
        /// HTTP status, 4xx or 5xx.
        status: u16,
        /// The service's own words.
        message: String,
    },
    /// The answer is not of the form that the call expects.
    #[error("the answer is malformed: {0}")]
    Malformed(String),
    /// The request cannot be written.
    #[error("the request cannot be made: {0}")]
    Request(String),
}

impl CallError {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }

    /// The HTTP status, if the service answered.
    pub fn status(&self) -> Option<u16> {
        if let Self::Refused { status, .. } = self { Some(*status) } else { None }
    }
}

/// Writes a request without a body.
pub(crate) fn bare(
    method: Method,
    base: &str,
    path: &str,
    authorization: Option<String>,
) -> Result<Request<Vec<u8>>, CallError> {
    build(method, base, path, authorization, None, Vec::new())
}

/// Writes a request with a JSON body.
pub(crate) fn json<T: Serialize>(
    method: Method,
    base: &str,
    path: &str,
    authorization: Option<String>,
    body: &T,
) -> Result<Request<Vec<u8>>, CallError> {
    let body = serde_json::to_vec(body).map_err(|error| CallError::Request(error.to_string()))?;
    build(method, base, path, authorization, Some("application/json"), body)
}

/// Writes a request with a text body.
pub(crate) fn text(
    method: Method,
    base: &str,
    path: &str,
    authorization: Option<String>,
    body: &str,
) -> Result<Request<Vec<u8>>, CallError> {
    build(method, base, path, authorization, Some("text/plain"), body.as_bytes().to_vec())
}

fn build(
    method: Method,
    base: &str,
    path: &str,
    authorization: Option<String>,
    content_type: Option<&str>,
    body: Vec<u8>,
) -> Result<Request<Vec<u8>>, CallError> {
    let mut request = Request::builder().method(method).uri(format!("{}{path}", base.trim_end_matches('/')));
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    request.body(body).map_err(|error| CallError::Request(error.to_string()))
}

/// A text as it stands in a path or query: all but RFC 3986's unreserved characters as `%XX`.
pub(crate) fn escaped(text: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A 2xx answer's body, or the refusal.
pub(crate) fn success(response: Response<Vec<u8>>) -> Result<Vec<u8>, CallError> {
    if response.status().is_success() { Ok(response.into_body()) } else { Err(refusal(&response)) }
}

/// A 2xx answer's JSON.
pub(crate) fn success_json<T: DeserializeOwned>(response: Response<Vec<u8>>) -> Result<T, CallError> {
    serde_json::from_slice(&success(response)?).map_err(|error| CallError::Malformed(error.to_string()))
}

/// 2xx yes, 404 no, anything else a refusal.
pub(crate) fn exists(response: &Response<Vec<u8>>) -> Result<bool, CallError> {
    match response.status() {
        status if status.is_success() => Ok(true),
        StatusCode::NOT_FOUND => Ok(false),
        _ => Err(refusal(response)),
    }
}

/// The service's words: RFC 9457 `detail` or `title`, iExec's `error` (text or list), else the text of the body.
pub fn refusal(response: &Response<Vec<u8>>) -> CallError {
    let status = response.status();
    let body = response.body();
    let words = serde_json::from_slice::<Value>(body).ok().and_then(|json| said(&json));
    let plain = || String::from_utf8_lossy(body).trim().chars().take(300).collect::<String>();
    let message = words.unwrap_or_else(plain);
    let message = if message.is_empty() { status.canonical_reason().unwrap_or("refused").to_owned() } else { message };
    CallError::Refused { status: status.as_u16(), message }
}

fn said(json: &Value) -> Option<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => list.first().and_then(|first| first.as_str().map(str::to_owned)),
        _ => None,
    };
    ["detail", "error", "title"].iter().find_map(|key| text(&json[*key])).map(|text| text.chars().take(500).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Response<Vec<u8>> {
        Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_refusal_carries_the_services_own_words() {
        for (body, words) in [
            (r#"{"error":["Invalid authorization"]}"#, "Invalid authorization"),
            (r#"{"error":"TASK_NOT_ACTIVE"}"#, "TASK_NOT_ACTIVE"),
            (r#"{"title":"No","detail":"because"}"#, "because"),
            ("plain words", "plain words"),
            ("", "Unauthorized"),
        ] {
            let expected = CallError::Refused { status: 401, message: words.into() };
            assert_eq!(refusal(&answer(401, body)), expected);
        }
    }
}
