//! An errand from grant to contribution, one stored state after the other. Each step may be interrupted anywhere and is
//! repeated after a restart.

mod run;

use std::time::Duration;

use iexec_chain::ChainWriter;
use iexec_protocol::{
    call::{CallError, scheduler::Progress},
    cause::Cause,
    id::TaskId,
    result::ResultLink,
    session::{ARCHIVE_NAME, ArchiveFile},
};
use iexec_service::{CancellationToken, Client, Metrics};
use tokio::time::Instant;

use crate::{
    carry,
    errand::{Errand, State, store, store::ErrandStore},
    facts::{self, Facts},
    failure::Failure,
    fetch::Fetcher,
    heartbeat::{Heartbeat, Reporter},
    image::Images,
    runner::{Limits, Runner},
};

/// What every errand of a worker uses.
pub(crate) struct Worker {
    pub(crate) client: Client,
    pub(crate) reporter: Reporter,
    pub(crate) writer: ChainWriter,
    pub(crate) store: ErrandStore,
    pub(crate) images: Images,
    pub(crate) fetcher: Fetcher,
    pub(crate) runner: Box<dyn Runner>,
    pub(crate) enclave: std::path::PathBuf,
    pub(crate) simulated_platform: Option<std::path::PathBuf>,
    pub(crate) limits: Limits,
    pub(crate) heartbeat: Duration,
    pub(crate) margin: Duration,
    pub(crate) metrics: Metrics,
    pub(crate) stop: CancellationToken,
}

/// How an errand ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Contributed, and the scheduler knows.
    Done,
    /// Given up, and the scheduler knows.
    GaveUp,
    /// The scheduler took it back.
    Aborted,
    /// The worker stops; the errand goes on after its restart.
    Stopped,
}

impl Worker {
    /// Takes an errand to its end, from whichever state it is in.
    pub(crate) async fn travel(&self, errand: Errand) -> anyhow::Result<Outcome> {
        let task = errand.task();
        let heartbeat = Heartbeat::start(self.reporter.clone(), task, self.heartbeat);
        let outcome = self.steps(errand, &heartbeat).await;
        drop(heartbeat);
        match outcome? {
            Outcome::Stopped => self.remove_container(task).await,
            outcome => {
                self.remove_container(task).await;
                self.store.remove(task)?;
                tracing::info!(%task, "{outcome:?}");
                self.count(outcome);
                return Ok(outcome);
            }
        }
        Ok(Outcome::Stopped)
    }

    async fn steps(&self, mut errand: Errand, heartbeat: &Heartbeat) -> anyhow::Result<Outcome> {
        let mut known = None;
        loop {
            self.store.save(&errand)?;
            let (task, status) = (errand.task(), errand.state.status());
            heartbeat.set(status);
            tracing::info!(%task, "{status}");
            if let Some(outcome) = self.told(&errand).await {
                return Ok(outcome);
            }
            let aborted =
                if errand.state.may_be_aborted() { heartbeat.aborted().clone() } else { CancellationToken::new() };
            let stepped = tokio::select! {
                () = self.stop.cancelled() => return Ok(Outcome::Stopped),
                () = aborted.cancelled() => return Ok(self.taken_back(&errand).await),
                stepped = self.step(&errand, &mut known, heartbeat) => stepped,
            };
            errand.state = stepped.unwrap_or_else(|Failure { cause, message }| {
                tracing::warn!(%task, %cause, "given up: {message}");
                State::GaveUp { cause, message }
            });
        }
    }

    /// The scheduler says that the task is not this worker's: another has it, or this worker's own contribution, of which
    /// it has forgotten, ended it.
    async fn taken_back(&self, errand: &Errand) -> Outcome {
        let own = self.writer.chain().view_contribution(errand.task(), self.writer.address()).await;
        if own.is_ok_and(|own| own.status != 0) { Outcome::Done } else { Outcome::Aborted }
    }

    /// One step: does what the state asks for, and yields the next state.
    async fn step(&self, errand: &Errand, known: &mut Option<Facts>, heartbeat: &Heartbeat) -> Result<State, Failure> {
        let authorization = &errand.grant.authorization;
        match &errand.state {
            State::Granted if carry::contributed(&self.writer, authorization, self.writer.address()).await? => {
                Ok(State::Done { transaction: None })
            }
            State::Granted => {
                let facts = self.facts(errand, known).await?;
                self.fetch(errand.task(), facts).await?;
                Ok(State::Fetched)
            }
            State::Fetched => {
                let facts = self.facts(errand, known).await?;
                let finished = self.run(errand, facts, heartbeat).await?;
                carry::check(&finished, &errand.grant, facts, &self.archive(errand.task()))?;
                Ok(State::Ran { contribution: finished.contribution, archive: finished.archive })
            }
            State::Ran { contribution, archive } => {
                let link = self.upload(errand, known, archive.as_ref()).await?;
                Ok(State::Uploaded { contribution: contribution.clone(), link })
            }
            State::Uploaded { contribution, link } => {
                Ok(State::Contributing { contribution: contribution.clone(), link: link.clone() })
            }
            State::Contributing { contribution, link } => {
                let sent = carry::contribute(&self.writer, authorization, contribution, link).await?;
                let transaction = if let carry::Sent::Mined(transaction) = sent { Some(transaction) } else { None };
                Ok(State::Done { transaction })
            }
            State::Done { .. } | State::GaveUp { .. } => {
                Err(Failure::new(Cause::Unknown, "a finished errand has no next step"))
            }
        }
    }

