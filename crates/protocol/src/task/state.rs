//! A task in the scheduler's store, and what every event makes of it (spec `docs/spec/task.md`).

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

use super::{ChainStatus, Deadlines};
use crate::{Timestamp, cause::Cause};

/// How often a task is granted before its failures count as the requester's.
pub const MAX_ATTEMPTS: u32 = 5;

/// How long a granted worker may be silent before the task is given to another, in seconds.
pub const LOST_AFTER: u64 = 30;

/// A task in the scheduler's store. Every state but the last two also becomes `Completed` or `Failed` when the chain
/// says so, and `Failing` when the time for contributions is up.
///
/// ```text
///  Received ──initialised on chain──▶ Initialized ──challenge──▶ Ready ◀──lost, given up──┐
///      │                                  │                       │                       │
///      │                                  │                       └────────asked──▶ Granted
///      │                                  │                       │                   │
///      └───────── time is up, or a failure that no retry mends ───┴───────────────────┤
///                                                                                     ▼
///  Completed ◀── on chain COMPLETED (from any state)           Failed ◀──claimed── Failing
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Task {
    /// The deal was read; the task is to be initialised on chain.
    Received,
    /// ACTIVE on chain; the SMS is to be asked for the enclave challenge.
    Initialized,
    /// May be granted to a worker.
    Ready {
        /// The SMS's address for this task; zero for a deal without TEE.
        challenge: Address,
        /// Grants so far.
        attempts: u32,
        /// Granted from here on; later than now after a worker gave it up.
        not_before: Timestamp,
    },
    /// A worker holds it.
    Granted {
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
    Observed(ChainStatus),
    /// The chain was read, and its deal is not there: the chain went back behind it.
    Vanished,
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
    /// The scheduler was down: the silence until now is its own, not the worker's.
    Resumed,
}

/// What to do next. Every action may be repeated without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Task {
    /// The names of all states, in the order of a task's life (the store's `CHECK`, spec `docs/spec/task.md`).
    pub const STATES: [&str; 7] = ["RECEIVED", "INITIALIZED", "READY", "GRANTED", "FAILING", "COMPLETED", "FAILED"];

    /// The state after `event` at `now`, and what to do about it. Level-triggered: a repeated `Tick` repeats the action.
    pub fn step(self, now: Timestamp, deadlines: Deadlines, event: &Event) -> (Self, Option<Action>) {
        let next = self.after(now, deadlines, event).expired(now, deadlines);
        let action = match event {
            Event::Asked { worker } => next.grant_to(*worker),
            // The chain went back behind `initialize`, or its node lags: then the hub refuses, and nothing is lost.
            Event::Observed(ChainStatus::Unset) if next.is_open() => Some(Action::Initialize),
            _ => next.due(now, deadlines),
        };
        (next, action)
    }

    /// What the state asks for by itself.
    pub fn due(&self, now: Timestamp, deadlines: Deadlines) -> Option<Action> {
        match self {
            Self::Received => Some(Action::Initialize),
            Self::Initialized => Some(Action::AskChallenge),
            Self::Failing { .. } if now >= deadlines.claim => Some(Action::Claim),
            _ => None,
        }
    }

    /// Whether nothing will happen to it any more.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed { .. })
    }

    /// Whether a worker may still compute it.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Received | Self::Initialized | Self::Ready { .. } | Self::Granted { .. })
    }

    /// The name stored.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Received => "RECEIVED",
            Self::Initialized => "INITIALIZED",
            Self::Ready { .. } => "READY",
            Self::Granted { .. } => "GRANTED",
            Self::Failing { .. } => "FAILING",
            Self::Completed => "COMPLETED",
            Self::Failed { .. } => "FAILED",
        }
    }

    /// Why it fails or failed.
    pub const fn cause(&self) -> Option<Cause> {
        match self {
            Self::Failing { cause } | Self::Failed { cause } => Some(*cause),
            _ => None,
        }
    }

    /// Who holds it.
    pub const fn holder(&self) -> Option<Address> {
        if let Self::Granted { worker, .. } = self { Some(*worker) } else { None }
    }

    fn grant_to(&self, asking: Address) -> Option<Action> {
        match self {
            Self::Granted { worker, challenge, .. } if *worker == asking => {
                Some(Action::Grant { worker: asking, challenge: *challenge })
            }
            _ => None,
        }
    }

    fn after(self, now: Timestamp, deadlines: Deadlines, event: &Event) -> Self {
        match (self, event) {
            (task, _) if task.is_final() => task,
            (_, Event::Observed(ChainStatus::Completed)) => Self::Completed,
            (task, Event::Observed(ChainStatus::Failed)) => task.failed(),
            (task, Event::Vanished) if now >= deadlines.claim => task.failed(),
            (Self::Received, Event::Observed(ChainStatus::Active | ChainStatus::Revealing)) => Self::Initialized,
            (Self::Initialized, Event::Challenge(challenge)) => {
                Self::Ready { challenge: *challenge, attempts: 0, not_before: now }
            }
            (Self::Ready { challenge, attempts, not_before }, Event::Asked { worker }) if now >= not_before => {
                Self::Granted { challenge, attempts: attempts + 1, worker: *worker, heard: now }
            }
            (task @ Self::Granted { .. }, event) => task.granted_after(now, event),
            (task, _) => task,
        }
    }

    fn granted_after(self, now: Timestamp, event: &Event) -> Self {
        let Self::Granted { challenge, attempts, worker, heard } = self else { return self };
        match event {
            Event::Asked { worker: by } | Event::Heard { worker: by } if *by == worker => {
                Self::Granted { challenge, attempts, worker, heard: now.max(heard) }
            }
            Event::Resumed => Self::Granted { challenge, attempts, worker, heard: now.max(heard) },
            Event::GaveUp { worker: by, cause } if *by == worker => {
                if cause.is_final() || attempts >= MAX_ATTEMPTS {
                    Self::Failing { cause: *cause }
                } else {
                    Self::Ready { challenge, attempts, not_before: now.saturating_add(pause_after(attempts)) }
                }
            }
            _ if now.saturating_sub(heard) > LOST_AFTER => Self::Ready { challenge, attempts, not_before: now },
            _ => Self::Granted { challenge, attempts, worker, heard },
        }
    }

    fn failed(&self) -> Self {
        Self::Failed { cause: self.cause().unwrap_or(Cause::ContributionTimeout) }
    }

    fn expired(self, now: Timestamp, deadlines: Deadlines) -> Self {
        if self.is_open() && now >= deadlines.contribution {
            return Self::Failing { cause: Cause::ContributionTimeout };
        }
        self
    }
}

