//! Why a command did not say yes: one line for the user, a hint, and whose fault it is.

use std::process::ExitCode;

use iexec_archive::{KeyError as ArchiveKeyError, OpenError};
use iexec_chain::{
    ChainError, keyring::KeyringError, keystore::KeystoreError, network::NetworkError, wallet::WalletError,
};
use iexec_protocol::{call::CallError, key::KeyError};
use serde_json::{Map, Value};

use crate::files;

/// A command's failure.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Stable name, for scripts.
    pub(crate) name: &'static str,
    /// One line.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// Decides the exit code.
    pub(crate) blame: Blame,
    /// Further keys of the raw answer, as `deals` and `failedTasks`.
    pub(crate) facts: Map<String, Value>,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The user erred, or the answer is no: exit 1.
    User,
    /// We, or a service that we need, broke: exit 2.
    Us,
    /// Ctrl-C: exit 130, as shells have it.
    Interrupt,
}

impl Blame {
    const fn code(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Us => 2,
            Self::Interrupt => 130,
        }
    }
}

impl From<Blame> for ExitCode {
    fn from(blame: Blame) -> Self {
        Self::from(blame.code())
    }
}

impl Failure {
    /// The user erred, or the answer is no.
    pub(crate) fn user(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, message: message.into(), hint: None, blame: Blame::User, facts: Map::new() }
    }

    /// A value that is not of its form.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::user("ValidationError", message)
    }

    /// Something that is not there.
    pub(crate) fn absent(message: impl Into<String>) -> Self {
        Self::user("ObjectNotFoundError", message)
    }

    /// We, or a service that we need, broke.
    pub(crate) fn ours(name: &'static str, message: impl Into<String>) -> Self {
        Self { blame: Blame::Us, ..Self::user(name, message) }
    }

    /// Ctrl-C: nothing half-done stays.
    pub(crate) fn interrupted() -> Self {
        let failure = Self::user("Interrupted", "stopped; nothing was written");
        Self { blame: Blame::Interrupt, ..failure }.hint("give the same command again to begin anew")
    }

    /// With a hint.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// With a hint, unless there is one already.
    pub(crate) fn or_hint(self, hint: impl Into<String>) -> Self {
        if self.hint.is_some() { self } else { self.hint(hint) }
    }

    /// With the place in front of the message.
    pub(crate) fn at(self, place: impl std::fmt::Display) -> Self {
        Self { message: format!("{place}: {}", self.message), ..self }
    }

    /// With a fact for the raw answer.
    pub(crate) fn fact(mut self, key: &str, value: Value) -> Self {
        self.facts.insert(key.into(), value);
        self
    }

    /// A service's refusal or silence; `name` is that of its calls' errors, `service` is what the user calls it.
    pub(crate) fn of_call(name: &'static str, service: &str, url: &str, error: &CallError) -> Self {
        match error {
            CallError::Unreachable { url, error } => {
                Self::ours(name, format!("the {service} at {url} cannot be reached: {error}"))
                    .hint("check that the network runs (on a laptop: `iexecd devnet`) and that chain.json has its URLs")
            }
            CallError::Refused { status, message } if *status < 500 => {
                let hint = match status {
                    // Our services say what is not there; another server's 404 has no words.
                    404 if matches!(message.as_str(), "" | "Not Found") => {
                        "check that chain.json names the right URL for this service"
                    }
                    429 => "too many requests: try again in a moment",
                    _ => "correct what the service names, and try again",
                };
                Self::user(name, format!("the {service} at {url} refused: {error}")).hint(hint)
            }
            CallError::Refused { .. } => Self::ours(name, format!("the {service} at {url} failed: {error}"))
                .hint("try again; if it stays so, tell its operator"),
            _ => Self::ours(name, format!("the {service} at {url}: {error}"))
                .hint("check that chain.json names the right URL for this service"),
        }
    }
}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        let message = error.to_string();
        match error {
            ChainError::Unreachable { .. } | ChainError::Timeout { .. } => Self::ours("ChainUnreachable", message)
                .hint("check that the network runs (on a laptop: `iexecd devnet`) and `host` in chain.json"),
            ChainError::WrongChain { .. } | ChainError::NoHub { .. } | ChainError::Url { .. } => {
                Self::user("ConfigurationError", message)
                    .hint("correct `host`, `id` or `hub` of this chain in chain.json")
            }
            ChainError::Reverted { .. } | ChainError::Failed { .. } => Self::user("TransactionRefused", message)
                .hint("`iexec wallet show` and `iexec account show` tell what the wallet holds"),
            ChainError::Refused { ref message, .. } if message.to_ascii_lowercase().contains("insufficient funds") => {
                Self::user("InsufficientFunds", "the wallet has not enough ether for the transaction's fee")
                    .hint("on a local network: `iexec wallet getETH`")
            }
            ChainError::NotMined { .. } => {
                Self::ours("TransactionPending", message).hint("look the transaction up before sending it again")
            }
            _ => Self::ours("ChainError", message),
        }
    }
}

