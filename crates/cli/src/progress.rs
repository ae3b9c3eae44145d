//! Watching tasks until they are over: what the chain says, and, where a scheduler tells, how far the worker is.

use std::{collections::BTreeMap, future::Future, time::Duration};

use iexec_protocol::{
    Address, Timestamp,
    call::{market::FindScheduler, scheduler::GetTask},
    cause::Cause,
    deal::Deal,
    id::{DealId, TaskId},
    task::{ChainStatus, ChainTask},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    failure::{Blame, Failure},
    remote::{Remote, Service},
    screen::Screen,
    task_view::{OfDeal, TaskView, timed_out},
};

const POLL: Duration = Duration::from_millis(500);
/// How long the chain may be silent before watching ends.
const PATIENCE: Duration = Duration::from_mins(1);
/// Schedulers are asked about the first tasks of a deal only.
const MOST_STAGES: usize = 8;

/// How the tasks of a deal ended.
pub(crate) struct Outcome {
    tasks: Vec<Ended>,
    now: Timestamp,
}

struct Ended {
    task: ChainTask,
    of_deal: OfDeal,
    /// What the scheduler says about a failure.
    trouble: Option<Trouble>,
}

/// Why a task fails, in the scheduler's words.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trouble {
    cause: String,
    remedy: Option<String>,
    message: Option<String>,
}

/// Watches every task of a deal.
pub(crate) async fn watch_deal(remote: &Remote, deal: DealId, screen: Screen) -> Result<Outcome, Failure> {
    let found = remote.chain.view_deal(deal).await?;
    let found = found
        .ok_or_else(|| Failure::absent(format!("there is no deal {deal} on the chain {:?}", remote.network.name)))?;
    until_ctrl_c(Watch::new(remote, &found, screen).await?.run(), deal).await
}

/// Watches one task.
pub(crate) async fn watch_task(remote: &Remote, deal: &Deal, task: TaskId, screen: Screen) -> Result<Outcome, Failure> {
    let mut watch = Watch::new(remote, deal, screen).await?;
    watch.tasks.retain(|(_, id)| *id == task);
    until_ctrl_c(watch.run(), deal.id).await
}

async fn until_ctrl_c(work: impl Future<Output = Result<Outcome, Failure>>, deal: DealId) -> Result<Outcome, Failure> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err(interrupted(deal)),
    }
}

/// Ctrl-C ends the command, not the deal.
pub(crate) fn interrupted(deal: DealId) -> Failure {
    let message = format!("stopped watching; the deal {deal} goes on without this command");
    let failure = Failure { blame: Blame::Interrupt, ..Failure::user("Interrupted", message) };
    failure.hint(format!("look at it again with `iexec deal show {deal} --watch`"))
}

struct Watch<'a> {
    remote: &'a Remote,
    deal: &'a Deal,
    tasks: Vec<(u64, TaskId)>,
    deadline: Timestamp,
    scheduler: Option<String>,
    lines: Lines,
}

impl<'a> Watch<'a> {
    async fn new(remote: &'a Remote, deal: &'a Deal, screen: Screen) -> Result<Self, Failure> {
        let category = remote.chain.view_category(deal.category).await?;
        let deadline = deal.final_deadline(category.map_or(0, |category| category.seconds));
        // Without one, the chain alone is watched.
        let scheduler = scheduler_of(remote, deal.workerpool.pointer).await.ok();
        let tasks = deal.tasks().collect();
        Ok(Self { remote, deal, tasks, deadline, scheduler, lines: Lines::new(screen) })
    }

