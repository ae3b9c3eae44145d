//! The scheduler of a workerpool: watches deals, drives their tasks, grants them to workers.
//!
//! It computes nothing and sees no secret: it is not trusted with more than the pool's own money. What to do next is a
//! function of the stored task and of the chain (`docs/spec/task.md`), so that a crash is a restart.

mod admit;
mod clock;
mod drive;
mod grants;
mod history;
mod store;
mod tasks;
mod watch;

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use anyhow::{Context as _, bail};
use axum::Router;
use iexec_chain::{Chain, ChainError, ChainWriter, Wallet};
use iexec_protocol::{
    Address,
    id::TaskId,
    task::{Action, Event, Task},
};
use iexec_service::{BoxFuture, CancellationToken, Check, Client, Listen, Listener, Metrics, Options, serve};
use tokio::sync::{Mutex, Notify};

use crate::{
    clock::ChainClock,
    store::{Row, Store},
};

/// The store's file in the data folder.
const FILE: &str = "scheduler.sqlite";

/// What a scheduler is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// The folder of its store.
    pub data: PathBuf,
    /// The chain's JSON-RPC endpoint.
    pub chain_url: String,
    /// Its EIP-155 chain id.
    pub chain_id: u64,
    /// The PoCo contract.
    pub hub: Address,
    /// The workerpool's contract.
    pub workerpool: Address,
    /// The workerpool's owner: signs authorizations and sends the scheduler's transactions.
    pub wallet: Wallet,
    /// The pool's SMS, as `http://127.0.0.1:13300`; `None` for a pool without enclaves.
    pub sms_url: Option<String>,
    /// The pool's result storage, told to workers.
    pub storage_url: String,
    /// The first block to read when the store is new.
    pub start_block: u64,
    /// Workers that may ask for tasks; any if empty.
    pub workers: Vec<Address>,
    /// Tasks that a worker may hold at once; at least 1.
    pub capacity: usize,
}

/// Runs the scheduler until `stop`.
pub fn run(config: Config, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move {
        let listener = Listener::bind(config.listen.clone()).await?;
        run_on(listener, config, stop).await
    })
}

/// Runs the scheduler on a port that is bound already (`config.listen` is not read), until `stop`.
pub fn run_on(listener: Listener, config: Config, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move {
        let scheduler = Arc::new(Scheduler::open(config, stop.clone()).await?);
        let chain = Check::answers("chain", scheduler.chain.chain().clone(), Chain::block_number);
        let checks = vec![Check::store(scheduler.store.logins()), chain];
        let options = Options { cors: true, metrics: scheduler.metrics.clone(), checks, ..Options::default() };
        // Whichever part ends first ends the others, so that none runs on without them.
        let stopped = stop.child_token();
        let guard = stopped.clone().drop_guard();
        let web = serve(listener, router(&scheduler), options, stopped.clone());
        let work = async {
            let _guard = guard;
            work(&scheduler, &stopped).await
        };
        let ended = tokio::try_join!(web, work).map(|_| ());
        scheduler.store.close().await;
        ended
    })
}

fn router(scheduler: &Arc<Scheduler>) -> Router {
    grants::router().merge(tasks::router()).with_state(scheduler.clone())
}

/// Everything but answering requests. The chain is reached first: the time that deadlines go by is its own.
async fn work(scheduler: &Arc<Scheduler>, stop: &CancellationToken) -> anyhow::Result<()> {
    if !scheduler.reach_chain(stop).await? {
        return Ok(());
    }
    scheduler.resume().await?;
    tokio::join!(watch::run(scheduler, stop), drive::run(scheduler, stop));
    Ok(())
}

/// What the parts share.
struct Scheduler {
    chain: ChainWriter,
    workerpool: Address,
    sms_url: Option<String>,
    storage_url: String,
    start_block: u64,
    workers: Vec<Address>,
    capacity: usize,
    client: Client,
    store: Store,
    clock: ChainClock,
    /// Told when there is something to drive at once: new deals, or `nudged`.
    wake: Notify,
    /// Tasks that were granted: from now on they are looked at more often.
    nudged: std::sync::Mutex<Vec<TaskId>>,
    /// Told when a task became ready.
    ready: Notify,
    /// Held while a worker's tasks are counted and one more is granted.
    granting: Mutex<()>,
    metrics: Metrics,
    stop: CancellationToken,
}