    async fn facts<'a>(&self, errand: &Errand, known: &'a mut Option<Facts>) -> Result<&'a Facts, Failure> {
        let facts = match known.take() {
            Some(facts) => facts,
            None => facts::read(self.writer.chain(), &errand.grant.authorization, self.writer.address()).await?,
        };
        Ok(known.insert(facts))
    }

    async fn fetch(&self, task: TaskId, facts: &Facts) -> Result<(), Failure> {
        let folder = self.fetched(task);
        store::empty_folder(&folder)
            .map_err(|error| Failure::new(Cause::TeePreparationFailed, format!("{error:#}")))?;
        self.images.obtain(&facts.app.multiaddr, facts.checksum()).await?;
        if let Some(dataset) = &facts.dataset {
            let checksum = iexec_protocol::id::Sha256(dataset.checksum);
            self.fetcher.dataset(&dataset.multiaddr, checksum, &folder.join("dataset")).await?;
        }
        self.fetcher.inputs(&facts.params.iexec_input_files, &folder).await
    }

    async fn upload(
        &self,
        errand: &Errand,
        known: &mut Option<Facts>,
        archive: Option<&ArchiveFile>,
    ) -> Result<ResultLink, Failure> {
        let Some(archive) = archive else {
            return Ok(ResultLink::Callback(self.facts(errand, known).await?.deal.callback));
        };
        let path = self.archive(errand.task());
        let (deadline, mut pause) = (Instant::now() + UPLOAD_PATIENCE, Duration::from_millis(200));
        let mut said = None;
        loop {
            let error = match carry::upload(&self.client, &errand.grant, &self.writer, archive, &path).await {
                Ok(link) => return Ok(link),
                Err(error) => error,
            };
            if !error.is_transient() || Instant::now() + pause > deadline {
                return Err(Failure::new(Cause::PostComputeIpfsUploadFailed, format!("the storage: {error}")));
            }
            // The same trouble is told once.
            if said.as_ref() != Some(&error) {
                tracing::warn!(task = %errand.task(), "the upload: {error}; tried again for {UPLOAD_PATIENCE:?}");
            }
            said = Some(error);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// Tells the scheduler of a finished errand until it takes the news; nothing to tell is `None`.
    async fn told(&self, errand: &Errand) -> Option<Outcome> {
        let (progress, outcome) = match &errand.state {
            State::Done { .. } => (Progress::Done, Outcome::Done),
            State::GaveUp { cause, message } => {
                (Progress::GaveUp { cause: *cause, message: message.clone() }, Outcome::GaveUp)
            }
            _ => return None,
        };
        let mut pause = Duration::from_millis(200);
        loop {
            match self.reporter.report(errand.task(), progress.clone()).await {
                Ok(_) => return Some(outcome),
                Err(error) if error.is_transient() => tracing::debug!("{error}; told again in {pause:?}"),
                Err(error) => {
                    tracing::warn!(task = %errand.task(), "the scheduler does not take the news: {error}");
                    // It knows already, or no longer cares: the chain tells it the rest.
                    if matches!(error, CallError::Refused { .. }) {
                        return Some(outcome);
                    }
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return Some(Outcome::Stopped),
                () = tokio::time::sleep(pause) => (),
            }
            pause = (pause * 2).min(Duration::from_secs(10));
        }
    }

    async fn remove_container(&self, task: TaskId) {
        if let Err(error) = self.runner.remove(task).await {
            tracing::error!(%task, "its container is not removed: {error}");
        }
    }

    fn count(&self, outcome: Outcome) {
        let name = match outcome {
            Outcome::Done => "done",
            Outcome::GaveUp => "gave_up",
            Outcome::Aborted => "aborted",
            Outcome::Stopped => "stopped",
        };
        self.metrics.counter("iexec_worker_tasks_total", "Tasks ended, by outcome.", &[("outcome", name)]).increment();
    }

    fn fetched(&self, task: TaskId) -> std::path::PathBuf {
        self.store.work(task).join("fetched")
    }

    fn archive(&self, task: TaskId) -> std::path::PathBuf {
        self.store.work(task).join("archive").join(ARCHIVE_NAME)
    }
}

/// How long a storage that is away is tried again.
const UPLOAD_PATIENCE: Duration = Duration::from_mins(10);
