//! One run of the enclave: its container started, the session carried to it, its last word awaited. Whatever happens,
//! the container is gone afterwards.

use std::time::Duration;

use iexec_protocol::{
    call::sms::SessionOffer,
    cause::Cause,
    session::{Finished, FromEnclave, Stage, ToEnclave},
};
use tokio::time::Instant;

use super::Worker;
use crate::{
    errand::{Errand, store},
    facts::Facts,
    failure::Failure,
    heartbeat::Heartbeat,
    pipe::{self, Pipe, PipeFault},
    runner::{Container, Mounts, RunFault, Running},
    session,
};

/// Time for the enclave to start and show its evidence.
const EVIDENCE_TIME: Duration = Duration::from_mins(1);
/// Frames that an enclave may send after its session: three stages and the last word, with room.
const MAX_FRAMES: usize = 16;

impl Worker {
    /// Runs the enclave in the app's image.
    pub(super) async fn run(&self, errand: &Errand, facts: &Facts, heartbeat: &Heartbeat) -> Result<Finished, Failure> {
        let image = self.images.obtain(&facts.app.multiaddr, facts.checksum()).await?;
        let folder = self.store.work(errand.task());
        let container = Container {
            task: errand.task(),
            folder: folder.join("container"),
            mounts: Mounts {
                enclave: self.enclave.clone(),
                fetched: self.fetched(errand.task()),
                archive: folder.join("archive"),
                simulated_platform: self.simulated_platform.clone(),
            },
            limits: self.limits,
        };
        store::empty_folder(&container.mounts.archive)
            .map_err(|error| Failure::new(Cause::TeePreparationFailed, format!("{error:#}")))?;
        self.runner.prepare(&image).await?;
        let authorization = &errand.grant.authorization;
        let start = async { Ok(self.runner.start(&container, &image).await?) };
        let wallet = self.writer.wallet();
        let open = session::open(&self.client, &errand.grant.sms_url, authorization, wallet, &self.stop);
        let ran = match tokio::join!(start, open) {
            (Ok(running), Ok(offer)) => self.talk(errand, facts, running, &offer, heartbeat).await,
            (Err(failure), _) | (_, Err(failure)) => Err(failure),
        };
        self.remove_container(errand.task()).await;
        ran
    }

    async fn talk(
        &self,
        errand: &Errand,
        facts: &Facts,
        running: Running,
        offer: &SessionOffer,
        heartbeat: &Heartbeat,
    ) -> Result<Finished, Failure> {
        let task = errand.task();
        let deadline = Instant::now() + self.time_limit(facts);
        let Running { stdin, stdout, stderr, ended } = running;
        let log = tokio::spawn(pipe::log(stderr, task));
        let mut dialogue = Talk { pipe: Pipe::new(stdin, stdout), stage: None };
        let told = async {
            let evidence = dialogue.evidence(ToEnclave::Begin { task, nonce: offer.nonce }).await?;
            let sealed = session::attest(&self.client, offer, evidence, &self.stop).await?;
            dialogue.pipe.send(&ToEnclave::Session(sealed)).await.map_err(|fault| dialogue.failure(&fault))?;
            dialogue.last_word(deadline, heartbeat).await
        };
        let told = told.await;
        // A container that broke off says by its exit code more than by its silence.
        let exit = match &told {
            Err(failure) if failure.message.contains(BROKE_OFF) => exit_code(ended).await,
            _ => None,
        };
        log.abort();
        told.map_err(|failure| match exit {
            Some(code) => Failure::new(failure.cause, format!("{} ({})", failure.message, exit_words(code))),
            None => failure,
        })
    }

    /// The category's time and a margin, and never beyond the last moment of contributions.
    fn time_limit(&self, facts: &Facts) -> Duration {
        let category = Duration::from_secs(facts.task.time_reference) + self.margin;
        category.min(Duration::from_secs(facts.seconds_left.max(1)))
    }
}

struct Talk {
    pipe: Pipe,
    stage: Option<Stage>,
}

impl Talk {
    async fn evidence(&mut self, begin: ToEnclave) -> Result<iexec_protocol::evidence::Evidence, Failure> {
        self.pipe.send(&begin).await.map_err(|fault| self.failure(&fault))?;
        match self.pipe.receive(EVIDENCE_TIME).await.map_err(|fault| self.failure(&fault))? {
            FromEnclave::Evidence(evidence) => Ok(evidence),
            FromEnclave::Failed { cause, message } => Err(Failure::new(cause, message)),
            _ => Err(Failure::new(Cause::TeePreparationFailed, "the enclave must show its evidence first")),
        }
    }

    async fn last_word(&mut self, deadline: Instant, heartbeat: &Heartbeat) -> Result<Finished, Failure> {
        for _ in 0..MAX_FRAMES {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.pipe.receive(left).await.map_err(|fault| self.failure(&fault))? {
                FromEnclave::Finished(finished) => return Ok(*finished),
                FromEnclave::Failed { cause, message } => return Err(Failure::new(cause, message)),
                FromEnclave::Stage { stage } => {
                    heartbeat.set(status(stage));
                    self.stage = Some(stage);
                }
                FromEnclave::Evidence(_) => break,
            }
        }
        Err(Failure::new(Cause::PostComputeFailedUnknownIssue, "the enclave does not keep to its protocol"))
    }

    /// Who is to blame depends on how far the enclave was.
    fn failure(&self, fault: &PipeFault) -> Failure {
        let cause = match (fault, self.stage) {
            (PipeFault::Silent { .. }, Some(Stage::App)) => Cause::AppComputeTimeout,
            (PipeFault::Silent { .. }, Some(Stage::PostCompute)) => Cause::PostComputeTimeout,
            (_, Some(Stage::App)) => Cause::AppComputeFailed,
            (_, Some(Stage::PostCompute)) => Cause::PostComputeFailedUnknownIssue,
            (_, Some(Stage::PreCompute)) => Cause::PreComputeFailedUnknownIssue,
            (_, None) => Cause::TeePreparationFailed,
        };
        Failure::new(cause, fault)
    }
}

const fn status(stage: Stage) -> &'static str {
    match stage {
        Stage::PreCompute => "DATA_DOWNLOADED",
        Stage::App => "COMPUTING",
        Stage::PostCompute => "COMPUTED",
    }
}

/// In the text of [`PipeFault::Closed`].
const BROKE_OFF: &str = "without a last word";

async fn exit_code(ended: futures_util::future::BoxFuture<'static, Result<i64, RunFault>>) -> Option<i64> {
    tokio::time::timeout(Duration::from_secs(5), ended).await.ok()?.ok()
}

fn exit_words(code: i64) -> String {
    match code {
        137 => "killed: most likely it passed its memory limit".to_owned(),
        159 => "killed for a forbidden system call".to_owned(),
        code => format!("exit code {code}"),
    }
}
