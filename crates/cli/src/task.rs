//! `iexec task`: show a task, wait for it, download and decrypt its result, look at its history, claim it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use iexec_protocol::{
    Address,
    call::scheduler::GetTask,
    deal::Deal,
    id::{DealId, TaskId},
    task::{ChainStatus, ChainTask},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    chain_options::{ChainOptions, TransactionOptions},
    deal,
    download::Fetch,
    failure::Failure,
    progress,
    remote::{Remote, online},
    result::KeyOptions,
    screen::{Answer, Screen, table},
    task_view::{OfDeal, TaskView},
    wallet_options::WalletOptions,
};

/// Show tasks, download their results, look at their history
#[derive(Subcommand)]
pub(crate) enum TaskCommand {
    Show(Box<Show>),
    /// Show a task's history as its workerpool tells it
    #[command(after_help = "Example:\n  iexec task debug 0x…")]
    Debug {
        /// The task
        taskid: TaskId,
        /// The task's deal: with it, a task is shown even before it is initialised
        #[arg(long, value_name = "DEALID")]
        deal: Option<DealId>,
        /// Ask for the app's output, too
        #[arg(long)]
        logs: bool,
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
    },
    /// Give back the requester's stake of a task that ran out of time
    #[command(after_help = "Example:\n  iexec task claim 0x…")]
    Claim {
        /// The task
        taskid: TaskId,
        /// The task's deal, for a task that was never initialised
        #[arg(long, value_name = "DEALID")]
        deal: Option<DealId>,
        #[command(flatten)]
        wallet: WalletOptions,
        #[command(flatten)]
        chain: ChainOptions,
        #[command(flatten)]
        transaction: TransactionOptions,
    },
}

/// Show a task
#[derive(Args)]
#[command(
    name = "show",
    after_help = "Examples:\n  iexec task show 0x… --watch\n  iexec task show 0x… --download\n  iexec task show 0x… --download my-result --decrypt"
)]
#[expect(clippy::option_option, reason = "clap's form of an option whose value may be left out")]
pub(crate) struct Show {
    /// The task
    taskid: TaskId,
    /// The task's deal: with it, a task is shown even before it is initialised
    #[arg(long, value_name = "DEALID")]
    deal: Option<DealId>,
    /// Wait until the task is over; exit 0 only when it is COMPLETED
    #[arg(long)]
    watch: bool,
    /// Download the result to <taskid>.zip, or to this name
    #[arg(long, value_name = "NAME", num_args = 0..=1)]
    download: Option<Option<String>>,
    /// Decrypt the downloaded result
    #[arg(long, requires = "download")]
    decrypt: bool,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    key: KeyOptions,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(flatten)]
    chain: ChainOptions,
}

