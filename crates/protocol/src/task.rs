//! A task: on chain as `viewTask` tells it, and in the scheduler as a stored state that `step` advances.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    cause::Cause,
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

/// How often a task is granted before its failures count as the requester's.
pub const MAX_ATTEMPTS: u32 = 5;

/// A task in the scheduler's store (spec `docs/spec/task.md`).
///
/// ```text
///  Received ──initialised on chain──▶ Initialized ──challenge──▶ Ready ◀──lost, retried──┐
///      │                                  │                       │                      │
///      │                                  │                       └──asked──▶ Granted ───┘
///      │                                  │                       │              │
///      └──────────────── deadline, or a failure that no retry mends ─────────────┤
///                                                                                ▼
///  Completed ◀── on chain COMPLETED (from any state)      Failed ◀──claimed── Failing
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Task {
    /// The deal was read; the task is to be initialised on chain.
    Received,
    /// ACTIVE on chain; the SMS is to be asked for the enclave challenge.
    Initialized {
        /// When it may be claimed.
        final_deadline: Timestamp,
    },
    /// May be granted to a worker.
    Ready {
        /// When it may be claimed.
        final_deadline: Timestamp,
        /// The SMS's address for this task; zero for a deal without TEE.
        challenge: Address,
        /// Grants so far.
        attempts: u32,
    },
    /// A worker holds it.
    Granted {
        /// When it may be claimed.
        final_deadline: Timestamp,
        /// The SMS's address for this task.
        challenge: Address,
        /// Grants so far, this one included.
        attempts: u32,
        /// Who holds it.
        worker: Address,
        /// When the worker was last heard of.
        heard: Timestamp,
    },
    /// Nobody will compute it any more; it is claimed once its deadline has passed.
    Failing {
        /// When it may be claimed; zero when that is to be read from the deal.
        final_deadline: Timestamp,
        /// Why.
        cause: Cause,
    },
    /// Finalised on chain.
    Completed,
    /// Claimed on chain.
    Failed {
        /// Why.
        cause: Cause,
    },
}

/// Something that happened to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time passed.
    Tick,
    /// The chain was read.
    Observed {
        /// Status there.
        status: ChainStatus,
        /// The task's final deadline, or what the deal gives while it is unset.
        final_deadline: Timestamp,
    },
    /// The SMS gave the challenge (zero for a deal without TEE).
    Challenge(Address),
    /// A worker asks for it.
    Asked {
        /// Its wallet.
        worker: Address,
    },
    /// The worker that holds it says it still works.
    Heard {
        /// Its wallet.
        worker: Address,
    },
    /// A worker gave it up.
    GaveUp {
        /// Its wallet.
        worker: Address,
        /// Why.
        cause: Cause,
    },
}

/// What to do next. Every action may be repeated without harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send `initialize`.
    Initialize,
    /// Ask the SMS for the challenge.
    AskChallenge,
    /// Sign the authorization and hand it to the worker.
    Grant {
        /// Who gets it.
        worker: Address,
        /// The challenge to sign.
        challenge: Address,
    },
    /// Send `claim` (or `initializeAndClaim`).
    Claim,
}

/// How long a granted worker may be silent before the task is given to another, in seconds.
pub const LOST_AFTER: u64 = 30;

impl Task {
    /// The state after `event` at `now`, and what to do about it. Level-triggered: a repeated `Tick` repeats the action.
    pub fn step(self, now: Timestamp, event: &Event) -> (Self, Option<Action>) {
        let next = self.after(now, event);
        let action = match event {
            Event::Asked { worker } => next.grant_to(*worker),
            _ => next.due(now),
        };
        (next, action)
    }

    /// What the state asks for by itself.
    pub fn due(&self, now: Timestamp) -> Option<Action> {
        match self {
            Self::Received => Some(Action::Initialize),
            Self::Initialized { .. } => Some(Action::AskChallenge),
            Self::Failing { final_deadline, .. } if *final_deadline > 0 && now >= *final_deadline => {
                Some(Action::Claim)
            }
            _ => None,
        }
    }

