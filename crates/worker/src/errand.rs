//! A worker's errand: one granted task, as it is stored. What to do next is a function of the stored state, so that a
//! worker that was killed goes on where it stopped.

pub mod store;

use iexec_protocol::{
    B256,
    call::scheduler::Grant,
    cause::Cause,
    id::TaskId,
    result::{ResultLink, SignedContribution},
    session::ArchiveFile,
};
use serde::{Deserialize, Serialize};

/// A granted task and how far it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Errand {
    /// What the scheduler granted.
    pub grant: Grant,
    /// How far it is.
    pub state: State,
}

/// How far an errand is. Each state says what is done; doing the next thing twice does no harm.
///
/// ```text
///  Granted ──inputs on disk──▶ Fetched ──enclave ran──▶ Ran ──archive stored──▶ Uploaded
///     │                           │ (a half-run container    │ (stored twice         │
///     │                           │  is removed, run again)  │  is stored once)      ▼
///     │                           │                          │     Done ◀──mined── Contributing
///     └───────────────────────────┴────────── GaveUp ◀───────┴───────────────────────┘
/// ```
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Granted: the image, the dataset and the input files are to be fetched.
    Granted,
    /// All is on this machine: the app is to be run.
    Fetched,
    /// The enclave signed: the archive is to be uploaded.
    Ran {
        /// For the chain.
        contribution: SignedContribution,
        /// In the errand's folder; none when the result goes to a callback.
        archive: Option<ArchiveFile>,
    },
    /// The result is where its link says: the chain is to be told.
    Uploaded {
        /// For the chain.
        contribution: SignedContribution,
        /// The link.
        #[serde(with = "link_text")]
        link: ResultLink,
    },
    /// A transaction may be under way: the chain is asked first whether it was mined.
    Contributing {
        /// For the chain.
        contribution: SignedContribution,
        /// The link.
        #[serde(with = "link_text")]
        link: ResultLink,
    },
    /// Mined: the scheduler is to be told.
    Done {
        /// The transaction, if this process saw it mined.
        transaction: Option<B256>,
    },
    /// Given up: the scheduler is to be told.
    GaveUp {
        /// Why.
        cause: Cause,
        /// In a sentence.
        message: String,
    },
}

impl Errand {
    /// A fresh one.
    pub fn new(grant: Grant) -> Self {
        Self { grant, state: State::Granted }
    }

    /// Its task.
    pub fn task(&self) -> TaskId {
        self.grant.authorization.chain_task_id
    }
}

impl State {
    /// iExec's replicate status, as heartbeats tell it.
    pub const fn status(&self) -> &'static str {
        match self {
            Self::Granted => "APP_DOWNLOADING",
            Self::Fetched => "COMPUTING",
            Self::Ran { .. } => "RESULT_UPLOADING",
            Self::Uploaded { .. } => "RESULT_UPLOADED",
            Self::Contributing { .. } => "CONTRIBUTE_AND_FINALIZE_ONGOING",
            Self::Done { .. } => "CONTRIBUTE_AND_FINALIZE_DONE",
            Self::GaveUp { .. } => "ABORTED",
        }
    }

    /// Whether a verdict of the scheduler may still end it: from here on the chain decides.
    pub const fn may_be_aborted(&self) -> bool {
        matches!(self, Self::Granted | Self::Fetched | Self::Ran { .. } | Self::Uploaded { .. })
    }
}

/// A link as the text that goes on chain.
mod link_text {
    use iexec_protocol::result::ResultLink;
    use serde::{Deserialize as _, Deserializer, Serializer, ser::Error as _};

    pub(super) fn serialize<S: Serializer>(link: &ResultLink, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8(link.to_bytes()).map_err(S::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ResultLink, D::Error> {
        Ok(ResultLink::from_bytes(String::deserialize(deserializer)?.as_bytes()))
    }
}