impl TaskCommand {
    pub(crate) fn run(self, screen: Screen) -> Result<Answer, Failure> {
        match self {
            Self::Show(show) => show.run(screen),
            Self::Debug { taskid, deal, logs, chain, .. } => debug(taskid, deal, logs, &chain, screen),
            Self::Claim { taskid, deal, wallet, chain, transaction } => {
                transaction.check(screen)?;
                claim(taskid, deal, &wallet, &chain, &transaction, screen)
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    task: TaskView,
    claimable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_path: Option<PathBuf>,
}

impl Show {
    fn run(self, screen: Screen) -> Result<Answer, Failure> {
        let fetch = self.fetch(screen)?;
        online(async {
            let remote = Remote::connect(&self.chain).await?;
            let mut located = locate(&remote, self.taskid, self.deal).await?;
            if self.watch {
                let outcome = progress::watch_task(&remote, &located.deal, self.taskid, screen).await?;
                if let Some(failure) = outcome.failure() {
                    return Err(failure.fact("task", json!(outcome.shown().first())));
                }
                located = locate(&remote, self.taskid, Some(located.deal.id)).await?;
            }
            let task = located.view(&remote).await?;
            let result_path = match &fetch {
                Some(fetch) => Some(fetch.run(&remote, &located.task, screen).await?),
                None => None,
            };
            let mut rows = task.rows();
            rows.extend(result_path.as_ref().map(|path| ("file", path.display().to_string())));
            let text = table(&rows);
            Answer::new(&Shown { claimable: task.is_claimable(), task, result_path }, text)
        })
    }

    /// What would fail at the end of a download is refused before it.
    fn fetch(&self, screen: Screen) -> Result<Option<Fetch>, Failure> {
        let Some(name) = &self.download else { return Ok(None) };
        let name = name.clone().unwrap_or_else(|| self.taskid.to_string());
        let keys = if self.decrypt { Some(self.key.identities(&self.wallet, screen)?) } else { None };
        Fetch::new(&name, keys, self.force).map(Some)
    }
}

/// A task with its deal.
struct Located {
    task: ChainTask,
    deal: Deal,
    index: u64,
}

impl Located {
    async fn view(&self, remote: &Remote) -> Result<TaskView, Failure> {
        let final_deadline = deal::final_time(remote, &self.deal).await?;
        let of_deal = OfDeal { deal: self.deal.id, index: self.index, final_deadline };
        Ok(TaskView::new(&self.task, Some(of_deal), remote.chain.block_timestamp().await?))
    }
}

/// Before a task is initialised, the chain knows it only as one of its deal.
async fn locate(remote: &Remote, id: TaskId, deal: Option<DealId>) -> Result<Located, Failure> {
    let task = remote.chain.view_task(id).await?;
    let dealid = if task.status == ChainStatus::Unset { deal } else { Some(task.deal) };
    let Some(dealid) = dealid else {
        return Err(Failure::absent(format!(
            "the chain {:?} has no task {id} yet: it is initialised shortly after its deal is made",
            remote.network.name
        ))
        .hint("add --deal <dealid> to see it now, or check the id and --chain"));
    };
    let found = deal::found(remote, dealid).await?;
    let index = found.tasks().find(|(_, of_deal)| *of_deal == id).map(|(index, _)| index);
    match index {
        Some(index) => Ok(Located { task, index, deal: found }),
        None => Err(Failure::absent(format!("the deal {dealid} has no task {id}"))
            .hint(format!("`iexec deal show {dealid}` lists its tasks"))),
    }
}

fn debug(
    taskid: TaskId,
    deal: Option<DealId>,
    logs: bool,
    chain: &ChainOptions,
    screen: Screen,
) -> Result<Answer, Failure> {
    online(async {
        let remote = Remote::connect(chain).await?;
        let located = locate(&remote, taskid, deal).await?;
        let pool = located.deal.workerpool.pointer;
        let url = progress::scheduler_of(&remote, pool).await.map_err(|failure| {
            failure
                .at(format!("the scheduler of the workerpool {pool} is not known"))
                .hint("`compass` in chain.json names the look-up of schedulers; `iexec task show` works without it")
        })?;
        let off_chain = remote.client.send(&url, &GetTask(taskid)).await;
        let off_chain =
            off_chain.map_err(|error| Failure::of_call("WorkerpoolCallError", "scheduler", &url, &error))?;
        if logs {
            screen.warn("the workerpool has no logs: the app's output is in its result, as stdout.txt and stderr.txt");
        }
        let view = located.view(&remote).await?;
        let text = format!("{}\n{}", table(&view.rows()), history(&off_chain).join("\n"));
        let replicates: Vec<Value> = off_chain["replicates"].as_array().into_iter().flatten().map(replicate).collect();
        let task = json!({ "status": off_chain["currentStatus"], "statusHistory": off_chain["dateStatusList"] });
        let shown = json!({
            "onchainData": view,
            "offchainData": {
                "task": task, "replicates": replicates,
                "cause": off_chain["cause"], "message": off_chain["message"], "remedy": off_chain["remedy"],
            },
            "appLogs": [],
        });
        Answer::new(&shown, text)
    })
}

/// The SDK's names for a replicate's fields.
fn replicate(replicate: &Value) -> Value {
    json!({
        "worker": replicate["walletAddress"], "exitCode": replicate["appExitCode"],
        "status": replicate["currentStatus"], "statusHistory": replicate["statusUpdateList"],
    })
}

/// A line for each change of the task and of its workers' replicates, then cause and remedy.
fn history(off_chain: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let line = |whose: &str, change: &Value| {
        let cause = change["details"]["cause"].as_str().map_or_else(String::new, |cause| format!("  {cause}"));
        format!("{}  {whose}  {}{cause}", text(&change["date"]), text(&change["status"]))
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut lines: Vec<_> = list(&off_chain["dateStatusList"]).iter().map(|change| line("scheduler", change)).collect();
    for replicate in list(&off_chain["replicates"]) {
        let worker = text(&replicate["walletAddress"]);
        let worker = worker.parse::<Address>().map_or(worker, |address| address.to_string());
        lines.extend(list(&replicate["statusUpdateList"]).iter().map(|change| line(&worker, change)));
    }
    for key in ["cause", "message", "remedy"] {
        lines.extend(off_chain[key].as_str().map(|words| format!("{key}: {words}")));
    }
    lines
}

fn claim(
    taskid: TaskId,
    deal: Option<DealId>,
    wallet: &WalletOptions,
    chain: &ChainOptions,
    transaction: &TransactionOptions,
    screen: Screen,
) -> Result<Answer, Failure> {
    chain.network()?;
    let wallet = wallet.open(screen)?;
    online(async {
        let remote = Remote::connect(chain).await?;
        let located = locate(&remote, taskid, deal).await?;
        let view = located.view(&remote).await?;
        if !view.is_claimable() {
            let message = format!("the task {taskid} is {} and cannot be claimed", view.status_name);
            return Err(Failure::user("NothingToClaim", message)
                .hint("a task can be claimed when it is past its final deadline and not COMPLETED"));
        }
        let writer = remote.writer(wallet, transaction);
        let receipt = match located.task.status {
            ChainStatus::Unset => writer.initialize_and_claim(located.deal.id, &[located.index]).await?,
            _ => writer.claim(taskid).await?,
        };
        let hash = receipt.transaction.to_string();
        Answer::new(
            &json!({ "txHash": hash }),
            table(&[("claimed", taskid.to_string()), ("transaction", hash.clone())]),
        )
    })
}