    /// Whether nothing will happen to it any more.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed { .. })
    }

    /// The name stored, and shown by `task debug`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Received => "RECEIVED",
            Self::Initialized { .. } => "INITIALIZED",
            Self::Ready { .. } => "READY",
            Self::Granted { .. } => "GRANTED",
            Self::Failing { .. } => "FAILING",
            Self::Completed => "COMPLETED",
            Self::Failed { .. } => "FAILED",
        }
    }

    fn grant_to(&self, asking: Address) -> Option<Action> {
        match self {
            Self::Granted { worker, challenge, .. } if *worker == asking => {
                Some(Action::Grant { worker: asking, challenge: *challenge })
            }
            _ => None,
        }
    }

    fn after(self, now: Timestamp, event: &Event) -> Self {
        match (self, event) {
            (task, Event::Observed { status: ChainStatus::Completed, .. }) if !task.is_final() => Self::Completed,
            (task, Event::Observed { status: ChainStatus::Failed, .. }) if !task.is_final() => {
                Self::Failed { cause: task.cause().unwrap_or(Cause::ContributionTimeout) }
            }
            (
                Self::Received,
                Event::Observed { status: ChainStatus::Active | ChainStatus::Revealing, final_deadline },
            ) => Self::Initialized { final_deadline: *final_deadline },
            (
                Self::Received | Self::Initialized { .. } | Self::Ready { .. } | Self::Granted { .. },
                Event::Observed { final_deadline, .. },
            ) if now >= *final_deadline => {
                Self::Failing { final_deadline: *final_deadline, cause: Cause::ContributionTimeout }
            }
            (Self::Failing { cause, .. }, Event::Observed { final_deadline, .. }) => {
                Self::Failing { final_deadline: *final_deadline, cause }
            }
            (Self::Initialized { final_deadline }, Event::Challenge(challenge)) => {
                Self::Ready { final_deadline, challenge: *challenge, attempts: 0 }
            }
            (Self::Ready { final_deadline, challenge, attempts }, Event::Asked { worker }) if now < final_deadline => {
                Self::Granted { final_deadline, challenge, attempts: attempts + 1, worker: *worker, heard: now }
            }
            (task @ Self::Granted { .. }, event) => task.granted_after(now, event),
            (task, _) => task.expired(now),
        }
    }

    fn granted_after(self, now: Timestamp, event: &Event) -> Self {
        let Self::Granted { final_deadline, challenge, attempts, worker, heard } = self else { return self };
        match event {
            Event::Asked { worker: by } | Event::Heard { worker: by } if *by == worker => {
                Self::Granted { final_deadline, challenge, attempts, worker, heard: now.max(heard) }
            }
            Event::GaveUp { worker: by, cause } if *by == worker => {
                if cause.is_final() || attempts >= MAX_ATTEMPTS {
                    Self::Failing { final_deadline, cause: *cause }
                } else {
                    Self::Ready { final_deadline, challenge, attempts }
                }
            }
            _ if now >= final_deadline => Self::Failing { final_deadline, cause: Cause::ContributionTimeout },
            _ if now.saturating_sub(heard) > LOST_AFTER => Self::Ready { final_deadline, challenge, attempts },
            _ => Self::Granted { final_deadline, challenge, attempts, worker, heard },
        }
    }

    fn expired(self, now: Timestamp) -> Self {
        match self {
            Self::Initialized { final_deadline } | Self::Ready { final_deadline, .. } if now >= final_deadline => {
                Self::Failing { final_deadline, cause: Cause::ContributionTimeout }
            }
            task => task,
        }
    }

    /// Why it fails or failed.
    pub const fn cause(&self) -> Option<Cause> {
        match self {
            Self::Failing { cause, .. } | Self::Failed { cause } => Some(*cause),
            _ => None,
        }
    }
}

impl Cause {
    /// Whether another worker would fail in the same way: the fault lies in the deal, its app, its data or its keys.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::TaskDescriptionInvalid
                | Self::AppImageChecksumMismatch
                | Self::DatasetFileBadChecksum
                | Self::SessionNoMatchOnchainType
                | Self::SessionDatasetSecretMissing
                | Self::SessionBeneficiaryKeyMissing
                | Self::PreComputeDatasetKeyMissing
                | Self::PreComputeInvalidDatasetChecksum
                | Self::PreComputeDatasetDecryptionFailed
                | Self::AppNotFoundLocally
                | Self::AppComputeFailed
                | Self::AppComputeTimeout
                | Self::PostComputeEncryptionPublicKeyMissing
                | Self::PostComputeMalformedEncryptionPublicKey
                | Self::PostComputeComputedFileNotFound
                | Self::PostComputeResultDigestComputationFailed
                | Self::PostComputeTooLongResultFileName
                | Self::TrustNotOne
                | Self::TeeNotSupported
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: Address = Address::repeat_byte(3);
    const CHALLENGE: Address = Address::repeat_byte(4);
    const DEADLINE: u64 = 1000;

