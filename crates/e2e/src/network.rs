//! A local network of the built binaries, as `iexecd devnet` starts it, on ports of its own.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{shell::Shell, workspace};

/// A running network; dropped, it is stopped and its processes are gone.
pub struct Network {
    child: Child,
    /// Its data folder.
    pub data: PathBuf,
    log: Arc<Mutex<String>>,
}

impl Network {
    /// Starts one with further `iexecd devnet` options on the data in `data`, and waits until it is ready.
    pub fn start(data: &Path, options: &[&str]) -> Result<Self> {
        Self::start_logging(data, options, "info")
    }

    /// The same, with the services' logs as `log` says, in the form of `RUST_LOG`.
    pub fn start_logging(data: &Path, options: &[&str], log: &str) -> Result<Self> {
        let mut child = Self::command(data, options)?
            .env("IEXECD_LOG", log)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start iexecd")?;
        let log = Arc::new(Mutex::new(String::new()));
        let (ready, waiting) = std::sync::mpsc::channel();
        let stdout = child.stdout.take().context("iexecd has no output")?;
        let stderr = child.stderr.take().context("iexecd has no log")?;
        collect(stdout, log.clone(), Some(ready));
        collect(stderr, log.clone(), None);
        let mut network = Self { child, data: data.to_owned(), log };
        let begun = Instant::now();
        while waiting.recv_timeout(Duration::from_millis(100)).is_err() {
            if let Some(status) = network.child.try_wait()? {
                bail!("the network ended with {status}:\n{}", network.log());
            }
            ensure!(
                begun.elapsed() < Duration::from_secs(90),
                "the network is not ready after 90 s:\n{}",
                network.log()
            );
        }
        Ok(network)
    }

    /// The command that starts a network, for tests that want to see it fail.
    pub fn command(data: &Path, options: &[&str]) -> Result<Command> {
        let offset = free_offset()?;
        let mut command = Command::new(workspace::program("iexecd"));
        command
            .arg("devnet")
            .args(["--data".as_ref(), data.as_os_str()])
            .args(["--tools".as_ref(), workspace::root().join("devnet").as_os_str()])
            .args(["--enclave".as_ref(), workspace::enclave().as_os_str()])
            .args(["--images".as_ref(), workspace::target().join("devnet/images").as_os_str()])
            .args(["--port-offset", &offset.to_string()])
            .args(options);
        Ok(command)
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        self.log.lock().map(|log| log.clone()).unwrap_or_default()
    }

    /// A shell in an empty folder with a wallet folder of its own, set up for this network.
    pub fn shell(&self, folder: &Path) -> Result<Shell> {
        fs::create_dir_all(folder)?;
        Shell::start(folder, &workspace::programs(), &self.variables(folder))
    }

    /// What a user sets to work on this network.
    pub fn variables(&self, folder: &Path) -> Vec<(String, String)> {
        let text = |path: PathBuf| path.display().to_string();
        vec![
            ("IEXEC_CHAIN_FILE".into(), text(self.data.join("chain.json"))),
            ("IEXEC_WALLET_PASSWORD".into(), "correct horse".into()),
            ("HOME".into(), text(folder.to_owned())),
            ("HELLO_WORLD".into(), text(workspace::hello_world())),
        ]
    }

    /// Port of a service, as the screen shows it.
    pub fn port(&self, service: &str) -> Result<u16> {
        let log = self.log();
        let line =
            log.lines().find(|line| line.trim_start().starts_with(service)).with_context(|| format!("no {service}"))?;
        line.rsplit(':').next().unwrap_or_default().parse().context("a malformed screen")
    }

    /// Process id of a service.
    pub fn pid(&self, service: &str) -> Result<u32> {
        let file = self.data.join("run").join(format!("{service}.pid"));
        fs::read_to_string(&file)
            .with_context(|| format!("no {}", file.display()))?
            .trim()
            .parse()
            .context("a malformed pid file")
    }

    /// `kill -9` of a service; the network starts it again.
    pub fn kill(&self, service: &str) -> Result<()> {
        self.signal(service, "-9")
    }

    /// Sends a service this signal (`-STOP`, `-CONT`, …).
    pub fn signal(&self, service: &str, signal: &str) -> Result<()> {
        let pid = self.pid(service)?.to_string();
        ensure!(Command::new("kill").args([signal, &pid]).status()?.success(), "no process {pid} of {service}");
        Ok(())
    }

    /// `kill -9` of the network's own process: the services have to notice by themselves.
    pub fn kill_all(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ctrl-C, and waits for the end.
    pub fn stop(mut self) -> Result<()> {
        self.interrupt()?;
        Ok(())
    }

    fn interrupt(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            Command::new("kill").args(["-INT", &self.child.id().to_string()]).status()?;
            self.child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Err(error) = self.interrupt() {
            eprintln!("the network did not stop: {error:#}");
        }
        if thread::panicking() {
            eprintln!("--- the network's log\n{}", self.log());
        }
    }
}

fn collect(
    stream: impl std::io::Read + Send + 'static,
    log: Arc<Mutex<String>>,
    ready: Option<std::sync::mpsc::Sender<()>>,
) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Ok(mut log) = log.lock() {
                log.push_str(&line);
                log.push('\n');
            }
            if let Some(ready) = ready.as_ref().filter(|_| line.contains("Ctrl-C stops it")) {
                // Nobody waits any more when it says so twice.
                let _ = ready.send(());
            }
        }
    });
}

/// An offset at which the ports of all services are free. Offsets that differ by less than a hundred never meet.
fn free_offset() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let taken = |offset: u16| {
        [3000, 8545, 13000, 13100, 13200, 13300, 13400]
            .iter()
            .any(|port| TcpListener::bind(("127.0.0.1", port + offset)).is_err())
    };
    let block = 1000 + u16::try_from(std::process::id() % 100).unwrap_or_default() * 100;
    let offsets = std::iter::repeat_with(|| block + NEXT.fetch_add(1, Ordering::Relaxed) % 100);
    offsets.take(100).find(|offset| !taken(*offset)).context("no free ports")
}
