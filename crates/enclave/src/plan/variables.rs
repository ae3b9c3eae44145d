//! A stage's environment as a session carries it. An empty variable counts as a missing one, as with iExec.

use iexec_protocol::{cause::Cause, session::Service};

use crate::failure::Failure;

/// Read access to one stage's variables.
pub(super) struct Variables<'a>(&'a Service);

impl<'a> Variables<'a> {
    pub(super) fn of(service: &'a Service) -> Self {
        Self(service)
    }

    pub(super) fn find(&self, name: &str) -> Option<&'a str> {
        self.0.environment.get(name).map(|value| value.expose().trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn require(&self, name: &str, cause: Cause) -> Result<&'a str, Failure> {
        let missing = || Failure::new(cause, format_args!("the session's {} has no {name}", self.0.name));
        self.find(name).ok_or_else(missing)
    }

    /// `true` or `false`, nothing else.
    pub(super) fn flag(&self, name: &str, cause: Cause) -> Result<bool, Failure> {
        match self.require(name, cause)? {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Failure::new(cause, format_args!("{name} must be true or false"))),
        }
    }
}
