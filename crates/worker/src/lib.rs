//! The worker: asks for a task, runs the app with the enclave, carries the archive, contributes.
//!
//! Nothing here is trusted by anybody: the SMS believes the enclave's evidence, the chain the enclave's signature, and
//! what passes through is sealed. What it guards is its own machine, against the apps that it runs.

pub mod carry;
pub mod errand;
pub mod facts;
pub mod failure;
pub mod fetch;
pub mod heartbeat;
pub mod image;
mod install;
mod journey;
pub mod net;
pub mod pipe;
pub mod runner;
pub mod session;

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use iexec_chain::{Chain, Wallet};
use iexec_protocol::call::CallError;
use iexec_protocol::call::scheduler::{AskGrant, Grant, WorkerHeader};
use iexec_service::{BoxFuture, CancellationToken, Check, Client, Listen, Listener, Metrics, Options, clock};
use tokio::time::Instant;

use crate::{
    errand::{Errand, store::ErrandStore},
    fetch::{FetchRules, Fetcher},
    heartbeat::Reporter,
    image::{ImageRules, Images},
    journey::{Outcome, Worker},
    net::Net,
    runner::{Limits, Runner, docker::Docker, runc::Runc},
};

/// A worker's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where `/health`, `/version` and `/metrics` are served.
    pub listen: Listen,
    /// Everything that it keeps; 0700, one worker's alone.
    pub data: PathBuf,
    /// The chain.
    pub chain: Chain,
    /// The worker's own account: signs its requests, pays for its contributions.
    pub wallet: Wallet,
    /// The scheduler's origin.
    pub scheduler: String,
    /// The statically linked `iexec-enclave`.
    pub enclave: PathBuf,
    /// The simulated platform's key file; only for a local network.
    pub simulated_platform: Option<PathBuf>,
    /// What runs containers.
    pub engine: Engine,
    /// What a container may use.
    pub limits: Limits,
    /// Where images may come from.
    pub images: ImageRules,
    /// Where datasets and input files may come from.
    pub fetch: FetchRules,
    /// Pause between two questions for a task.
    pub poll: Duration,
    /// Pause between two reports about a task.
    pub heartbeat: Duration,
    /// Time beyond the category's that a container has for all that is not the app.
    pub margin: Duration,
}

/// What runs containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// runc or crun; the first in PATH unless a program is named.
    Runc {
        /// The program.
        program: Option<PathBuf>,
    },
    /// A Docker-compatible socket, `/var/run/docker.sock` unless another is named.
    Docker {
        /// `unix:///…`.
        socket: Option<String>,
    },
}

/// Default pause between two questions for a task.
pub const POLL: Duration = Duration::from_millis(300);
/// Default pause between two reports.
pub const HEARTBEAT: Duration = Duration::from_secs(3);
/// Default time beyond the category's.
pub const MARGIN: Duration = Duration::from_mins(1);

/// Works until `stop`. An errand under way is stored and goes on at the next start.
pub fn run(mut config: Config, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move {
        let listener = Listener::bind(config.listen.clone()).await?;
        let metrics = Metrics::default();
        errand::store::private_folder(&config.data)?;
        // Mounts need whole paths.
        config.data = config.data.canonicalize().with_context(|| config.data.display().to_string())?;
        let _lock = install::lock(&config.data)?;
        let worker = set_up(&config, metrics.clone(), stop.clone()).await?;
        let checks = vec![Check::answers("chain", config.chain.clone(), Chain::block_number)];
        let options = Options { metrics, checks, ..Options::default() };
        let serving = iexec_service::serve(listener, axum::Router::new(), options, stop.clone());
        let working = async {
            let result = work(&worker, &config, &stop).await;
            stop.cancel();
            result
        };
        let (service, errands) = tokio::join!(serving, working);
        errands.and(service)
    })
}

