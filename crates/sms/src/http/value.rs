//! A secret's value as it arrives: read up to the size of a secret and no further.

use axum::{body::Bytes, extract::rejection::BytesRejection, http::StatusCode};
use iexec_protocol::{secret::MAX_SECRET, session::SecretText};
use thiserror::Error;
use zeroize::Zeroizing;

/// A body that was bounded while it was read.
pub(super) type Body = Result<Bytes, BytesRejection>;

/// Not a secret's value.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum ValueError {
    /// More than is read.
    #[error("the secret has more than {MAX_SECRET} bytes")]
    TooLarge,
    /// The body broke off, is empty, or is no text.
    #[error("{0}")]
    Malformed(String),
}

/// The value in a body: 1 to [`MAX_SECRET`] bytes of UTF-8. A secret of nothing is a mistake.
pub(super) fn value(body: Body) -> Result<SecretText, ValueError> {
    let bytes = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ValueError::TooLarge,
        _ => ValueError::Malformed(error.body_text()),
    })?;
    let bytes = Zeroizing::new(bytes.to_vec());
    let text = std::str::from_utf8(&bytes).map_err(|_| ValueError::Malformed("the body must be UTF-8 text".into()))?;
    match text.len() {
        0 => Err(ValueError::Malformed("the body is empty: it must be the secret".into())),
        1..=MAX_SECRET => Ok(SecretText::new(text)),
        _ => Err(ValueError::TooLarge),
    }
}
