//! What the supervisor does to itself and to the processes below it: nobody may look into it, nothing may outlive the
//! app, and once the app has run it keeps no privilege.

use std::fs;

use iexec_protocol::cause::Cause;
use nix::{
    errno::Errno,
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::{Signal, kill},
        stat::{Mode, umask},
        wait::{WaitStatus, waitpid},
    },
    unistd::{Gid, Pid, Uid, close, geteuid, getpid, setgroups, setresgid, setresuid},
};

use crate::failure::{Failure, OrFail as _};

/// User and group of the app, and of the supervisor after it: nobody's, as on every Linux.
pub(crate) const APP_ID: u32 = 65534;

/// First thing of all: no debugger, no core dump, no new privileges, no descriptor but the three; orphans of the app
/// become ours.
pub(crate) fn harden() -> Result<(), Failure> {
    let hardened = prctl::set_dumpable(false)
        .and_then(|()| setrlimit(Resource::RLIMIT_CORE, 0, 0))
        .and_then(|()| prctl::set_no_new_privs())
        .and_then(|()| prctl::set_child_subreaper(true));
    hardened.or_fail(Cause::TeePreparationFailed, "this process cannot be hardened")?;
    close_inherited().or_fail(Cause::TeePreparationFailed, "/proc/self/fd")?;
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    if geteuid().is_root() {
        Ok(())
    } else {
        Err(Failure::unprepared("the enclave must start as root, to run the app under another user"))
    }
}

/// Whoever started this program may have left descriptors open; the app would inherit them. None is ours yet.
fn close_inherited() -> std::io::Result<()> {
    // The numbers first: an entry keeps the listing's own descriptor open.
    let number = |entry: std::io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().to_str()?.parse().ok());
    let numbers: Vec<Option<i32>> = fs::read_dir("/proc/self/fd")?.map(number).collect::<Result<_, _>>()?;
    for number in numbers.into_iter().flatten().filter(|number| *number > 2) {
        // The listing's own is gone already (EBADF).
        let _ = close(number);
    }
    Ok(())
}

/// Kills and reaps every process that the app left. As pid 1, everything else in the pid namespace.
pub(crate) fn end_all() -> Result<(), Failure> {
    loop {
        if getpid().as_raw() == 1 {
            // POSIX kill(2): -1 is everything but the sender.
            ignore_gone(kill(Pid::from_raw(-1), Signal::SIGKILL))?;
        } else {
            for child in children().or_fail(Cause::AppComputeFailed, "/proc")? {
                ignore_gone(kill(child, Signal::SIGKILL))?;
            }
        }
        match waitpid(None, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(()),
            Err(error) => return Err(Failure::new(Cause::AppComputeFailed, error)),
        }
    }
}

/// Waits for one child; reaps the orphans that end before it.
pub(crate) fn wait_for(pid: Pid) -> Result<WaitStatus, Errno> {
    loop {
        match waitpid(None, None) {
            Ok(status) if status.pid() == Some(pid) => return Ok(status),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Becomes the app's user for good; what it cannot read, the archive will not hold.
pub(crate) fn drop_privileges() -> Result<(), Failure> {
    let (uid, gid) = (Uid::from_raw(APP_ID), Gid::from_raw(APP_ID));
    let dropped = setgroups(&[])
        .and_then(|()| setresgid(gid, gid, gid))
        .and_then(|()| setresuid(uid, uid, uid))
        // The kernel resets this with the user.
        .and_then(|()| prctl::set_dumpable(false));
    dropped.or_fail(Cause::PostComputeFailedUnknownIssue, "privileges cannot be dropped")?;
    let status = fs::read_to_string("/proc/self/status").or_fail(Cause::PostComputeFailedUnknownIssue, "/proc")?;
    if keeps_capability(&status) {
        return Err(Failure::new(Cause::PostComputeFailedUnknownIssue, "a capability survived the change of user"));
    }
    Ok(())
}

fn keeps_capability(status: &str) -> bool {
    let sets = ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"];
    let empty = |set: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(set));
        line.is_some_and(|mask| mask.trim().bytes().all(|digit| digit == b'0'))
    };
    !sets.into_iter().all(empty)
}

fn ignore_gone(killed: Result<(), Errno>) -> Result<(), Failure> {
    match killed {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(Failure::new(Cause::AppComputeFailed, format_args!("the app cannot be stopped: {error}"))),
    }
}

fn children() -> std::io::Result<Vec<Pid>> {
    let mine = getpid();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // A process may be gone by now; then it is nobody's child.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if parent(&stat) == Some(mine.as_raw()) {
            found.push(Pid::from_raw(pid));
        }
    }
    Ok(found)
}

/// Fourth field of `/proc/<pid>/stat` (proc(5)); the second may hold blanks and parentheses.
fn parent(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_program_name() {
        assert_eq!(parent("12 (sh) S 7 12 12"), Some(7));
        assert_eq!(parent("12 (a) S 9 (b) ) R 8 1"), Some(8));
        assert_eq!(parent(""), None);
    }

    #[test]
    fn only_four_empty_sets_are_no_capability() {
        let sets =
            |last: &str| format!("CapInh:\t0000\nCapPrm:\t0000\nCapEff:\t0000\nCapBnd:\t00e0\nCapAmb:\t{last}\n");
        assert!(!keeps_capability(&sets("0000")));
        assert!(keeps_capability(&sets("0001")));
        assert!(keeps_capability(""));
    }
}
