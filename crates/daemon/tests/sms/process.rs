//! An `iexecd sms` that can be killed and started again on its port, with all that it ever printed.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader, Read},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use iexec_chain::devnet::{CHAIN_ID, HUB};
use iexec_service::CancellationToken;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::common::{Service, config};

/// Longest wait for a start.
const PATIENCE: Duration = Duration::from_mins(1);

/// A file that only its owner reads.
pub fn private(path: &Path, text: &str) -> PathBuf {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_owned()
}

/// The program with these arguments.
pub fn iexecd<I: IntoIterator<Item = S>, S: Into<OsString>>(arguments: I) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iexecd"));
    command.args(arguments.into_iter().map(Into::into)).stdin(Stdio::null());
    command
}

pub struct Sms {
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    child: Child,
    /// For what takes a service: its origin is this one's.
    pub service: Service,
    /// Standard output and error of all its lives.
    pub printed: Arc<Mutex<Vec<u8>>>,
}

impl Sms {
    /// Starts it before the chain at `rpc`, believing in the simulated machine of `folder`; `store` says where its
    /// store is, `more` what else.
    pub fn start(folder: &TempDir, rpc: &str, store: &[OsString], more: &[&str]) -> Self {
        Self::start_in(folder, rpc, store, more, Vec::new())
    }

    /// The same, with these variables.
    pub fn start_in(
        folder: &TempDir,
        rpc: &str,
        store: &[OsString],
        more: &[&str],
        environment: Vec<(&'static str, OsString)>,
    ) -> Self {
        let settings = config(rpc, folder);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let origin = format!("http://127.0.0.1:{port}");
        let mut arguments: Vec<OsString> = vec!["sms".into()];
        for (flag, value) in [
            ("--listen", format!("127.0.0.1:{port}").into()),
            ("--url", OsString::from(&origin)),
            ("--rpc", rpc.into()),
            ("--chain-id", CHAIN_ID.to_string().into()),
            ("--hub", HUB.to_string().into()),
            ("--policy", settings.policy.unwrap().into()),
            ("--insecure-simulated-tee", settings.insecure_simulated_tee.unwrap().into()),
        ] {
            arguments.extend([flag.into(), value]);
        }
        arguments.extend_from_slice(store);
        arguments.extend(more.iter().map(OsString::from));
        let printed = Arc::new(Mutex::new(Vec::new()));
        let child = spawn(&arguments, &environment, &printed);
        let done = tokio::spawn(async { Ok(()) });
        Self {
            arguments,
            environment,
            child,
            service: Service { origin, stop: CancellationToken::new(), done },
            printed,
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Sends the signal and waits for the end.
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }

    /// Starts it again, after its end.
    pub fn again(&mut self) {
        self.child = spawn(&self.arguments, &self.environment, &self.printed);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Sms {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let printed = self.printed.lock().unwrap();
            let end = printed.len().saturating_sub(4000);
            eprintln!("--- the end of what it printed\n{}", String::from_utf8_lossy(&printed[end..]));
        }
    }
}

fn spawn(arguments: &[OsString], environment: &[(&str, OsString)], printed: &Arc<Mutex<Vec<u8>>>) -> Child {
    let mut command = iexecd(arguments);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (ready, listening) = mpsc::channel();
    collect(child.stdout.take().unwrap(), Arc::clone(printed), None);
    collect(child.stderr.take().unwrap(), Arc::clone(printed), Some(ready));
    if listening.recv_timeout(PATIENCE).is_err() {
        let _ = child.kill();
        let _ = child.wait();
        panic!("it does not listen:\n{}", String::from_utf8_lossy(&printed.lock().unwrap()));
    }
    child
}

fn collect(stream: impl Read + Send + 'static, printed: Arc<Mutex<Vec<u8>>>, ready: Option<mpsc::Sender<()>>) {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            if let Some(ready) = ready.as_ref().filter(|_| String::from_utf8_lossy(&line).contains("listening on")) {
                // Nobody waits any more once it listens.
                let _ = ready.send(());
            }
            printed.lock().unwrap().append(&mut line);
        }
    });
}

/// Runs a command beside the service to its end, which must be a success.
pub fn tool<S: Into<OsString>>(arguments: impl IntoIterator<Item = S>) -> Output {
    let output = iexecd(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}
