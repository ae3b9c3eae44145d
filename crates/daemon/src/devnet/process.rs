//! The services' processes: started in order, watched, started again when they die, stopped together.
//!
//! Each child stops by itself when its standard input closes, so none outlives this process, however that ends.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use iexec_protocol::call::storage::GetVersion;
use iexec_service::client::Client;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use super::ports::{Ports, url};
use crate::report::note;

const READY_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(8);
/// A service that dies again within this time gets a longer pause each time.
const SHORT_LIFE: Duration = Duration::from_secs(5);
/// Bytes of a log that are looked through for an error.
const MOST_LOG: u64 = 1 << 20;

/// A service and how it is started.
pub(crate) struct ServiceCommand {
    pub(crate) name: &'static str,
    pub(crate) arguments: Vec<String>,
}

struct Service {
    command: ServiceCommand,
    child: Child,
    begun: Instant,
    pause: Duration,
    /// Bytes of its log that are of earlier lives.
    log_begin: u64,
}

/// All services of a network.
pub(crate) struct Processes {
    /// This program's file, found before it may be replaced by a newer one.
    program: PathBuf,
    logs: PathBuf,
    run: PathBuf,
    services: Vec<Service>,
}

impl Processes {
    /// None yet; logs and process ids go below `data`.
    pub(crate) fn new(data: &Path) -> Result<Self> {
        let (logs, run) = (data.join("logs"), data.join("run"));
        for folder in [&logs, &run] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        Ok(Self { program, logs, run, services: Vec::new() })
    }

    /// Starts them and waits until each answers.
    pub(crate) async fn start(&mut self, commands: Vec<ServiceCommand>, ports: &Ports) -> Result<()> {
        for command in commands {
            let log_begin = size(&self.log(command.name));
            let child = self.spawn(&command)?;
            let (begun, pause) = (Instant::now(), Duration::from_millis(100));
            self.services.push(Service { command, child, begun, pause, log_begin });
        }
        let client = Client::new()?;
        for index in 0..self.services.len() {
            self.wait_ready(index, ports, &client).await?;
        }
        Ok(())
    }

    /// Starts again what dies; ends only when the chain does.
    pub(crate) async fn watch(&mut self, chain_runs: impl Fn() -> bool) -> Result<()> {
        loop {
            for index in 0..self.services.len() {
                self.revive(index).await?;
            }
            if !chain_runs() {
                bail!(
                    "the chain (anvil) ended\nhint: its log is {}",
                    self.logs.with_file_name("chain").join("anvil.log").display()
                );
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks each to stop, the last started first, and ends what does not.
    pub(crate) async fn stop(&mut self) {
        for service in self.services.iter().rev() {
            if let Some(pid) = service.child.id().and_then(|id| i32::try_from(id).ok()) {
                // It may have ended by itself.
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
        }
        for service in &mut self.services {
            if timeout(STOP_LIMIT, service.child.wait()).await.is_err() {
                note(&format!("the {} does not stop and is ended", service.command.name));
                // Waited for again by the drop of the child.
                let _ = service.child.kill().await;
            }
            // Left over only if the folder was removed meanwhile.
            let _ = fs::remove_file(self.run.join(format!("{}.pid", service.command.name)));
        }
        self.services.clear();
    }

    async fn revive(&mut self, index: usize) -> Result<()> {
        let Some(status) = self.services[index].child.try_wait()? else { return Ok(()) };
        let log = self.log(self.services[index].command.name);
        let service = &mut self.services[index];
        let short = service.begun.elapsed() < SHORT_LIFE;
        service.pause =
            if short { (service.pause * 2).min(Duration::from_secs(10)) } else { Duration::from_millis(100) };
        // Of one that was killed, the log knows nothing.
        let why = status.code().map_or_else(String::new, |_| last_lines(&log, service.log_begin));
        let (name, pause) = (service.command.name, service.pause);
        note(&format!("the {name} ended ({status}){why}; it is started again in {:.1} s", pause.as_secs_f32()));
        sleep(pause).await;
        let log_begin = size(&log);
        let child = self.spawn(&self.services[index].command)?;
        let service = &mut self.services[index];
        (service.child, service.begun, service.log_begin) = (child, Instant::now(), log_begin);
        Ok(())
    }

    fn spawn(&self, command: &ServiceCommand) -> Result<Child> {
        let log = self.log(command.name);
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        let child = Command::new(&self.program)
            .arg(command.name)
            .args(&command.arguments)
            .arg("--stop-with-parent")
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start the {}", command.name))?;
        let pid = child.id().map(|id| id.to_string()).unwrap_or_default();
        fs::write(self.run.join(format!("{}.pid", command.name)), pid)?;
        Ok(child)
    }

    async fn wait_ready(&mut self, index: usize, ports: &Ports, client: &Client) -> Result<()> {
        let name = self.services[index].command.name;
        let Some(port) = ports.of(name) else { return Ok(()) };
        let begun = Instant::now();
        while client.send(&url(port), &GetVersion).await.is_err() {
            if let Some(status) = self.services[index].child.try_wait()? {
                let why = last_lines(&self.log(name), self.services[index].log_begin);
                bail!("the {name} does not start ({status}){why}");
            }
            if begun.elapsed() > READY_LIMIT {
                bail!("the {name} does not answer\nhint: its log is {}", self.log(name).display());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }
}

fn size(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |found| found.len())
}

/// The error, with its hint, that a service's log ends in since `begin`; else its last line.
fn last_lines(log: &Path, begin: u64) -> String {
    let mut text = String::new();
    let read = File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(begin))?;
        file.take(MOST_LOG).read_to_string(&mut text)
    });
    if read.is_err() {
        return String::new();
    }
    match text.rsplit_once("error: ") {
        Some((_, error)) => format!(": {}", error.trim()),
        None => text.lines().last().map_or_else(String::new, |line| format!("; its log ends: {line}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_error_of_this_life_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("sms.log");
        fs::write(&log, "error: of yesterday\n").unwrap();
        let begin = size(&log);
        assert_eq!(last_lines(&log, begin), "");
        fs::write(&log, "error: of yesterday\nINFO begin\nerror: disk full\nhint: make room\n").unwrap();
        assert_eq!(last_lines(&log, begin), ": disk full\nhint: make room");
        fs::write(&log, "error: of yesterday\nINFO begin\n").unwrap();
        assert_eq!(last_lines(&log, begin), "; its log ends: INFO begin");
    }
}
