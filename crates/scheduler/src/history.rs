//! What a task's change looks like in iExec's words: the statuses of its scheduler and of its workers' replicates.

use iexec_protocol::{
    Address,
    cause::Cause,
    task::{Event, Task},
};

/// Who reported a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Modifier {
    /// This scheduler.
    PoolManager,
    /// The worker itself.
    Worker,
}

impl Modifier {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::PoolManager => "POOL_MANAGER",
            Self::Worker => "WORKER",
        }
    }
}

/// One line of a task's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Whose: the task's where `None`, else this worker's replicate.
    pub(crate) worker: Option<Address>,
    /// iExec's name of the status.
    pub(crate) status: String,
    /// Who reported it.
    pub(crate) modifier: Modifier,
    /// Why, for a failure.
    pub(crate) cause: Option<Cause>,
    /// The same in words.
    pub(crate) message: Option<String>,
}

impl Entry {
    /// A status of the task.
    pub(crate) fn of_task(status: &str) -> Self {
        let modifier = Modifier::PoolManager;
        Self { worker: None, status: status.to_owned(), modifier, cause: None, message: None }
    }

    /// A status of a worker's replicate.
    pub(crate) fn of_worker(worker: Address, status: &str, modifier: Modifier) -> Self {
        Self { worker: Some(worker), modifier, ..Self::of_task(status) }
    }

    /// The same, with a reason.
    pub(crate) fn because(self, cause: Option<Cause>, message: Option<&str>) -> Self {
        Self { cause, message: message.map(str::to_owned), ..self }
    }
}

/// The task's status in iExec's words.
pub(crate) fn status(task: &Task) -> &'static str {
    match task {
        Task::Received => "RECEIVED",
        Task::Initialized | Task::Ready { attempts: 0, .. } => "INITIALIZED",
        Task::Ready { .. } | Task::Granted { .. } => "RUNNING",
        Task::Failing { cause: Cause::ContributionTimeout } => "CONTRIBUTION_TIMEOUT",
        Task::Failing { .. } => "RUNNING_FAILED",
        Task::Completed => "COMPLETED",
        Task::Failed { .. } => "FAILED",
    }
}

/// What a change from `before` to `after` adds to the history; `message` are the words of whoever caused it.
pub(crate) fn entries(before: &Task, after: &Task, event: &Event, message: Option<&str>) -> Vec<Entry> {
    let replicate = replicate(before, after, event, message);
    let changed = status(before) != status(after);
    let task = changed.then(|| Entry::of_task(status(after)).because(after.cause(), message));
    replicate.into_iter().chain(task).collect()
}

fn replicate(before: &Task, after: &Task, event: &Event, message: Option<&str>) -> Option<Entry> {
    let by_pool = |worker, status| Some(Entry::of_worker(worker, status, Modifier::PoolManager));
    match (before.holder(), after.holder(), event) {
        (None, Some(worker), _) => by_pool(worker, "CREATED"),
        (Some(worker), None, Event::GaveUp { cause, .. }) => {
            let status = if *cause == Cause::AbortedByWorker { "ABORTED" } else { "FAILED" };
            Some(Entry::of_worker(worker, status, Modifier::Worker).because(Some(*cause), message))
        }
        (Some(worker), None, _) => match after {
            Task::Completed => by_pool(worker, "COMPLETED"),
            Task::Ready { .. } => by_pool(worker, "WORKER_LOST"),
            _ => by_pool(worker, "ABORTED"),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: Address = Address::repeat_byte(3);

    fn ready(attempts: u32) -> Task {
        Task::Ready { challenge: Address::ZERO, attempts, not_before: 0 }
    }

    fn shown(before: &Task, after: &Task, event: &Event) -> Vec<(bool, String)> {
        let entries = entries(before, after, event, Some("words"));
        entries.into_iter().map(|entry| (entry.worker.is_some(), entry.status)).collect()
    }

    #[test]
    fn each_change_is_told_in_iexecs_words_once() {
        let granted = Task::Granted { challenge: Address::ZERO, attempts: 1, worker: WORKER, heard: 0 };
        let gave_up = |cause| Event::GaveUp { worker: WORKER, cause };
        let failing = Task::Failing { cause: Cause::AppComputeFailed };
        let told = |of_worker, status: &str| (of_worker, status.to_owned());
        assert_eq!(shown(&Task::Received, &Task::Initialized, &Event::Tick), [told(false, "INITIALIZED")]);
        assert_eq!(shown(&Task::Initialized, &ready(0), &Event::Tick), []);
        let taken = shown(&ready(0), &granted, &Event::Tick);
        assert_eq!(taken, [told(true, "CREATED"), told(false, "RUNNING")]);
        assert_eq!(shown(&granted, &ready(1), &Event::Tick), [told(true, "WORKER_LOST")]);
        assert_eq!(shown(&granted, &ready(1), &gave_up(Cause::AbortedByWorker)), [told(true, "ABORTED")]);
        let failed = shown(&granted, &failing, &gave_up(Cause::AppComputeFailed));
        assert_eq!(failed, [told(true, "FAILED"), told(false, "RUNNING_FAILED")]);
        let done = shown(&granted, &Task::Completed, &Event::Tick);
        assert_eq!(done, [told(true, "COMPLETED"), told(false, "COMPLETED")]);
    }
}