async fn set_up(config: &Config, metrics: Metrics, stop: CancellationToken) -> anyhow::Result<Worker> {
    let runner = runner_of(config)?;
    let engine = runner.check().await?;
    let left = runner.remove_all().await?;
    if left > 0 {
        tracing::info!("removed {left} containers that an earlier run left behind");
    }
    let (enclave, measurement) = install::enclave(&config.enclave, &config.data)?;
    let tee =
        if config.simulated_platform.is_some() { "simulated (no hardware vouches for anything)" } else { "hardware" };
    tracing::info!(worker = %config.wallet.address(), %measurement, "{engine}; TEE: {tee}");
    let platform = if config.simulated_platform.is_some() { "simulated" } else { "hardware" };
    metrics.gauge("iexec_worker_tee", "1 for the TEE that this worker uses.", &[("tee", platform)]).set(1);
    let images = Images::new(config.data.join("images"), config.images.clone(), Net::new(config.fetch.reach)?);
    images.tidy()?;
    let client = Client::new()?;
    let reporter =
        Reporter { client: client.clone(), scheduler: config.scheduler.clone(), wallet: config.wallet.clone() };
    Ok(Worker {
        reporter,
        client,
        writer: config.chain.with_wallet(config.wallet.clone()),
        store: ErrandStore::open(config.data.join("errands"))?,
        images,
        fetcher: Fetcher::new(config.fetch.clone())?,
        runner,
        enclave,
        simulated_platform: config.simulated_platform.as_ref().map(std::path::absolute).transpose()?,
        limits: config.limits,
        heartbeat: config.heartbeat,
        margin: config.margin,
        metrics,
        stop,
    })
}

fn runner_of(config: &Config) -> anyhow::Result<Box<dyn Runner>> {
    let unlimited = config.limits.unsafe_no_limits;
    let owner = config.wallet.address().to_string();
    Ok(match &config.engine {
        Engine::Runc { program } => Box::new(Runc::new(program.clone(), config.data.join("runc"), unlimited)?),
        Engine::Docker { socket } => Box::new(Docker::new(socket.as_deref(), owner, unlimited)?),
    })
}

async fn work(worker: &Worker, config: &Config, stop: &CancellationToken) -> anyhow::Result<()> {
    for errand in worker.store.load()? {
        tracing::info!(task = %errand.task(), "goes on at {}", errand.state.status());
        worker.travel(errand).await?;
    }
    let busy = worker.metrics.gauge("iexec_worker_busy", "1 while a task is worked on.", &[]);
    let mut complaint = Complaint::default();
    while !stop.is_cancelled() {
        let pause = match ask(config, worker).await {
            Ok(None) => config.poll,
            Ok(Some(grant)) => {
                busy.set(1);
                let outcome = worker.travel(Errand::new(grant)).await?;
                busy.set(0);
                if outcome == Outcome::Done { config.poll } else { AFTER_FAILURE }
            }
            Err(error) => {
                complaint.about(&error);
                config.poll.max(Duration::from_secs(1))
            }
        };
        // A stop ends the pause.
        let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
    Ok(())
}

/// Pause after a task that was not done: it may be granted again at once, and what failed may pass.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

async fn ask(config: &Config, worker: &Worker) -> Result<Option<Grant>, CallError> {
    let header = WorkerHeader::sign(config.wallet.key(), clock::now(), AskGrant::PATH, b"");
    let header = header.map_err(|error| CallError::Request(error.to_string()))?;
    worker.client.send(&config.scheduler, &AskGrant { header }).await
}

/// The same trouble is told once a minute, not at every poll.
#[derive(Default)]
struct Complaint(Option<(String, Instant)>);

impl Complaint {
    fn about(&mut self, error: &CallError) {
        let (text, now) = (error.to_string(), Instant::now());
        let told = self.0.as_ref().is_some_and(|(said, at)| *said == text && now < *at + Duration::from_mins(1));
        if !told {
            tracing::warn!("the scheduler: {text}");
            self.0 = Some((text, now));
        }
    }
}