    async fn run(mut self) -> Result<Outcome, Failure> {
        let mut ended: BTreeMap<u64, Ended> = BTreeMap::new();
        let mut heard = Instant::now();
        loop {
            match self.look(&mut ended).await {
                Ok(now) if ended.len() == self.tasks.len() => {
                    self.lines.end();
                    return Ok(Outcome { tasks: ended.into_values().collect(), now });
                }
                Ok(_) => heard = Instant::now(),
                Err(failure) if failure.blame == Blame::Us && heard.elapsed() < PATIENCE => self.lines.wait(&failure),
                Err(failure) => {
                    return Err(failure.hint(format!(
                        "the deal goes on; look at it again with `iexec deal show {} --watch`",
                        self.deal.id
                    )));
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Looks once at every task that is not over; yields the chain's time.
    async fn look(&mut self, ended: &mut BTreeMap<u64, Ended>) -> Result<Timestamp, Failure> {
        let now = self.remote.chain.block_timestamp().await?;
        for (position, (index, id)) in self.tasks.clone().into_iter().enumerate() {
            if ended.contains_key(&index) {
                continue;
            }
            let task = self.remote.chain.view_task(id).await?;
            let deadline = if task.status == ChainStatus::Unset { self.deadline } else { task.final_deadline };
            let timed_out = timed_out(&task, deadline, now);
            let over = timed_out || matches!(task.status, ChainStatus::Completed | ChainStatus::Failed);
            let told = if position < MOST_STAGES { self.told(id, task.status).await } else { Told::default() };
            let stage = if over { None } else { told.stage.as_deref() };
            self.lines.say(id, task.status.name(timed_out), stage);
            if over || told.trouble.is_some() {
                let of_deal = OfDeal { deal: self.deal.id, index, final_deadline: self.deadline };
                let trouble = told.trouble.filter(|_| task.status != ChainStatus::Completed);
                ended.insert(index, Ended { task, of_deal, trouble });
            }
        }
        Ok(now)
    }

    /// What the scheduler tells; a silent one is no failure.
    async fn told(&self, task: TaskId, status: ChainStatus) -> Told {
        let Some(url) = self.scheduler.as_deref().filter(|_| status != ChainStatus::Completed) else {
            return Told::default();
        };
        match self.remote.client.send(url, &GetTask(task)).await {
            Ok(answer) => Told::read(&answer),
            Err(_) => Told::default(),
        }
    }
}

/// The pool's scheduler, as the look-up knows it.
pub(crate) async fn scheduler_of(remote: &Remote, workerpool: Address) -> Result<String, Failure> {
    let call = FindScheduler { chain_id: remote.network.id, workerpool };
    remote.send(Service::Compass, &call).await
}

/// A scheduler's account of a task.
#[derive(Default)]
struct Told {
    stage: Option<String>,
    trouble: Option<Trouble>,
}

impl Told {
    /// Reads iExec's task model; `state`, `cause`, `remedy` and `message` are there with our scheduler only.
    fn read(task: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(|text| text.chars().take(300).collect::<String>());
        let replicate = task["replicates"].as_array().and_then(|all| all.last());
        let stage =
            replicate.and_then(|replicate| text(&replicate["currentStatus"])).or_else(|| text(&task["currentStatus"]));
        let given_up = matches!(task["state"].as_str(), Some("FAILING" | "FAILED"));
        let cause = text(&task["cause"]).or_else(|| replicate.and_then(last_cause));
        let trouble = given_up.then(|| {
            let cause = cause.unwrap_or_else(|| "UNKNOWN".into());
            let known = cause.parse::<Cause>().ok().map(|cause| cause.remedy().to_owned());
            Trouble { remedy: text(&task["remedy"]).or(known), message: text(&task["message"]), cause }
        });
        Self { stage, trouble }
    }
}

fn last_cause(replicate: &Value) -> Option<String> {
    let changes = replicate["statusUpdateList"].as_array()?;
    changes.iter().rev().find_map(|change| change["details"]["cause"].as_str()).map(str::to_owned)
}

impl Outcome {
    pub(crate) fn shown(&self) -> Vec<TaskView> {
        self.tasks.iter().map(|ended| self.view(ended)).collect()
    }

    pub(crate) fn failed_shown(&self) -> Vec<TaskView> {
        self.failed().map(|ended| self.view(ended)).collect()
    }

    pub(crate) fn first(&self) -> Option<TaskId> {
        self.tasks.first().map(|ended| ended.task.id)
    }

    /// `(tasks, completed, failed)`.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let failed = self.failed().count();
        (self.tasks.len(), self.tasks.len() - failed, failed)
    }

    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        self.shown().iter().map(|task| ("task", format!("{}  {}", task.taskid, task.status_name))).collect()
    }

    /// The first task that is not COMPLETED, as a failure with cause and remedy.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let first = self.failed().next()?;
        let view = self.view(first);
        let others = match self.failed().count() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let (id, status) = (view.taskid, view.status_name);
        Some(match &first.trouble {
            Some(Trouble { cause, remedy, message }) => {
                let words = message.as_ref().map_or_else(String::new, |message| format!(": {message}"));
                Failure::user("TaskFailed", format!("task {id} failed with {cause}{words}{others}"))
                    .hint(remedy.clone().unwrap_or_else(|| format!("`iexec task debug {id}` shows its history")))
            }
            None if view.task_timed_out => {
                Failure::user("TaskTimeout", format!("task {id} did not end in time{others}")).hint(format!(
                    "`iexec task claim {id}` gives the stake back; `iexec task debug {id}` shows its history"
                ))
            }
            None => Failure::user("TaskFailed", format!("task {id} is {status}{others}"))
                .hint(format!("`iexec task debug {id}` shows its history")),
        })
    }

    fn failed(&self) -> impl Iterator<Item = &Ended> {
        self.tasks.iter().filter(|ended| ended.task.status != ChainStatus::Completed)
    }

    fn view(&self, ended: &Ended) -> TaskView {
        TaskView::new(&ended.task, Some(ended.of_deal), self.now)
    }
}

/// One moving line on a terminal, a line for each change elsewhere.
struct Lines {
    screen: Screen,
    bar: Option<ProgressBar>,
    last: BTreeMap<TaskId, String>,
    waiting: bool,
}

impl Lines {
    fn new(screen: Screen) -> Self {
        let bar = screen.is_lively().then(|| {
            let bar = ProgressBar::new_spinner();
            // A line longer than the terminal would be drawn twice: it is cut instead.
            let style = ProgressStyle::with_template("{spinner} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { screen, bar, last: BTreeMap::new(), waiting: false }
    }

    fn say(&mut self, task: TaskId, status: &str, stage: Option<&str>) {
        self.waiting = false;
        let stage = stage.map_or_else(String::new, |stage| format!(" ({stage})"));
        let line = format!("task {task} {status}{stage}");
        if self.last.get(&task) == Some(&line) {
            return;
        }
        match &self.bar {
            Some(bar) => bar.set_message(format!("{status}{stage}  task {task}")),
            None => self.screen.note(&line),
        }
        self.last.insert(task, line);
    }

    fn wait(&mut self, failure: &Failure) {
        if !std::mem::replace(&mut self.waiting, true) {
            let line = format!("{}; trying again", failure.message);
            match &self.bar {
                Some(bar) => bar.set_message(line),
                None => self.screen.note(line),
            }
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schedulers_account_yields_the_workers_stage() {
        let told = Told::read(&json!({"currentStatus": "RUNNING", "replicates": [{"currentStatus": "COMPUTING"}]}));
        assert_eq!(told.stage.as_deref(), Some("COMPUTING"));
        assert_eq!(told.trouble, None);
        assert_eq!(Told::read(&json!({"currentStatus": "INITIALIZED"})).stage.as_deref(), Some("INITIALIZED"));
        assert_eq!(Told::read(&json!([1])).stage, None);
    }

    #[test]
    fn a_task_that_is_given_up_ends_the_watching_with_cause_and_remedy() {
        let told =
            Told::read(&json!({"state": "FAILING", "cause": "APP_IMAGE_BAD_CHECKSUM", "message": "another digest"}));
        let trouble = told.trouble.unwrap();
        assert_eq!(
            (trouble.cause.as_str(), trouble.message.as_deref()),
            ("APP_IMAGE_BAD_CHECKSUM", Some("another digest"))
        );
        assert!(trouble.remedy.unwrap().contains("digest of the image"));
    }
}
