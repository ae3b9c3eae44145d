//! A running anvil: the real node that a local network has for a chain.
//!
//! It never outlives its owner. One thread starts it, watches it and stops it: SIGTERM lets anvil write its state. On
//! Linux the kernel sends the same signal when this process dies in whatever way (`PR_SET_PDEATHSIG`, set by util-linux'
//! setpriv, which needs no unsafe code here; the signal belongs to the starting thread, so that thread lives as long).

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::client::{Answer, Chain};
use crate::deploy::{self, Addresses, DeployError, Plan};
use crate::devnet::{BLOCK_SECONDS, CHAIN_ID, DevAccount, HUB, RLC};
use crate::error::ChainError;
use crate::toolchain::Toolchain;
use crate::wallet::WalletError;

mod state;
pub use state::STATE_FILE;
use state::{DUMP_FILE, adopt, save_if_settled};

/// A dump holds every block, 1.7 kB each when empty: after a day it is 150 MB, too much to write more often.
const SAVE_SECONDS: u64 = 60;
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Writing a large state takes a while.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// anvil logs every call: enough to see how it began.
const MAX_LOG: usize = 4 << 20;
const WATCH: Duration = Duration::from_millis(50);

/// How blocks are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mining {
    /// One block a transaction, at once.
    AtOnce,
    /// One block a second, as a local network does.
    EverySecond,
}

/// A node of a chain that is answering.
#[derive(Debug)]
pub struct Anvil {
    port: u16,
    /// Dropped to ask for the end; nothing is ever sent.
    alive: Option<mpsc::Sender<Never>>,
    guard: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Never {}

/// What to start.
#[derive(Debug, Clone)]
struct Settings {
    binary: PathBuf,
    /// 0: any that is free.
    port: u16,
    mining: Mining,
    /// The state to begin with.
    load: Option<PathBuf>,
    /// Where the state is kept.
    keep: Option<PathBuf>,
    log: Option<PathBuf>,
}

impl Anvil {
    /// The local network's node on `port`, keeping its state in `dir`; a first start begins with the contracts deployed.
    /// Returns when it answers.
    pub fn start<'a>(tools: &'a Toolchain, dir: &'a Path, port: u16) -> Answer<'a, Self, AnvilError> {
        Box::pin(async move {
            std::fs::create_dir_all(dir).map_err(|cause| io(dir, cause))?;
            adopt(dir)?;
            let kept = dir.join(STATE_FILE);
            let load = if kept.exists() { kept } else { prepared_state(tools).await? };
            let (mining, log) = (Mining::EverySecond, Some(dir.join("anvil.log")));
            let settings = Settings {
                binary: tools.anvil.clone(),
                port,
                mining,
                load: Some(load),
                keep: Some(dir.to_owned()),
                log,
            };
            Self::launch(settings).await
        })
    }

    /// A node for a test: any free port, blocks as asked, the contracts deployed, nothing kept.
    pub fn ephemeral(tools: &Toolchain, mining: Mining) -> Answer<'_, Self, AnvilError> {
        Box::pin(async move {
            let load = Some(prepared_state(tools).await?);
            Self::launch(Settings { binary: tools.anvil.clone(), port: 0, mining, load, keep: None, log: None }).await
        })
    }

    /// The JSON-RPC endpoint.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The local network's chain.
    pub fn chain(&self) -> Result<Chain, ChainError> {
        Chain::new(&self.url(), CHAIN_ID, HUB)
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| !guard.is_finished())
    }

    /// Stops it and returns once its state is saved and its process gone. Dropping does the same.
    pub fn stop(self) {}

    async fn launch(settings: Settings) -> Result<Self, AnvilError> {
        let port = settings.port;
        // Asked first for a clear answer; the node's own "Listening on" is what counts.
        if port != 0 && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
            return Err(AnvilError::PortInUse { port });
        }
        let (alive, stop) = mpsc::channel();
        let (report, started) = tokio::sync::oneshot::channel();
        let binary = settings.binary.clone();
        let guard = std::thread::Builder::new()
            .name("anvil".into())
            .spawn(move || guard(&settings, report, &stop))
            .map_err(|cause| io(&binary, cause))?;
        let mut anvil = Self { port, alive: Some(alive), guard: Some(guard) };
        match tokio::time::timeout(START_TIMEOUT, started).await {
            Ok(Ok(Started::Listening(port))) => anvil.port = port,
            Ok(Ok(Started::Not(cause))) => return Err(io(&binary, cause)),
            Ok(Err(_)) => return Err(AnvilError::Exited { port }),
            Err(_) => return Err(AnvilError::Silent { port, seconds: START_TIMEOUT.as_secs() }),
        }
        anvil.chain()?.block_number().await?;
        Ok(anvil)
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(guard) = self.guard.take() {
            // A panic of the guard has been reported on its own thread.
            let _ = guard.join();
        }
    }
}

/// The state with the contracts deployed, made on first use (about a second) and kept beside the pinned packages.
pub fn prepared_state(tools: &Toolchain) -> Answer<'_, PathBuf, AnvilError> {
    Box::pin(async move {
        if tools.state.exists() {
            return Ok(tools.state.clone());
        }
        let parent = tools.state.parent().unwrap_or_else(|| Path::new("."));
        let dir = tempfile::tempdir_in(parent).map_err(|cause| io(parent, cause))?;
        let deployer = DevAccount::Deployer.wallet()?;
        let plan = Plan::new(tools, deployer.address())?;
        let (binary, keep) = (tools.anvil.clone(), Some(dir.path().to_owned()));
        let settings = Settings { binary, port: 0, mining: Mining::AtOnce, load: None, keep, log: None };
        let anvil = Anvil::launch(settings).await?;
        let found = deploy::deploy(&anvil.chain()?, plan, &deployer).await?;
        anvil.stop();
        let expected = Addresses { hub: HUB, rlc: RLC };
        if found != expected {
            return Err(AnvilError::Addresses { found, expected });
        }
        let state = dir.path().join(STATE_FILE);
        readable(&state).map_err(|cause| io(&state, cause))?;
        std::fs::rename(&state, &tools.state).map_err(|cause| io(&state, cause))?;
        Ok(tools.state.clone())
    })
}

