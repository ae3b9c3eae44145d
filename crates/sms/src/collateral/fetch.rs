//! One request to a vendor's service: bounded, timed, verified TLS, no redirects; and which failures may pass.

use axum::http::{HeaderMap, Request, Response, StatusCode};
use iexec_attestation::MAX_COLLATERAL;
use iexec_protocol::call::{Call, CallError};
use iexec_service::Client;
use thiserror::Error;

/// Longest chain read from a header, in bytes, encoded.
const MAX_HEADER: usize = 16 * 1024;

/// Why there is no answer that counts.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum FetchError {
    /// The service says that there is no such thing.
    #[error("{0} does not know it")]
    Absent(String),
    /// It may pass.
    #[error("{0}")]
    Passing(String),
    /// The answer is of no use; another would be, too.
    #[error("{0}")]
    Useless(String),
}

/// An answer with status 200.
pub(super) struct Answer {
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// `GET {base}{path}`.
pub(super) async fn get(client: &Client, base: &str, path: &str) -> Result<Answer, FetchError> {
    let url = format!("{}{path}", base.trim_end_matches('/'));
    let shown = url.split('?').next().unwrap_or_default().to_owned();
    let response = client.send(base, &Get(path)).await.map_err(|error| {
        let failed = if error.is_transient() { FetchError::Passing } else { FetchError::Useless };
        failed(error.to_string())
    })?;
    let status = response.status();
    match status {
        StatusCode::OK if response.body().len() > MAX_COLLATERAL => {
            Err(FetchError::Useless(format!("{shown} answers with more than {MAX_COLLATERAL} bytes")))
        }
        StatusCode::OK => {
            let (head, body) = response.into_parts();
            Ok(Answer { url: shown, headers: head.headers, body })
        }
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => Err(FetchError::Absent(shown)),
        StatusCode::TOO_MANY_REQUESTS => Err(FetchError::Passing(format!("{shown} answers {status}"))),
        _ if status.is_server_error() => Err(FetchError::Passing(format!("{shown} answers {status}"))),
        _ => Err(FetchError::Useless(format!("{shown} answers {status}"))),
    }
}

struct Get<'a>(&'a str);

impl Call for Get<'_> {
    type Reply = Response<Vec<u8>>;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        let request = Request::get(format!("{}{}", base.trim_end_matches('/'), self.0)).body(Vec::new());
        request.map_err(|error| CallError::Request(error.to_string()))
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Response<Vec<u8>>, CallError> {
        Ok(response)
    }
}

impl Answer {
    /// The PEM chain in the first of these headers that is there, percent-decoded (RFC 3986, 2.1).
    pub(super) fn chain(&self, names: &[&str]) -> Result<String, FetchError> {
        let value = names.iter().find_map(|name| self.headers.get(*name));
        let value = value.ok_or_else(|| self.useless(format_args!("has no header {}", names[0])))?;
        let text = value.to_str().ok().filter(|text| text.len() <= MAX_HEADER);
        let decoded = text.and_then(percent_decoded);
        decoded.ok_or_else(|| self.useless(format_args!("has a malformed header {}", names[0])))
    }

    /// A fault in it.
    pub(super) fn useless(&self, what: impl std::fmt::Display) -> FetchError {
        FetchError::Useless(format!("the answer of {} {what}", self.url))
    }
}

/// `None` if an escape is none, or if what comes out is no text.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            let mut byte = [0];
            const_hex::decode_to_slice(digits, &mut byte).ok()?;
            bytes.extend(byte);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}
