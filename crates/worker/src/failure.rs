//! Why a task is given up: iExec's cause, and a sentence for its reader.

use iexec_chain::ChainError;
use iexec_protocol::cause::Cause;

use crate::{image::ImageFault, runner::RunFault};

/// Why a task is given up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}: {message}")]
pub struct Failure {
    /// iExec's name for it.
    pub cause: Cause,
    /// In a sentence without secrets.
    pub message: String,
}

/// Longest message told to the scheduler, in characters.
const MAX_MESSAGE: usize = 1000;

impl Failure {
    /// A failure of this cause.
    pub fn new(cause: Cause, message: impl std::fmt::Display) -> Self {
        Self { cause, message: message.to_string().chars().take(MAX_MESSAGE).collect() }
    }

    /// For `map_err`.
    pub fn of<E: std::fmt::Display>(cause: Cause) -> impl FnOnce(E) -> Self {
        move |error| Self::new(cause, error)
    }
}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        Self::new(Cause::ChainUnreachable, error)
    }
}

impl From<ImageFault> for Failure {
    fn from(fault: ImageFault) -> Self {
        Self::new(fault.cause(), fault)
    }
}

impl From<RunFault> for Failure {
    fn from(fault: RunFault) -> Self {
        let cause = if matches!(fault, RunFault::Image(_)) {
            Cause::AppImageDownloadFailed
        } else {
            Cause::TeePreparationFailed
        };
        Self::new(cause, fault)
    }
}
