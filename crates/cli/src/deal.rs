//! `iexec deal`: show a deal, wait for its tasks, claim those that ran out of time.

use clap::Subcommand;
use iexec_protocol::{
    Address,
    amount::Currency,
    deal::{Deal, Resource},
    id::{DealId, TaskId},
    task::ChainStatus,
};
use serde::Serialize;
use serde_json::json;

use crate::{
    chain_options::{ChainOptions, TransactionOptions},
    failure::Failure,
    progress::{self, Outcome},
    remote::{Remote, online},
    screen::{Answer, Screen, table},
    task_view::{timed_out, utc},
    wallet_options::WalletOptions,
};

/// Show deals, wait for their tasks, claim what ran out of time
#[derive(Subcommand)]
pub(crate) enum DealCommand {
    /// Show a deal
    #[command(after_help = "Examples:\n  iexec deal show 0x…\n  iexec deal show 0x… --watch")]
    Show {
        /// The deal
        dealid: DealId,
        /// Wait until every task is over; exit 0 only when all are COMPLETED
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
    /// Give back the requester's stake of tasks that ran out of time
    #[command(after_help = "Example:\n  iexec deal claim 0x…")]
    Claim {
        /// The deal
        dealid: DealId,
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
        #[command(flatten)]
        transaction: TransactionOptions,
    },
}

impl DealCommand {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::Show { dealid, watch, chain, .. } => show(dealid, watch, &chain, screen),
            Self::Claim { dealid, wallet, chain, transaction } => claim(dealid, &wallet, &chain, &transaction, screen),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    dealid: DealId,
    app: Resource,
    dataset: Resource,
    workerpool: Resource,
    trust: String,
    category: String,
    tag: String,
    requester: Address,
    beneficiary: Address,
    callback: Address,
    params: String,
    start_time: String,
    bot_first: String,
    bot_size: String,
    worker_stake: String,
    scheduler_reward_ratio: String,
    sponsor: Address,
    final_time: String,
    deadline_reached: bool,
    tasks: Vec<TaskId>,
}

impl View {
    fn new(deal: &Deal, final_time: u64, now: u64) -> Self {
        Self {
            dealid: deal.id,
            app: deal.app,
            dataset: deal.dataset,
            workerpool: deal.workerpool,
            trust: deal.trust.to_string(),
            category: deal.category.to_string(),
            tag: deal.tag.0.to_string(),
            requester: deal.requester,
            beneficiary: deal.beneficiary,
            callback: deal.callback,
            params: deal.params.clone(),
            start_time: deal.start_time.to_string(),
            bot_first: deal.bot_first.to_string(),
            bot_size: deal.bot_size.to_string(),
            worker_stake: deal.worker_stake.to_string(),
            scheduler_reward_ratio: deal.scheduler_reward_ratio.to_string(),
            sponsor: deal.sponsor,
            final_time: final_time.to_string(),
            deadline_reached: now >= final_time,
            tasks: deal.tasks().take(MOST_TASKS).map(|(_, task)| task).collect(),
        }
    }
}

/// Most tasks that are listed.
const MOST_TASKS: usize = 10_000;

fn show(dealid: DealId, watch: bool, chain: &ChainOptions, screen: Screen) -> Result<Answer, Failure> {
    online(async {
        let remote = Remote::connect(chain).await?;
        let deal = found(&remote, dealid).await?;
        let final_time = final_time(&remote, &deal).await?;
        let now = remote.chain.block_timestamp().await?;
        let view = View::new(&deal, final_time, now);
        if !watch {
            return Answer::new(&json_of(&view), table(&rows(&deal, final_time)));
        }
        let outcome = progress::watch_deal(&remote, dealid, screen).await?;
        watched(&deal, &view, &outcome)
    })
}

#[derive(Serialize)]
struct Shown<'a> {
    deal: &'a View,
}

fn json_of(view: &View) -> Shown<'_> {
    Shown { deal: view }
}

fn watched(deal: &Deal, view: &View, outcome: &Outcome) -> Result<Answer, Failure> {
    let (all, completed, failed) = outcome.counts();
    if let Some(failure) = outcome.failure() {
        let facts = [
            ("tasksCount", json!(all)),
            ("completedTasksCount", json!(completed)),
            ("failedTasksCount", json!(failed)),
            ("deal", json!(view)),
            ("tasks", json!(outcome.shown())),
            ("failedTasks", json!(outcome.failed_shown())),
        ];
        return Err(facts.into_iter().fold(failure, |failure, (key, value)| failure.fact(key, value)));
    }
    let json = json!({
        "tasksCount": all, "completedTasksCount": completed, "failedTasksCount": failed,
        "deal": view, "tasks": outcome.shown(),
    });
    let mut rows = vec![("deal", deal.id.to_string())];
    rows.extend(outcome.rows());
    Answer::new(&json, table(&rows))
}