/// Seconds until a task that was given up may be granted again: 1, 2, 4, 8.
const fn pause_after(attempts: u32) -> u64 {
    1 << if attempts > MAX_ATTEMPTS { MAX_ATTEMPTS } else { attempts.saturating_sub(1) }
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
    const DEADLINES: Deadlines = Deadlines { contribution: 700, claim: 1000 };

    fn ready(attempts: u32, not_before: Timestamp) -> Task {
        Task::Ready { challenge: CHALLENGE, attempts, not_before }
    }

    fn granted(attempts: u32) -> Task {
        Task::Granted { challenge: CHALLENGE, attempts, worker: WORKER, heard: 100 }
    }

    fn every_state() -> Vec<Task> {
        let cause = Cause::AppComputeFailed;
        let failing = [Task::Failing { cause }, Task::Completed, Task::Failed { cause }];
        [Task::Received, Task::Initialized, ready(1, 0), granted(1)].into_iter().chain(failing).collect()
    }

    fn step(task: Task, now: Timestamp, event: &Event) -> (Task, Option<Action>) {
        task.step(now, DEADLINES, event)
    }

    #[test]
    fn a_task_goes_from_deal_to_completed() {
        let (task, action) = step(Task::Received, 1, &Event::Tick);
        assert_eq!(action, Some(Action::Initialize));
        let (task, action) = step(task, 2, &Event::Observed(ChainStatus::Active));
        assert_eq!(action, Some(Action::AskChallenge));
        let (task, action) = step(task, 3, &Event::Challenge(CHALLENGE));
        assert_eq!((&task, action), (&ready(0, 3), None));
        let (task, action) = step(task, 100, &Event::Asked { worker: WORKER });
        assert_eq!((&task, action), (&granted(1), Some(Action::Grant { worker: WORKER, challenge: CHALLENGE })));
        assert_eq!(step(task, 101, &Event::Observed(ChainStatus::Completed)), (Task::Completed, None));
    }

    #[test]
    fn a_worker_that_asks_again_after_a_restart_gets_the_same_grant() {
        let (task, action) = step(granted(1), 110, &Event::Asked { worker: WORKER });
        assert_eq!(action, Some(Action::Grant { worker: WORKER, challenge: CHALLENGE }));
        assert!(matches!(task, Task::Granted { attempts: 1, heard: 110, .. }));
        let (task, action) = step(granted(1), 110, &Event::Asked { worker: Address::ZERO });
        assert_eq!((task, action), (granted(1), None));
    }

    #[test]
    fn a_silent_worker_loses_the_task_and_a_heard_one_keeps_it() {
        assert_eq!(step(granted(1), 100 + LOST_AFTER, &Event::Tick).0, granted(1));
        assert_eq!(step(granted(1), 101 + LOST_AFTER, &Event::Tick).0, ready(1, 101 + LOST_AFTER));
        let (task, _) = step(granted(1), 120, &Event::Heard { worker: WORKER });
        assert_eq!(step(task.clone(), 101 + LOST_AFTER, &Event::Tick).0, task);
    }

    #[test]
    fn the_schedulers_own_absence_is_not_held_against_a_worker() {
        let (task, _) = step(granted(1), 400, &Event::Resumed);
        assert_eq!(step(task.clone(), 400 + LOST_AFTER, &Event::Tick), (task, None));
        assert_eq!(step(ready(1, 5), 400, &Event::Resumed).0, ready(1, 5));
    }

    #[test]
    fn a_failure_of_the_worker_is_retried_after_a_pause_and_one_of_the_deal_is_not() {
        let gave_up = |cause| Event::GaveUp { worker: WORKER, cause };
        let (paused, _) = step(granted(3), 101, &gave_up(Cause::AbortedByWorker));
        assert_eq!(paused, ready(3, 105));
        let asked = Event::Asked { worker: WORKER };
        assert_eq!(step(paused.clone(), 104, &asked), (paused.clone(), None));
        assert!(step(paused, 105, &asked).1.is_some());
        let failing = |cause| Task::Failing { cause };
        assert_eq!(step(granted(1), 101, &gave_up(Cause::AppComputeFailed)).0, failing(Cause::AppComputeFailed));
        let (last, _) = step(granted(MAX_ATTEMPTS), 101, &gave_up(Cause::AbortedByWorker));
        assert_eq!(last, failing(Cause::AbortedByWorker));
        let stranger = Event::GaveUp { worker: Address::ZERO, cause: Cause::AppComputeFailed };
        assert_eq!(step(granted(1), 101, &stranger).0, granted(1));
    }

    #[test]
    fn nothing_is_granted_that_can_no_longer_be_contributed() {
        let failing = Task::Failing { cause: Cause::ContributionTimeout };
        let asked = Event::Asked { worker: WORKER };
        assert!(step(ready(0, 0), DEADLINES.contribution - 1, &asked).1.is_some());
        assert_eq!(step(ready(0, 0), DEADLINES.contribution, &asked), (failing.clone(), None));
        for late in every_state().into_iter().filter(Task::is_open) {
            assert_eq!(step(late, DEADLINES.contribution, &Event::Tick), (failing.clone(), None));
        }
        let too_late = Event::Observed(ChainStatus::Completed);
        assert_eq!(step(failing, DEADLINES.contribution + 1, &too_late).0, Task::Completed);
    }

    #[test]
    fn what_nobody_finished_is_claimed_after_its_deadline_and_not_before() {
        let failing = Task::Failing { cause: Cause::AppComputeFailed };
        assert_eq!(failing.due(DEADLINES.claim - 1, DEADLINES), None);
        assert_eq!(failing.due(DEADLINES.claim, DEADLINES), Some(Action::Claim));
        let (failed, action) = step(failing, DEADLINES.claim + 1, &Event::Observed(ChainStatus::Failed));
        assert_eq!((failed, action), (Task::Failed { cause: Cause::AppComputeFailed }, None));
        for late in every_state().into_iter().filter(Task::is_open) {
            assert_eq!(step(late.clone(), DEADLINES.claim, &Event::Tick).1, Some(Action::Claim));
            let unset = Event::Observed(ChainStatus::Unset);
            assert_eq!(step(late, DEADLINES.claim, &unset).1, Some(Action::Claim));
        }
    }

    #[test]
    fn a_task_that_a_reorganised_chain_forgot_is_initialised_again_and_keeps_its_state() {
        for open in every_state().into_iter().filter(Task::is_open) {
            let unset = Event::Observed(ChainStatus::Unset);
            assert_eq!(step(open.clone(), 100, &unset), (open, Some(Action::Initialize)));
        }
    }

    #[test]
    fn a_task_whose_deal_the_chain_forgot_waits_for_it_and_fails_at_its_deadline() {
        assert_eq!(step(granted(1), 101, &Event::Vanished).0, granted(1));
        let failed = Task::Failed { cause: Cause::ContributionTimeout };
        assert_eq!(step(granted(1), DEADLINES.claim, &Event::Vanished), (failed, None));
    }

    #[test]
    fn a_finished_task_never_changes() {
        for done in every_state().into_iter().filter(Task::is_final) {
            for event in [
                Event::Tick,
                Event::Observed(ChainStatus::Unset),
                Event::Observed(ChainStatus::Active),
                Event::Observed(ChainStatus::Completed),
                Event::Vanished,
                Event::Asked { worker: WORKER },
            ] {
                assert_eq!(step(done.clone(), 5000, &event), (done.clone(), None));
            }
        }
    }

    #[test]
    fn every_state_has_its_name_in_the_list_and_reads_back_from_json() {
        let names: Vec<_> = every_state().iter().map(Task::name).collect();
        assert_eq!(names, Task::STATES);
        for task in every_state() {
            let json = serde_json::to_value(&task).unwrap();
            assert_eq!(json["state"], task.name());
            assert_eq!(serde_json::from_value::<Task>(json).unwrap(), task);
        }
    }
}