impl Scheduler {
    async fn open(config: Config, stop: CancellationToken) -> anyhow::Result<Self> {
        iexec_service::crypto::install();
        iexec_service::store::private_folder(&config.data)?;
        let Config { chain_url, chain_id, hub, workerpool, .. } = &config;
        let chain = Chain::new(chain_url, *chain_id, *hub)?;
        let network = format!("workerpool {workerpool} at hub {hub} on chain {chain_id}");
        let store = Store::open(&config.data.join(FILE), &network, config.start_block).await?;
        Ok(Self {
            chain: chain.with_wallet(config.wallet),
            workerpool: config.workerpool,
            sms_url: config.sms_url,
            storage_url: config.storage_url,
            start_block: config.start_block,
            workers: config.workers,
            capacity: config.capacity.max(1),
            client: Client::new()?,
            store,
            clock: ChainClock::default(),
            wake: Notify::new(),
            nudged: std::sync::Mutex::default(),
            ready: Notify::new(),
            granting: Mutex::new(()),
            metrics: Metrics::default(),
            stop,
        })
    }

    /// Waits until the chain answers and checks that this is the pool's owner there. False when told to stop.
    async fn reach_chain(&self, stop: &CancellationToken) -> anyhow::Result<bool> {
        let mut said = None;
        loop {
            match self.check_pool().await {
                Ok(()) => return Ok(true),
                Err(error) if may_pass(&error) => {
                    log_change(&mut said, "chain", &error);
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(false),
                () = tokio::time::sleep(watch::POLL) => (),
            }
        }
    }

    async fn check_pool(&self) -> anyhow::Result<()> {
        let (chain, pool) = (self.chain.chain(), self.workerpool);
        chain.check().await?;
        let Some(found) = chain.view_workerpool(pool).await? else {
            bail!("{pool} is no workerpool on this chain\nhint: deploy one with `iexec workerpool deploy`");
        };
        if found.owner != self.chain.address() {
            let (owner, wallet) = (found.owner, self.chain.address());
            bail!("workerpool {pool} belongs to {owner}, the wallet is {wallet}\nhint: use the owner's wallet");
        }
        watch::note_head(self).await?;
        Ok(())
    }

    /// After a start: the workers had nobody to report to (spec T12).
    async fn resume(&self) -> anyhow::Result<()> {
        for task in self.store.granted().await? {
            self.apply(task, &Event::Resumed, None).await?;
        }
        Ok(())
    }

    /// Steps the stored task and stores what comes out; `None` when there is no such task. `message` are the words of
    /// whoever caused the event.
    async fn apply(
        &self,
        id: TaskId,
        event: &Event,
        message: Option<&str>,
    ) -> anyhow::Result<Option<(Row, Option<Action>)>> {
        let now = self.clock.now().context("no block was read yet")?;
        loop {
            let Some(row) = self.store.task(id).await? else { return Ok(None) };
            let (next, action) = row.task.clone().step(now, row.deadlines, event);
            if next == row.task {
                return Ok(Some((row, action)));
            }
            // Not stored: another event came in between, and this one happens to its outcome.
            if self.store.advance(&row, &next, event, message).await? {
                self.announce(&row, &next);
                return Ok(Some((Row { task: next, version: row.version + 1, ..row }, action)));
            }
        }
    }

    fn announce(&self, row: &Row, next: &Task) {
        if row.task.name() == next.name() {
            return;
        }
        let (id, from, to) = (row.id, row.task.name(), next.name());
        let cause = next.cause().map(tracing::field::display);
        tracing::info!(cause, "task {id}: {from} to {to}");
        self.metrics.counter("task_changes_total", "Changes of tasks' states.", &[("to", to)]).increment();
        match next {
            Task::Ready { .. } => self.ready.notify_waiters(),
            Task::Granted { .. } => {
                self.nudged.lock().unwrap_or_else(PoisonError::into_inner).push(id);
                self.wake.notify_one();
            }
            _ => (),
        }
    }
}

/// A node that is down or overloaded; not one of another chain, nor a workerpool of somebody else.
fn may_pass(error: &anyhow::Error) -> bool {
    let chain = error.downcast_ref::<ChainError>();
    chain.is_some_and(|error| error.is_transient() || matches!(error, ChainError::Refused { .. }))
}

/// Logs an error once for as long as it stays the same.
fn log_change(said: &mut Option<String>, place: &str, error: &anyhow::Error) {
    let words = format!("{error:#}");
    if said.as_ref() != Some(&words) {
        tracing::warn!("{place}: {words}; trying again");
        *said = Some(words);
    }
}
