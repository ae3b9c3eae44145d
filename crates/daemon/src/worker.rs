//! `iexecd worker`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use iexec_service::{BoxFuture, CancellationToken};
use iexec_worker::{
    fetch::FetchRules,
    image::ImageRules,
    net::Reach,
    runner::Limits,
    {HEARTBEAT, MARGIN, POLL},
};

use crate::common::{self, Common, http_url};

/// Flags of the worker.
#[derive(Args, Clone)]
#[command(
    after_help = "Example:\n  iexecd worker --listen 127.0.0.1:13100 --data /var/lib/iexec-worker \\\n    --rpc https://… --chain-id 42161 --hub 0x… --scheduler https://… \\\n    --wallet /etc/iexec/worker.json --password-file /etc/iexec/worker.password \\\n    --enclave /usr/lib/iexec/iexec-enclave\n\nIt must run as root: only root can give a container its namespaces and limits."
)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The scheduler's URL
    #[arg(long, value_name = "URL", value_parser = http_url)]
    scheduler: String,
    /// The worker's own wallet: a keystore file, or a file with a private key
    #[arg(long, value_name = "FILE")]
    wallet: PathBuf,
    /// File with the keystore's password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The statically linked enclave program
    #[arg(long, value_name = "FILE")]
    enclave: PathBuf,
    /// IPFS gateway for datasets and input files
    #[arg(long, value_name = "URL", value_parser = http_url)]
    gateway: Option<String>,
    /// Folder in which local OCI layouts may lie (may be repeated)
    #[arg(long = "images", value_name = "FOLDER")]
    images: Vec<PathBuf>,
    /// Bytes of images kept for later tasks
    #[arg(long, default_value_t = ImageRules::default().cache_bytes)]
    image_cache: u64,
    /// How containers are run
    #[arg(long, value_name = "ENGINE", value_enum, default_value_t = Engine::Runc)]
    engine: Engine,
    /// The OCI runtime's program; runc or crun of the path if absent
    #[arg(long, value_name = "FILE")]
    runtime: Option<PathBuf>,
    /// Docker-compatible socket, as `unix:///var/run/docker.sock`
    #[arg(long, value_name = "SOCKET")]
    docker_socket: Option<String>,
    /// Key file of a simulated platform: local networks only
    #[arg(long, value_name = "FILE")]
    simulated_platform: Option<PathBuf>,
    /// Machines that inputs and registries may be on
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = ReachFlag::Public)]
    reach: ReachFlag,
    #[command(flatten)]
    limits: LimitFlags,
}

/// What a container may use.
#[derive(Args, Clone)]
struct LimitFlags {
    /// Bytes of memory for an app, its files in memory included
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().memory)]
    memory: u64,
    /// Thousandths of a processor for an app
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().millicpus)]
    millicpus: u64,
    /// Processes and threads of an app
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().pids)]
    pids: u32,
    /// Bytes of files in each of an app's folders
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().disk)]
    disk: u64,
    /// Run apps even where memory, processors and processes cannot be limited
    #[arg(long)]
    unsafe_no_limits: bool,
}

/// What runs containers.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Engine {
    /// runc or crun, without a daemon
    Runc,
    /// A Docker-compatible socket
    Docker,
}

/// Where a requester's URLs may lead.
#[derive(Clone, Copy, ValueEnum)]
enum ReachFlag {
    /// Public addresses only
    Public,
    /// This machine's own addresses, too: local networks
    Loopback,
    /// Private networks, too
    Anywhere,
}

impl ReachFlag {
    const fn rule(self) -> Reach {
        match self {
            Self::Public => Reach::Public,
            Self::Loopback => Reach::Loopback,
            Self::Anywhere => Reach::Anywhere,
        }
    }
}

impl Engine {
    /// The flag's value.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Docker => "docker",
        }
    }
}

/// Runs it.
pub(crate) fn run(flags: Flags, stop: CancellationToken) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move { iexec_worker::run(config(flags).await?, stop).await })
}

async fn config(flags: Flags) -> Result<iexec_worker::Config> {
    let gateway = flags.gateway.as_deref().map(str::parse).transpose().context("--gateway is not a URL")?;
    if let Some(platform) = &flags.simulated_platform {
        anyhow::ensure!(platform.is_file(), "--simulated-platform: there is no file {}", platform.display());
    }
    let limits = &flags.limits;
    Ok(iexec_worker::Config {
        listen: flags.common.listen(),
        chain: flags.common.chain().await?,
        wallet: common::wallet(&flags.wallet, flags.password_file.as_deref())?,
        data: flags.common.data,
        scheduler: flags.scheduler,
        enclave: flags.enclave,
        simulated_platform: flags.simulated_platform,
        engine: match flags.engine {
            Engine::Runc => iexec_worker::Engine::Runc { program: flags.runtime },
            Engine::Docker => iexec_worker::Engine::Docker { socket: flags.docker_socket },
        },
        limits: Limits {
            memory: limits.memory,
            millicpus: limits.millicpus,
            pids: limits.pids,
            disk: limits.disk,
            unsafe_no_limits: limits.unsafe_no_limits,
        },
        images: ImageRules { layouts: flags.images, cache_bytes: flags.image_cache, ..ImageRules::default() },
        fetch: FetchRules { gateway, reach: flags.reach.rule(), ..FetchRules::default() },
        poll: POLL,
        heartbeat: HEARTBEAT,
        margin: MARGIN,
    })
}