fn rows(deal: &Deal, final_time: u64) -> Vec<(&'static str, String)> {
    let resource = |resource: &Resource| format!("{} ({} RLC)", resource.pointer, Currency::Rlc.format(resource.price));
    let mut rows = vec![
        ("deal", deal.id.to_string()),
        ("app", resource(&deal.app)),
        ("workerpool", resource(&deal.workerpool)),
        ("tag", deal.tag.to_string()),
        ("category", deal.category.to_string()),
        ("requester", deal.requester.to_string()),
        ("beneficiary", deal.beneficiary.to_string()),
        ("params", deal.params.clone()),
        ("made", utc(i64::try_from(deal.start_time).unwrap_or(i64::MAX / 2))),
        ("final deadline", utc(i64::try_from(final_time).unwrap_or(i64::MAX / 2))),
    ];
    if deal.has_dataset() {
        rows.insert(2, ("dataset", resource(&deal.dataset)));
    }
    rows.extend(deal.tasks().take(MOST_TASKS).map(|(_, task)| ("task", task.to_string())));
    rows
}

/// The deal, which must be there.
pub(crate) async fn found(remote: &Remote, dealid: DealId) -> Result<Deal, Failure> {
    remote.chain.view_deal(dealid).await?.ok_or_else(|| {
        Failure::absent(format!("there is no deal {dealid} on the chain {:?}", remote.network.name))
            .hint("check the id, and the chain with --chain")
    })
}

/// When the deal's tasks may be claimed.
pub(crate) async fn final_time(remote: &Remote, deal: &Deal) -> Result<u64, Failure> {
    let category = remote.chain.view_category(deal.category).await?;
    Ok(deal.final_deadline(category.map_or(0, |category| category.seconds)))
}

fn claim(
    dealid: DealId,
    wallet: &WalletOptions,
    chain: &ChainOptions,
    transaction: &TransactionOptions,
    screen: Screen,
) -> Result<Answer, Failure> {
    transaction.check(screen)?;
    chain.network()?;
    let wallet = wallet.open(screen)?;
    online(async {
        let remote = Remote::connect(chain).await?;
        let deal = found(&remote, dealid).await?;
        let late = late_tasks(&remote, &deal).await?;
        let writer = remote.writer(wallet, transaction);
        let mut claimed = Vec::new();
        for (_, task) in &late.initialized {
            claimed.push((*task, writer.claim(*task).await?.transaction));
        }
        // 250,000 gas a task: twenty fit into any block.
        for tasks in late.unset.chunks(20) {
            let indexes: Vec<_> = tasks.iter().map(|(index, _)| *index).collect();
            let transaction = writer.initialize_and_claim(dealid, &indexes).await?.transaction;
            claimed.extend(tasks.iter().map(|(_, task)| (*task, transaction)));
        }
        if claimed.is_empty() {
            return Err(Failure::user("NothingToClaim", format!("no task of the deal {dealid} can be claimed"))
                .hint("a task can be claimed when it is past its final deadline and not COMPLETED; `iexec deal show` tells when"));
        }
        let rows: Vec<_> = claimed.iter().map(|(task, _)| ("claimed", task.to_string())).collect();
        let tasks: serde_json::Map<_, _> = claimed.iter().map(|(task, hash)| (task.to_string(), json!(hash))).collect();
        Answer::new(&json!({ "claimed": tasks }), table(&rows))
    })
}

struct Late {
    initialized: Vec<(u64, TaskId)>,
    unset: Vec<(u64, TaskId)>,
}

async fn late_tasks(remote: &Remote, deal: &Deal) -> Result<Late, Failure> {
    let (deadline, now) = (final_time(remote, deal).await?, remote.chain.block_timestamp().await?);
    let mut late = Late { initialized: Vec::new(), unset: Vec::new() };
    for (index, id) in deal.tasks().take(MOST_TASKS) {
        let task = remote.chain.view_task(id).await?;
        match task.status {
            ChainStatus::Unset if timed_out(&task, deadline, now) => late.unset.push((index, id)),
            _ if timed_out(&task, task.final_deadline, now) => late.initialized.push((index, id)),
            _ => {}
        }
    }
    Ok(late)
}