impl From<NetworkError> for Failure {
    fn from(error: NetworkError) -> Self {
        let text = error.to_string();
        let (message, hint) = match text.split_once("; hint: ") {
            Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
            None => (text, None),
        };
        let failure = Self::user("ConfigurationError", message);
        match (hint, error) {
            (Some(hint), _) => failure.hint(hint),
            (None, NetworkError::Unknown { .. }) => {
                failure.hint("name one of those with --chain, or add an entry to chain.json")
            }
            _ => failure.hint("correct chain.json, or write a new one with `iexec init --skip-wallet --force`"),
        }
    }
}

impl From<KeyringError> for Failure {
    fn from(error: KeyringError) -> Self {
        let failure = Self::user("WalletError", error.to_string());
        match error {
            KeyringError::NoWallet { .. } => {
                failure.hint("make one with `iexec wallet create`, or name its folder with --keystoredir")
            }
            KeyringError::NoSuchAddress { .. } => {
                failure.hint("`--keystoredir` names another folder; `iexec wallet show` the wallet in use")
            }
            KeyringError::NotAName { .. } => {
                failure.hint("name the folder with --keystoredir and the file with --wallet-file")
            }
            KeyringError::Exists { .. } => failure.hint("replace it with --force; back it up first, it may hold funds"),
            KeyringError::Keystore { cause: KeystoreError::WrongPassword, .. } => {
                failure.hint("choose another wallet with --wallet-address or --wallet-file, or try the password again")
            }
            KeyringError::Io { ref path, ref cause } => files::failure("cannot be used", path, cause).or_hint(
                "choose another wallet with --wallet-address or --wallet-file, or its folder with --keystoredir",
            ),
            KeyringError::NoHome => failure.hint("name a folder with --keystoredir"),
            _ => failure.hint("choose another wallet with --wallet-address or --wallet-file"),
        }
    }
}

impl From<WalletError> for Failure {
    fn from(error: WalletError) -> Self {
        match error {
            WalletError::Key(error) => error.into(),
            WalletError::Randomness(_) => Self::ours("RandomnessError", error.to_string()),
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::invalid(error.to_string()).hint("`iexec wallet import -` reads the private key from stdin")
    }
}

impl From<ArchiveKeyError> for Failure {
    fn from(error: ArchiveKeyError) -> Self {
        Self::user("InvalidEncryptionKey", error.to_string().trim_start_matches("key: "))
            .hint("`iexec result generate-encryption-keypair` makes a key pair of the right form")
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let message = error.to_string();
        match error {
            OpenError::Decrypt | OpenError::OtherKey { .. } => Self::user("DecryptionError", message)
                .hint("name the beneficiary's key with --beneficiary-key-file, or download the archive again"),
            OpenError::Write(_) => Self::ours("FileError", message).hint("check the disk's free space"),
            _ => Self::user("InvalidArchive", message)
                .hint("download it again with `iexec task show <taskid> --download`"),
        }
    }
}
