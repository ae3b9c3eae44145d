//! Tells the scheduler every few seconds that the worker still works, however long a step takes, and hears from it
//! whether to go on.

use std::time::Duration;

use iexec_chain::Wallet;
use iexec_protocol::{
    call::{
        CallError,
        scheduler::{Progress, Report, Verdict, WorkerHeader},
    },
    id::TaskId,
};
use iexec_service::{CancellationToken, Client, clock};
use tokio::sync::mpsc;

/// Where and as whom to report.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// For the calls.
    pub client: Client,
    /// The scheduler's origin.
    pub scheduler: String,
    /// Signs the reports.
    pub wallet: Wallet,
}

impl Reporter {
    /// Sends one report.
    pub async fn report(&self, task: TaskId, progress: Progress) -> Result<Verdict, CallError> {
        let body = Report::body(&progress)?;
        let header = WorkerHeader::sign(self.wallet.key(), clock::now(), &Report::path(task), &body);
        let header = header.map_err(|error| CallError::Request(error.to_string()))?;
        self.client.send(&self.scheduler, &Report { task, progress, header }).await
    }
}

/// A running heartbeat; it ends when dropped.
pub struct Heartbeat {
    changes: mpsc::UnboundedSender<String>,
    aborted: CancellationToken,
    _stop: tokio_util::sync::DropGuard,
}

impl Heartbeat {
    /// Begins, with a report at once.
    pub fn start(reporter: Reporter, task: TaskId, every: Duration) -> Self {
        let (changes, queue) = mpsc::unbounded_channel();
        let (aborted, stop) = (CancellationToken::new(), CancellationToken::new());
        let beat = beat(reporter, task, every, queue, aborted.clone());
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(beat).await });
        Self { changes, aborted, _stop: stop.drop_guard() }
    }

    /// Reports a status, at once and with every beat until the next.
    pub fn set(&self, status: &str) {
        // Nobody listens any more once the task was lost; `aborted` says so.
        let _ = self.changes.send(status.to_owned());
    }

    /// Cancelled when the scheduler says that the task is no longer this worker's.
    pub fn aborted(&self) -> &CancellationToken {
        &self.aborted
    }
}

async fn beat(
    reporter: Reporter,
    task: TaskId,
    every: Duration,
    mut queue: mpsc::UnboundedReceiver<String>,
    aborted: CancellationToken,
) {
    let mut status = "STARTED".to_owned();
    loop {
        match reporter.report(task, Progress::Working { status: status.clone() }).await {
            Ok(Verdict { go_on: true }) => (),
            Ok(Verdict { go_on: false }) => return aborted.cancel(),
            // A scheduler that is away comes back; whether the task is still ours is told then.
            Err(error) => tracing::debug!(%task, "heartbeat: {error}"),
        }
        tokio::select! {
            change = queue.recv() => match change {
                Some(new) => status = new,
                None => return,
            },
            () = tokio::time::sleep(every) => (),
        }
    }
}
