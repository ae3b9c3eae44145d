//! Why an execution ends early: iExec's cause and a sentence. Not a place for secrets: both leave the enclave.

use std::fmt::Display;

use iexec_protocol::cause::Cause;
use thiserror::Error;

/// Longest message sent, in characters.
const MAX_MESSAGE: usize = 500;

/// A cause and a sentence without secrets.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{cause}: {message}")]
pub(crate) struct Failure {
    /// For programs.
    pub(crate) cause: Cause,
    /// For people.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(cause: Cause, message: impl Display) -> Self {
        Self { cause, message: message.to_string().chars().take(MAX_MESSAGE).collect() }
    }

    /// The session, the container or the machine is not as it must be.
    pub(crate) fn unprepared(message: impl Display) -> Self {
        Self::new(Cause::TeePreparationFailed, message)
    }
}

/// Gives an error its cause and says what was being done.
pub(crate) trait OrFail<T> {
    fn or_fail(self, cause: Cause, doing: impl Display) -> Result<T, Failure>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, cause: Cause, doing: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(cause, format_args!("{doing}: {error}")))
    }
}
