//! Runs the app: a child under another user, without privileges, descriptors or variables of ours, within its time.
//!
//! Its isolation from the machine (namespaces, seccomp, limits) is the container's; from the supervisor it is the
//! user's: another uid, an undumpable parent, no capability.

mod capture;

use std::{
    io::{self, PipeWriter},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use iexec_protocol::cause::Cause;
use nix::{sys::wait::WaitStatus, unistd::Pid};

use crate::{
    failure::{Failure, OrFail as _},
    plan::App,
    process,
};
use capture::Capture;

/// Runs the app to its end; `Ok` only if it ended by itself, in time, with status 0. Nothing of it runs afterwards.
pub(crate) fn run(app: &App, output: &Path, limit: Duration) -> Result<(), Failure> {
    // All threads before the app: it may use up every process that the container may have.
    let (stdout, stdout_drain) = capture(&output.join("stdout.txt"))?;
    let (stderr, stderr_drain) = capture(&output.join("stderr.txt"))?;
    let waiter = Waiter::start()?;
    let pid = start(app, stdout, stderr)?;
    let ended = waiter.wait(pid, limit);
    // Whoever holds a pipe of the app's dies here, so the drains come to their end.
    process::end_all()?;
    for drain in [stdout_drain, stderr_drain] {
        match drain.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => crate::log(&format!("the app's output is not captured whole: {error}")),
            Err(_) => {
                return Err(Failure::new(Cause::PostComputeFailedUnknownIssue, "capturing the app's output failed"));
            }
        }
    }
    judge(ended, limit)
}

/// A pipe whose other end is kept in a file.
fn capture(path: &Path) -> Result<(PipeWriter, JoinHandle<io::Result<()>>), Failure> {
    let started = Capture::create(path).and_then(|capture| {
        let (reader, writer) = io::pipe()?;
        Ok((writer, thread::Builder::new().spawn(move || capture.drain(reader))?))
    });
    started.or_fail(Cause::TeePreparationFailed, format_args!("{}", path.display()))
}

/// Starts the app; our ends of its pipes are closed when this returns.
fn start(app: &App, stdout: PipeWriter, stderr: PipeWriter) -> Result<Pid, Failure> {
    let (program, arguments) =
        app.command.split_first().ok_or_else(|| Failure::new(Cause::AppNotFoundLocally, "no command"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(app.environment.iter().map(|(name, value)| (name, value.expose())))
        .current_dir(&app.folder)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        // As root this empties the supplementary groups too.
        .uid(process::APP_ID)
        .gid(process::APP_ID)
        .process_group(0);
    let child = command
        .spawn()
        .or_fail(Cause::AppNotFoundLocally, format_args!("{program:?} in {:?} does not start", app.folder))?;
    i32::try_from(child.id()).map(Pid::from_raw).or_fail(Cause::AppComputeFailed, "the app's process id")
}

/// A thread that waits for the app, so that the supervisor can wait for the time as well.
struct Waiter {
    pid: mpsc::Sender<Pid>,
    ended: mpsc::Receiver<nix::Result<WaitStatus>>,
}

impl Waiter {
    fn start() -> Result<Self, Failure> {
        let (pid, pids) = mpsc::channel();
        let (sender, ended) = mpsc::channel();
        // Ends with the app, or with the killing of everything; then nobody listens any more.
        let wait = move || {
            let _ = pids.recv().map(|pid| sender.send(process::wait_for(pid)));
        };
        thread::Builder::new().spawn(wait).or_fail(Cause::TeePreparationFailed, "no thread")?;
        Ok(Self { pid, ended })
    }

    /// The status of the app's process, or `None` when its time is over.
    fn wait(self, pid: Pid, limit: Duration) -> Option<nix::Result<WaitStatus>> {
        self.pid.send(pid).ok()?;
        self.ended.recv_timeout(limit).ok()
    }
}

fn judge(ended: Option<nix::Result<WaitStatus>>, limit: Duration) -> Result<(), Failure> {
    match ended {
        None => {
            let message = format_args!("the app was stopped after its {} seconds", limit.as_secs());
            Err(Failure::new(Cause::AppComputeTimeout, message))
        }
        Some(Ok(WaitStatus::Exited(_, 0))) => Ok(()),
        Some(Ok(WaitStatus::Exited(_, code))) => {
            Err(Failure::new(Cause::AppComputeFailed, format_args!("the app ended with exit status {code}")))
        }
        Some(Ok(WaitStatus::Signaled(_, signal, _))) => {
            let status = ExitStatus::from_raw(signal as i32);
            Err(Failure::new(Cause::AppComputeFailed, format_args!("the app was killed: {status}")))
        }
        Some(Ok(status)) => Err(Failure::new(Cause::AppComputeFailed, format_args!("the app ended with {status:?}"))),
        Some(Err(error)) => Err(Failure::new(Cause::AppComputeFailed, error)),
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;

    use super::*;

    #[test]
    fn only_status_zero_in_time_is_success() {
        let pid = Pid::from_raw(1);
        let limit = Duration::from_secs(3);
        let cause = |ended| judge(ended, limit).err().map(|failure| failure.cause);
        assert_eq!(cause(Some(Ok(WaitStatus::Exited(pid, 0)))), None);
        assert_eq!(cause(Some(Ok(WaitStatus::Exited(pid, 3)))), Some(Cause::AppComputeFailed));
        let killed = WaitStatus::Signaled(pid, Signal::SIGKILL, false);
        assert_eq!(judge(Some(Ok(killed)), limit).unwrap_err().message, "the app was killed: signal: 9 (SIGKILL)");
        assert_eq!(cause(None), Some(Cause::AppComputeTimeout));
    }
}
