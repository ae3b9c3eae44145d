//! Drives every unfinished task: read the chain, step, do what is due (spec T4 to T8). Level-triggered: nothing is
//! remembered between two looks but when to look again.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use iexec_chain::ChainError;
use iexec_protocol::{
    Address, Timestamp,
    authorization::challenge_request_hash,
    call::sms::GetChallenge,
    id::TaskId,
    task::{Action, ChainStatus, Deadlines, Event, Task},
};
use iexec_service::CancellationToken;
use tokio::task::JoinSet;

use crate::{Scheduler, history::Entry, log_change, store::Row};

/// How often it is seen which tasks are due.
const TICK: Duration = Duration::from_millis(250);

/// How often all unfinished tasks are listed without being told of new deals.
const LIST: Duration = Duration::from_secs(5);

/// Tasks worked on at once; most of them wait for a block.
const BUSY: usize = 64;

/// Pauses after failures: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// Actions of one look at a task: initialise, ask, and some to spare for a chain that moves meanwhile.
const ACTIONS: usize = 8;

/// When a task is looked at next.
struct Look {
    at: Instant,
    busy: bool,
    /// It changed while it was busy: the outcome is of before.
    again: bool,
    pause: Duration,
    said: Option<String>,
}

impl Look {
    fn at_once() -> Self {
        Self { at: Instant::now(), busy: false, again: false, pause: FIRST_PAUSE, said: None }
    }
}

/// What came of a look: when to look again, or `None` for a finished task.
type Outcome = anyhow::Result<Option<Duration>>;

/// Drives until `stop`; what is under way then is given up, and is taken up again by the next start.
pub(crate) async fn run(scheduler: &Arc<Scheduler>, stop: &CancellationToken) {
    let mut driver = Driver { scheduler, looks: HashMap::new(), running: JoinSet::new() };
    let (mut listed, mut said) = (None::<Instant>, None);
    loop {
        if listed.is_none_or(|listed| listed.elapsed() > LIST) {
            match driver.list().await {
                Ok(()) => (listed, said) = (Some(Instant::now()), None),
                Err(error) => log_change(&mut said, "tasks", &error),
            }
        }
        driver.start_due();
        tokio::select! {
            () = stop.cancelled() => return driver.running.shutdown().await,
            () = scheduler.wake.notified() => {
                driver.look_at_nudged();
                listed = None;
            }
            Some(done) = driver.running.join_next() => driver.take(done),
            () = tokio::time::sleep(TICK) => (),
        }
    }
}

struct Driver<'a> {
    scheduler: &'a Arc<Scheduler>,
    looks: HashMap<TaskId, Look>,
    running: JoinSet<(TaskId, Outcome)>,
}

impl Driver<'_> {
    async fn list(&mut self) -> anyhow::Result<()> {
        for task in self.scheduler.store.unfinished().await? {
            self.looks.entry(task).or_insert_with(Look::at_once);
        }
        for (state, count) in self.scheduler.store.counts().await? {
            self.scheduler.metrics.gauge("tasks", "Tasks by state.", &[("state", &state)]).set(count);
        }
        Ok(())
    }

    fn look_at_nudged(&mut self) {
        let nudged = std::mem::take(&mut *self.scheduler.nudged.lock().unwrap_or_else(PoisonError::into_inner));
        for id in nudged {
            let look = self.looks.entry(id).or_insert_with(Look::at_once);
            (look.at, look.again) = (Instant::now(), look.busy);
        }
    }

    fn start_due(&mut self) {
        let (now, free) = (Instant::now(), BUSY.saturating_sub(self.running.len()));
        let mut due: Vec<_> = self.looks.iter_mut().filter(|(_, look)| !look.busy && look.at <= now).collect();
        due.sort_by_key(|(_, look)| look.at);
        for (id, look) in due.into_iter().take(free) {
            look.busy = true;
            let (scheduler, id) = (self.scheduler.clone(), *id);
            self.running.spawn(async move { (id, drive(&scheduler, id).await) });
        }
    }

    fn take(&mut self, done: Result<(TaskId, Outcome), tokio::task::JoinError>) {
        let (id, outcome) = match done {
            Ok(done) => done,
            Err(error) => {
                // Which task it was is lost with it: all that are not running are free again.
                tracing::error!("driving a task failed: {error}");
                return self.looks.values_mut().for_each(|look| look.busy = false);
            }
        };
        let Some(look) = self.looks.get_mut(&id) else { return };
        look.busy = false;
        match outcome {
            Ok(None) => drop(self.looks.remove(&id)),
            Ok(Some(_)) if look.again => *look = Look::at_once(),
            Ok(Some(pause)) => *look = Look { at: Instant::now() + pause, ..Look::at_once() },
            Err(error) => {
                log_change(&mut look.said, &format!("task {id}"), &error);
                look.at = Instant::now() + look.pause;
                look.pause = (look.pause * 2).min(LAST_PAUSE);
            }
        }
    }
}