/// What every network begins with is no secret: other users of the machine may start one, too.
fn readable(state: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    std::fs::set_permissions(state, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    Ok(())
}

/// What the guard tells about the start.
#[derive(Debug)]
enum Started {
    Listening(u16),
    Not(std::io::Error),
}

type Report = tokio::sync::oneshot::Sender<Started>;

/// Runs on its own thread from start to end of the process.
fn guard(settings: &Settings, report: Report, stop: &mpsc::Receiver<Never>) {
    let log = settings.log.as_ref().map(std::fs::File::create).transpose();
    let started = log.and_then(|log| {
        let mut command = command(settings);
        if let Some(log) = &log {
            // Why it does not start is said there.
            command.stderr(log.try_clone()?);
        }
        Ok((log, command.spawn()?))
    });
    let (log, mut child) = match started {
        Ok(started) => started,
        Err(cause) => return drop(report.send(Started::Not(cause))),
    };
    if let Some(output) = child.stdout.take() {
        std::thread::spawn(move || follow(output, log, report));
    }
    let mut saved = None;
    loop {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            break;
        }
        if stop.recv_timeout(WATCH) != Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = end(&mut child);
            break;
        }
        if let Some(dir) = &settings.keep {
            save_if_settled(dir, &mut saved);
        }
    }
    if let Some(dir) = &settings.keep {
        // What cannot be adopted now is adopted by the next start, or named by it.
        let _ = adopt(dir);
    }
}

/// Reads the node's output to its end: the line that names the port, and the log.
fn follow(output: ChildStdout, mut log: Option<std::fs::File>, report: Report) {
    let (mut report, mut written) = (Some(report), 0);
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Some(port) = line.strip_prefix("Listening on 127.0.0.1:").and_then(|port| port.trim().parse().ok())
            && let Some(report) = report.take()
        {
            // Nobody waits any more when the start was given up.
            let _ = report.send(Started::Listening(port));
        }
        written += line.len();
        if let Some(file) = log.as_mut().filter(|_| written < MAX_LOG) {
            let _ = writeln!(file, "{line}");
        }
    }
}

fn command(settings: &Settings) -> Command {
    let mut command = mortal(&settings.binary);
    command.args(["--host", "127.0.0.1", "--port", &settings.port.to_string(), "--chain-id", &CHAIN_ID.to_string()]);
    // One block may hold any number of deals, and no state is kept for past blocks (else gigabytes on disk).
    command.args(["--gas-limit", "3000000000", "--prune-history"]);
    if settings.mining == Mining::EverySecond {
        command.args(["--block-time", &BLOCK_SECONDS.to_string()]);
    }
    if let Some(state) = &settings.load {
        command.arg("--load-state").arg(state);
    }
    if let Some(dir) = &settings.keep {
        command.arg("--dump-state").arg(dir.join(DUMP_FILE)).args(["--state-interval", &SAVE_SECONDS.to_string()]);
    }
    command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped());
    // A terminal's Ctrl-C is for the owner, who stops services in their order.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// The command that runs `binary`, to be ended by the kernel when its parent dies.
fn mortal(binary: &Path) -> Command {
    let setpriv = ["/usr/bin/setpriv", "/bin/setpriv"].into_iter().find(|path| Path::new(path).is_file());
    match setpriv {
        Some(setpriv) if cfg!(target_os = "linux") => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "TERM", "--"]).arg(binary);
            command
        }
        _ => Command::new(binary),
    }
}

fn end(child: &mut Child) -> std::io::Result<ExitStatus> {
    terminate(child)?;
    let begun = Instant::now();
    while begun.elapsed() < STOP_TIMEOUT {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()
}

#[cfg(unix)]
fn terminate(child: &Child) -> std::io::Result<()> {
    let pid = i32::try_from(child.id()).map_err(std::io::Error::other)?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)?;
    Ok(())
}

#[cfg(not(unix))]
fn terminate(child: &mut Child) -> std::io::Result<()> {
    child.kill()
}

fn io(path: &Path, cause: std::io::Error) -> AnvilError {
    AnvilError::Io { path: path.to_owned(), cause }
}

/// Why there is no local chain.
#[derive(Debug, thiserror::Error)]
pub enum AnvilError {
    /// Somebody else listens there.
    #[error("port {port} on 127.0.0.1 is in use; hint: stop what listens there or choose another port")]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// It ended instead of answering.
    #[error("anvil on port {port} ended by itself; hint: see anvil.log in the data directory")]
    Exited {
        /// The port.
        port: u16,
    },
    /// It runs and does not say where.
    #[error("anvil on port {port} is not ready after {seconds} s")]
    Silent {
        /// The port.
        port: u16,
        /// How long was waited.
        seconds: u64,
    },
    /// A file could not be read, written or run.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The bytecode is not the pinned one.
    #[error("the contracts came to be at {found:?}, expected {expected:?}")]
    Addresses {
        /// Where they are.
        found: Addresses,
        /// Where [`crate::devnet`] says they are.
        expected: Addresses,
    },
    /// The contracts could not be read.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The chain said no.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A development key was not accepted.
    #[error(transparent)]
    Wallet(#[from] WalletError),
}
