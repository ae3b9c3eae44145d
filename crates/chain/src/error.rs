//! Why a chain did not answer, or answered no.

use alloy::primitives::{Address, B256};

/// The one error of chain calls. Each names the endpoint or the contract function it happened at.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// Not an http or https URL.
    #[error("chain URL {url:?}: {cause}")]
    Url {
        /// As given.
        url: String,
        /// Why it is none.
        cause: String,
    },
    /// No connection, or the connection broke. Worth a retry.
    #[error("cannot reach the chain at {url}: {cause}")]
    Unreachable {
        /// The JSON-RPC endpoint.
        url: String,
        /// What the transport says.
        cause: String,
    },
    /// No answer in time. Worth a retry.
    #[error("the chain at {url} did not answer {call} within {seconds} s")]
    Timeout {
        /// The JSON-RPC endpoint.
        url: String,
        /// Contract function or JSON-RPC method.
        call: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// The node answered with a JSON-RPC error that is not a revert.
    #[error("the chain at {url} refused {call}: {message}")]
    Refused {
        /// The JSON-RPC endpoint.
        url: String,
        /// Contract function or JSON-RPC method.
        call: &'static str,
        /// The node's words.
        message: String,
    },
    /// The contract says no. Nothing was sent.
    #[error("the contract refuses {call}: {reason}")]
    Reverted {
        /// Contract function.
        call: &'static str,
        /// The contract's reason; many of the hub's checks give none.
        reason: String,
    },
    /// The transaction was mined and failed: the chain's state changed between check and mining.
    #[error("{call} failed on chain in transaction {transaction}")]
    Failed {
        /// Contract function.
        call: &'static str,
        /// The failed transaction.
        transaction: B256,
    },
    /// Sent, and not mined in time. It may still be.
    #[error("transaction {transaction} ({call}) is not mined after {seconds} s; it may still be")]
    NotMined {
        /// Contract function.
        call: &'static str,
        /// The pending transaction.
        transaction: B256,
        /// How long was waited.
        seconds: u64,
    },
    /// Another chain answers at this URL.
    #[error("the chain at {url} has id {found}, expected {expected}")]
    WrongChain {
        /// The JSON-RPC endpoint.
        url: String,
        /// Of the configuration.
        expected: u64,
        /// Of the endpoint.
        found: u64,
    },
    /// The configured hub is no contract on this chain.
    #[error("the chain at {url} has no PoCo contract at hub {hub}")]
    NoHub {
        /// The JSON-RPC endpoint.
        url: String,
        /// Of the configuration.
        hub: Address,
    },
    /// The answer cannot be decoded: not the contract that was expected.
    #[error("{call} at {contract} answered something else than its interface says: {cause}")]
    Answer {
        /// Contract function.
        call: &'static str,
        /// The contract called.
        contract: Address,
        /// What does not fit.
        cause: String,
    },
    /// The wallet cannot sign.
    #[error("cannot sign {call}: {cause}")]
    Signing {
        /// Contract function.
        call: &'static str,
        /// Why.
        cause: String,
    },
}

impl ChainError {
    /// Whether the same call may succeed later without anything being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::NotMined { .. })
    }
}