/// Looks at a task and does what is due, until nothing is.
async fn drive(scheduler: &Scheduler, id: TaskId) -> Outcome {
    for _ in 0..ACTIONS {
        let status = scheduler.chain.chain().view_task(id).await?.status;
        let stepped = scheduler.apply(id, &Event::Observed(status), None).await?;
        let (row, action) = stepped.context("the task is not in the store")?;
        match action {
            Some(Action::Initialize) => initialize(scheduler, &row).await?,
            Some(Action::AskChallenge) => ask_challenge(scheduler, &row).await?,
            Some(Action::Claim) => claim(scheduler, &row, status).await?,
            Some(Action::Grant { .. }) | None => {
                let now = scheduler.clock.now().context("no block was read yet")?;
                return Ok(next_look(&row.task, now, row.deadlines));
            }
        }
    }
    bail!("{ACTIONS} actions did not bring it on");
}

async fn initialize(scheduler: &Scheduler, row: &Row) -> anyhow::Result<()> {
    if row.task == Task::Received {
        scheduler.store.note(row.id, &Entry::of_task("INITIALIZING")).await?;
    }
    let sent = scheduler.chain.initialize(row.deal, row.index).await;
    settle(scheduler, row, sent.map(drop), |status| status != ChainStatus::Unset).await
}

async fn claim(scheduler: &Scheduler, row: &Row, status: ChainStatus) -> anyhow::Result<()> {
    scheduler.store.note(row.id, &Entry::of_task("FINAL_DEADLINE_REACHED")).await?;
    let sent = if status == ChainStatus::Unset {
        scheduler.chain.initialize_and_claim(row.deal, &[row.index]).await
    } else {
        scheduler.chain.claim(row.id).await
    };
    let over = |status| matches!(status, ChainStatus::Completed | ChainStatus::Failed);
    settle(scheduler, row, sent.map(drop), over).await
}

/// After a transaction: a refusal is none if somebody else did it first, and then the deal may have vanished.
async fn settle(
    scheduler: &Scheduler,
    row: &Row,
    sent: Result<(), ChainError>,
    done: impl Fn(ChainStatus) -> bool,
) -> anyhow::Result<()> {
    let chain = scheduler.chain.chain();
    match sent {
        Ok(()) => Ok(()),
        Err(error @ (ChainError::Reverted { .. } | ChainError::Failed { .. })) => {
            if done(chain.view_task(row.id).await?.status) {
                return Ok(());
            }
            if chain.view_deal(row.deal).await?.is_none() {
                scheduler.apply(row.id, &Event::Vanished, None).await?;
                bail!("its deal {} is no longer on the chain", row.deal);
            }
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

async fn ask_challenge(scheduler: &Scheduler, row: &Row) -> anyhow::Result<()> {
    let challenge = if row.tag.is_tee() { sms_challenge(scheduler, row.id).await? } else { Address::ZERO };
    scheduler.apply(row.id, &Event::Challenge(challenge), None).await?;
    Ok(())
}

async fn sms_challenge(scheduler: &Scheduler, task: TaskId) -> anyhow::Result<Address> {
    let sms = scheduler.sms_url.as_deref().context("the deal needs an SMS and none is configured")?;
    let signature = scheduler.chain.wallet().sign_message(challenge_request_hash(task))?;
    let asked = scheduler.client.send(sms, &GetChallenge { task, signature }).await;
    let challenge = asked.context("the SMS gives no challenge")?;
    if challenge.is_zero() {
        bail!("the SMS gives the zero address for a challenge");
    }
    Ok(challenge)
}

/// Until the next look at a task with nothing to do; `None` when it is finished.
fn next_look(task: &Task, now: Timestamp, deadlines: Deadlines) -> Option<Duration> {
    let until = |deadline: Timestamp| Duration::from_secs(deadline.saturating_sub(now)).max(FIRST_PAUSE);
    match task {
        Task::Completed | Task::Failed { .. } => None,
        // A worker's loss and its result are noticed within a second; there are as many as there are workers.
        Task::Granted { .. } => Some(Duration::from_secs(1)),
        Task::Failing { .. } => Some(until(deadlines.claim).min(Duration::from_mins(1))),
        _ => Some(until(deadlines.contribution).min(Duration::from_secs(15))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iexec_protocol::cause::Cause;

    #[test]
    fn a_task_is_looked_at_again_at_its_deadline_at_the_latest() {
        let deadlines = Deadlines { contribution: 700, claim: 1000 };
        let ready = Task::Ready { challenge: Address::ZERO, attempts: 0, not_before: 0 };
        let failing = Task::Failing { cause: Cause::Unknown };
        let seconds = |task: &Task, now| next_look(task, now, deadlines).map(|pause| pause.as_secs());
        assert_eq!(seconds(&ready, 100), Some(15));
        assert_eq!(seconds(&ready, 697), Some(3));
        assert_eq!(seconds(&failing, 100), Some(60));
        assert_eq!(seconds(&failing, 998), Some(2));
        assert_eq!(next_look(&failing, 5000, deadlines), Some(FIRST_PAUSE));
        assert_eq!(seconds(&Task::Completed, 100), None);
    }
}
