//! Which enclaves count, and which deals ask for more: the operator's file, read once at start.
//!
//! The file only narrows. Who owns a secret and which deal it is for is the chain's word (`docs/spec/http.md`), which
//! image and task an enclave must be bound to is the deal's; neither can be said here.

mod file;
mod rule;
mod value;

#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::Context as _;
use iexec_attestation::Policy;
use iexec_protocol::deal::Deal;

pub(crate) use file::PolicyError;
pub(crate) use rule::{Denied, Rule};

/// Largest policy file read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// An operator's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SmsPolicy {
    /// What holds for every deal.
    base: Policy,
    /// What some deals ask for beyond it.
    rules: Vec<Rule>,
}

/// The policy for one deal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DealPolicy<'a> {
    /// What its enclave must be.
    pub(crate) policy: Policy,
    /// Names of the rules that narrowed it, in the file's order.
    pub(crate) rules: Vec<&'a str>,
}

impl SmsPolicy {
    /// Reads the file at `path`. Every fault is told with its line.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let hint = "hint: --policy names a file as docs/operators/policy.example.toml";
        let length = std::fs::metadata(path).with_context(|| format!("the policy {shown}\n{hint}"))?.len();
        anyhow::ensure!(length <= MAX_FILE, "the policy {shown} has {length} bytes; at most {MAX_FILE} are read");
        let text = std::fs::read_to_string(path).with_context(|| format!("the policy {shown}"))?;
        Self::parse(&text).map_err(|error| anyhow::anyhow!("{shown}:{error}"))
    }

    /// Accepts no evidence at all: what there is without a file.
    pub(crate) fn nothing() -> Self {
        Self { base: Policy::nothing(), rules: Vec::new() }
    }

    /// Reads a file's text.
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        file::parse(text)
    }

    /// What holds for every deal.
    pub(crate) fn base(&self) -> &Policy {
        &self.base
    }

    /// What an enclave must be to work on `deal`: the base, narrowed by every rule that the deal meets. The first that
    /// denies ends it.
    pub(crate) fn for_deal(&self, deal: &Deal) -> Result<DealPolicy<'_>, Denied> {
        let mut policy = self.base.clone();
        let mut rules = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.meets(deal)) {
            rule.narrow(&mut policy)?;
            rules.push(rule.name.as_str());
        }
        Ok(DealPolicy { policy, rules })
    }
}