    fn ready(attempts: u32) -> Task {
        Task::Ready { final_deadline: DEADLINE, challenge: CHALLENGE, attempts }
    }

    fn granted(attempts: u32) -> Task {
        Task::Granted { final_deadline: DEADLINE, challenge: CHALLENGE, attempts, worker: WORKER, heard: 100 }
    }

    fn observed(status: ChainStatus) -> Event {
        Event::Observed { status, final_deadline: DEADLINE }
    }

    #[test]
    fn a_task_goes_from_deal_to_completed() {
        let (task, action) = Task::Received.step(1, &Event::Tick);
        assert_eq!(action, Some(Action::Initialize));
        let (task, action) = task.step(2, &observed(ChainStatus::Active));
        assert_eq!(action, Some(Action::AskChallenge));
        let (task, action) = task.step(3, &Event::Challenge(CHALLENGE));
        assert_eq!((&task, action), (&ready(0), None));
        let (task, action) = task.step(100, &Event::Asked { worker: WORKER });
        assert_eq!((&task, action), (&granted(1), Some(Action::Grant { worker: WORKER, challenge: CHALLENGE })));
        assert_eq!(task.step(101, &observed(ChainStatus::Completed)), (Task::Completed, None));
    }

    #[test]
    fn a_worker_that_asks_again_after_a_restart_gets_the_same_grant() {
        let (task, action) = granted(1).step(110, &Event::Asked { worker: WORKER });
        assert_eq!(action, Some(Action::Grant { worker: WORKER, challenge: CHALLENGE }));
        assert!(matches!(task, Task::Granted { attempts: 1, heard: 110, .. }));
        let (task, action) = granted(1).step(110, &Event::Asked { worker: Address::ZERO });
        assert_eq!((task, action), (granted(1), None));
    }

    #[test]
    fn a_silent_worker_loses_the_task_and_a_heard_one_keeps_it() {
        assert_eq!(granted(1).step(100 + LOST_AFTER, &Event::Tick).0, granted(1));
        assert_eq!(granted(1).step(101 + LOST_AFTER, &Event::Tick).0, ready(1));
        let (task, _) = granted(1).step(120, &Event::Heard { worker: WORKER });
        assert_eq!(task.clone().step(101 + LOST_AFTER, &Event::Tick).0, task);
    }

    #[test]
    fn a_failure_of_the_worker_is_retried_and_one_of_the_deal_is_not() {
        let gave_up = |cause| Event::GaveUp { worker: WORKER, cause };
        assert_eq!(granted(1).step(101, &gave_up(Cause::AbortedByWorker)).0, ready(1));
        let failing = |cause| Task::Failing { final_deadline: DEADLINE, cause };
        assert_eq!(granted(1).step(101, &gave_up(Cause::AppComputeFailed)).0, failing(Cause::AppComputeFailed));
        assert_eq!(
            granted(MAX_ATTEMPTS).step(101, &gave_up(Cause::AbortedByWorker)).0,
            failing(Cause::AbortedByWorker)
        );
        let stranger = Event::GaveUp { worker: Address::ZERO, cause: Cause::AppComputeFailed };
        assert_eq!(granted(1).step(101, &stranger).0, granted(1));
    }

    #[test]
    fn what_nobody_finished_is_claimed_after_its_deadline_and_not_before() {
        let failing = Task::Failing { final_deadline: DEADLINE, cause: Cause::AppComputeFailed };
        assert_eq!(failing.due(DEADLINE - 1), None);
        assert_eq!(failing.due(DEADLINE), Some(Action::Claim));
        let (failed, action) = failing.step(DEADLINE + 1, &observed(ChainStatus::Failed));
        assert_eq!((failed, action), (Task::Failed { cause: Cause::AppComputeFailed }, None));
        for late in [Task::Initialized { final_deadline: DEADLINE }, ready(2), granted(1)] {
            assert_eq!(late.step(DEADLINE, &Event::Tick).1, Some(Action::Claim));
        }
        assert_eq!(Task::Received.step(DEADLINE, &observed(ChainStatus::Unset)).1, Some(Action::Claim));
    }

    #[test]
    fn a_finished_task_never_changes() {
        for done in [Task::Completed, Task::Failed { cause: Cause::Unknown }] {
            for event in [
                Event::Tick,
                observed(ChainStatus::Active),
                observed(ChainStatus::Completed),
                Event::Asked { worker: WORKER },
            ] {
                assert_eq!(done.clone().step(5000, &event), (done.clone(), None));
            }
        }
    }
}
