//! A whole network on this machine: anvil with the `PoCo` contracts, and every service as a process of its own.
//!
//! One data folder holds everything; starting again on it continues where it stopped.

mod chain_files;
mod commands;
mod faucet;
mod ports;
mod process;
mod screen;
mod setup;
mod simulated_tee;

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Args;
use iexec_chain::{anvil::Anvil, toolchain::Toolchain};
use ports::Ports;
use tokio_util::sync::CancellationToken;

/// Flags of `iexecd devnet`.
#[derive(Args, Clone)]
#[command(
    args_override_self = true,
    after_help = "Example:\n  iexecd devnet --data ~/.local/share/iexec-devnet\n\nCtrl-C stops it; started again on the same data it goes on."
)]
pub(crate) struct Flags {
    /// Folder for everything that the network keeps
    #[arg(long, value_name = "FOLDER", env = "IEXEC_DEVNET_DATA", default_value = ".devnet")]
    data: PathBuf,
    /// Folder with anvil and the contracts, which `cargo xtask setup` fills [default: devnet of the project]
    #[arg(long, value_name = "FOLDER", env = "IEXEC_DEVNET_TOOLS")]
    tools: Option<PathBuf>,
    /// The statically linked enclave program [default: target/devnet/iexec-enclave of the project]
    #[arg(long, value_name = "FILE", env = "IEXEC_ENCLAVE")]
    enclave: Option<PathBuf>,
    /// The program that makes the simulated TEE's keys [default: iexec-simulated-tee beside this program]
    #[arg(long, value_name = "FILE", env = "IEXEC_SIMULATED_TEE_MAKER")]
    simulated_tee_maker: Option<PathBuf>,
    /// Folder under which apps' local OCI layouts may lie [default: target/devnet/images of the project]
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
    /// How the worker runs containers
    #[arg(long, value_name = "ENGINE", value_enum, default_value_t = crate::worker::Engine::Runc)]
    engine: crate::worker::Engine,
    /// The OCI runtime's program; runc or crun of the path if absent
    #[arg(long, value_name = "FILE")]
    runtime: Option<PathBuf>,
    /// Added to every default port
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    port_offset: u16,
    /// The SMS accepts no simulated evidence: on a machine without TEE hardware, no task will be computed
    #[arg(long)]
    without_simulated_tee: bool,
}

/// Runs the network until Ctrl-C.
pub(crate) fn run(flags: Flags) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(network(flags));
    runtime.shutdown_background();
    result
}

async fn network(flags: Flags) -> Result<()> {
    check_root()?;
    let flags = Flags { data: absolute(&flags.data)?, ..flags };
    let stop = iexec_service::serve::stop_on_signal()?;
    let _lock = lock(&flags.data)?;
    let ports = Ports::with_offset(flags.port_offset)?;
    ports.check_free()?;
    let tools =
        Toolchain::locate(&flags.tools()).map_err(|error| anyhow!("{error}, or name their folder with --tools"))?;
    ensure!(
        flags.enclave().is_file(),
        "the enclave program {} is missing\nhint: `cargo xtask setup` builds it, or name it with --enclave",
        flags.enclave().display()
    );
    let chain_data = flags.data.join("chain");
    let anvil = tokio::select! {
        anvil = Anvil::start(&tools, &chain_data, ports.chain) => anvil?,
        () = stop.cancelled() => return Ok(()),
    };
    let ended = services(&flags, &ports, &anvil, &stop).await;
    anvil.stop();
    ended
}

async fn services(flags: &Flags, ports: &Ports, anvil: &Anvil, stop: &CancellationToken) -> Result<()> {
    let chain = anvil.chain()?;
    let faucet = faucet::run(&chain, ports.faucet, stop.clone()).await?;
    let mut processes = process::Processes::new(&flags.data)?;
    let ready = async {
        let tee = simulated_tee::prepare(&flags.simulated_tee_maker()?, &flags.simulated_tee()).await?;
        let pool = setup::workerpool(&chain).await?;
        let commands = commands::commands(flags, ports, pool, &tee)?;
        processes.start(commands, ports).await?;
        setup::publish_orders(&chain, ports, pool).await?;
        chain_files::write(flags, ports)?;
        anyhow::Ok(pool)
    };
    let pool = tokio::select! {
        pool = ready => pool,
        () = stop.cancelled() => { processes.stop().await; return Ok(()) }
    };
    let result = match pool {
        Ok(pool) => {
            // A network whose screen nobody can see runs all the same.
            let _ = screen::show(flags, ports, pool);
            tokio::select! {
                result = processes.watch(|| anvil.is_running()) => result,
                result = faucet => result,
                () = stop.cancelled() => Ok(()),
            }
        }
        Err(error) => Err(error),
    };
    stop.cancel();
    processes.stop().await;
    result
}

impl Flags {
    fn tools(&self) -> PathBuf {
        self.tools.clone().unwrap_or_else(|| project().join("devnet"))
    }

    fn enclave(&self) -> PathBuf {
        self.enclave.clone().unwrap_or_else(|| project().join("target/devnet/iexec-enclave"))
    }

    fn simulated_tee_maker(&self) -> Result<PathBuf> {
        match &self.simulated_tee_maker {
            Some(program) => Ok(program.clone()),
            None => Ok(std::env::current_exe()
                .context("cannot find this program's own file")?
                .with_file_name(simulated_tee::PROGRAM)),
        }
    }

    /// Its keys, its root and its collateral.
    fn simulated_tee(&self) -> PathBuf {
        self.data.join("simulated-tee")
    }

    fn images(&self) -> PathBuf {
        self.images.clone().unwrap_or_else(|| project().join("target/devnet/images"))
    }
}

/// The project's folder: the working folder or one above it, else one above this program; known by its pinned tools.
fn project() -> PathBuf {
    let above = |path: PathBuf| path.ancestors().find(|at| at.join("devnet/poco.json").is_file()).map(Path::to_owned);
    let places = [std::env::current_dir(), std::env::current_exe()];
    places.into_iter().filter_map(Result::ok).find_map(above).unwrap_or_default()
}

/// Said before anything is started: the worker would say it last.
fn check_root() -> Result<()> {
    let user = nix::unistd::geteuid();
    ensure!(
        user.is_root(),
        "a local network's worker runs containers (runc or Docker), which needs root, and this is user {user}\nhint: start it as root, for example with sudo"
    );
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot make the data folder {}", path.display()))?;
    path.canonicalize().with_context(|| format!("cannot use the data folder {}", path.display()))
}

/// One network per data folder; the lock goes with the process, however it ends.
fn lock(data: &Path) -> Result<File> {
    let path = data.join("lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another network runs on {}\nhint: stop it, or choose another folder with --data", data.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}
