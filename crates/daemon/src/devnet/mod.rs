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

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
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
    #[arg(long, env = "IEXEC_DEVNET_DATA", default_value = ".devnet")]
    data: PathBuf,
    /// Folder with anvil and the contracts (`cargo xtask setup` fills it)
    #[arg(long, env = "IEXEC_DEVNET_TOOLS", default_value = "devnet")]
    tools: PathBuf,
    /// The statically linked enclave program
    #[arg(long, env = "IEXEC_ENCLAVE", default_value = "target/devnet/iexec-enclave")]
    enclave: PathBuf,
    /// Folder under which apps' local OCI layouts may lie
    #[arg(long, default_value = "target/devnet/images")]
    images: PathBuf,
    /// How the worker runs containers
    #[arg(long, value_enum, default_value_t = crate::worker::Engine::Runc)]
    engine: crate::worker::Engine,
    /// The OCI runtime's program; runc or crun of the path if absent
    #[arg(long)]
    runtime: Option<PathBuf>,
    /// Added to every default port
    #[arg(long, default_value_t = 0)]
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
    let flags = Flags { data: absolute(&flags.data)?, ..flags };
    let stop = iexec_service::serve::stop_on_signal()?;
    let _lock = lock(&flags.data)?;
    let ports = Ports::with_offset(flags.port_offset)?;
    ports.check_free()?;
    let tools = Toolchain::locate(&flags.tools)?;
    ensure!(
        flags.enclave.is_file(),
        "the enclave program {} is missing\nhint: `cargo xtask setup` builds it",
        flags.enclave.display()
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
        let pool = setup::workerpool(&chain).await?;
        let commands = commands::commands(flags, ports, pool)?;
        processes.start(commands, ports).await?;
        setup::publish_orders(&chain, ports, pool).await?;
        chain_files::write(&flags.data, ports)?;
        anyhow::Ok(pool)
    };
    let pool = tokio::select! {
        pool = ready => pool,
        () = stop.cancelled() => { processes.stop().await; return Ok(()) }
    };
    let result = match pool {
        Ok(pool) => {
            screen::show(flags, ports, pool)?;
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
