//! A task: on chain as `viewTask` tells it, and in the scheduler as a stored state that `step` advances.

mod state;

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

pub use self::state::{Action, Event, LOST_AFTER, MAX_ATTEMPTS, Task};
use crate::{
    Timestamp,
    id::{DealId, TaskId},
};

/// Status on chain (`IexecLibCore_v5.TaskStatusEnum`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChainStatus {
    /// Not initialised yet.
    Unset,
    /// Waiting for contributions.
    Active,
    /// Consensus found; workers reveal.
    Revealing,
    /// Finalised.
    Completed,
    /// Claimed after its deadline.
    Failed,
}

impl ChainStatus {
    /// The contract's number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Unset => 0,
            Self::Active => 1,
            Self::Revealing => 2,
            Self::Completed => 3,
            Self::Failed => 4,
        }
    }

    /// From the contract's number.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Unset,
            1 => Self::Active,
            2 => Self::Revealing,
            3 => Self::Completed,
            4 => Self::Failed,
            _ => return None,
        })
    }

    /// The SDK's `statusName`; `TIMEOUT` is an unfinished task past its deadline.
    pub const fn name(self, timed_out: bool) -> &'static str {
        match self {
            Self::Unset | Self::Active | Self::Revealing if timed_out => "TIMEOUT",
            Self::Unset => "UNSET",
            Self::Active => "ACTIVE",
            Self::Revealing => "REVEALING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

/// When a task's time is up, in chain time (`IexecPoco2`: multiples of the category's time after the deal's start).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// From here on the hub takes no contribution.
    pub contribution: Timestamp,
    /// From here on anyone may claim it (the hub's `finalDeadline`).
    pub claim: Timestamp,
}

/// A task as the hub's `viewTask` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainTask {
    /// Its id.
    pub id: TaskId,
    /// Status.
    pub status: ChainStatus,
    /// Its deal; zero while unset.
    pub deal: DealId,
    /// Its index.
    pub index: u64,
    /// Seconds of its category.
    pub time_reference: u64,
    /// Last second of contributions.
    pub contribution_deadline: Timestamp,
    /// Last second of reveals.
    pub reveal_deadline: Timestamp,
    /// From here on it may be claimed.
    pub final_deadline: Timestamp,
    /// `resultHash` of the consensus.
    pub consensus: B256,
    /// Reveals so far.
    pub reveal_counter: u64,
    /// Contributions that agree with the consensus.
    pub winner_counter: u64,
    /// Wallets that contributed.
    pub contributors: Vec<Address>,
    /// Digest of the deterministic output.
    pub result_digest: B256,
    /// The result link (see [`crate::result::ResultLink`]).
    pub results: Bytes,
    /// When it was finalised.
    pub results_timestamp: Timestamp,
    /// Bytes for the callback contract.
    pub results_callback: Bytes,
}
