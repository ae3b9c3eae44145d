//! Runs the app: a child under another user, without privileges, descriptors or variables of ours, within its time.
//!
//! Its isolation from the machine (namespaces, seccomp, limits) is the container's; from the supervisor it is the
//! user's: another uid, an undumpable parent, no capability.

mod capture;

use std::{
    io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
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
    let capture =
        |name: &str| Capture::create(&output.join(name)).or_fail(Cause::TeePreparationFailed, name.to_owned());
    let (stdout, stderr) = (capture("stdout.txt")?, capture("stderr.txt")?);
    let mut child = start(app)?;
    let drains = [
        child.stdout.take().map(|pipe| thread::spawn(move || stdout.drain(pipe))),
        child.stderr.take().map(|pipe| thread::spawn(move || stderr.drain(pipe))),
    ];
    let ended = wait(&child, limit);
    // Whoever holds a pipe of the app's dies here, so the drains come to their end.
    process::end_all()?;
    for drain in drains.into_iter().flatten() {
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

fn start(app: &App) -> Result<Child, Failure> {
    let (program, arguments) =
        app.command.split_first().ok_or_else(|| Failure::new(Cause::AppNotFoundLocally, "no command"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(app.environment.iter().map(|(name, value)| (name, value.expose())))
        .current_dir(&app.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // As root this empties the supplementary groups too.
        .uid(process::APP_ID)
        .gid(process::APP_ID)
        .process_group(0);
    command.spawn().or_fail(Cause::AppNotFoundLocally, format_args!("{program:?} in {:?} does not start", app.folder))
}

/// The status of the app's process, or `None` when its time is over.
fn wait(child: &Child, limit: Duration) -> Option<io::Result<WaitStatus>> {
    let (sender, receiver) = mpsc::channel();
    let pid = child.id();
    // Ends with the app, or with the killing of everything. Nobody listens then.
    thread::spawn(move || {
        let pid = i32::try_from(pid).map(Pid::from_raw).map_err(io::Error::other);
        let _ = sender.send(pid.and_then(|pid| process::wait_for(pid).map_err(io::Error::from)));
    });
    receiver.recv_timeout(limit).ok()
}

fn judge(ended: Option<io::Result<WaitStatus>>, limit: Duration) -> Result<(), Failure> {
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
