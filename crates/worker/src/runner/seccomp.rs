//! The system calls that a container may make: an allow-list kept as data (`seccomp.json`, each group with its reason).
//!
//! What is not on it fails with EPERM: mount, ptrace, bpf, keyctl, perf, namespaces, modules, clocks, swap and the rest.
//! What is listed as absent fails with ENOSYS, which programs take for an older kernel.

use serde::Deserialize;
use serde_json::{Value, json};

const PROFILE: &str = include_str!("seccomp.json");
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

#[derive(Deserialize)]
struct Profile {
    allow: Vec<Group>,
    allow_if: Vec<Conditional>,
    absent: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    names: Vec<String>,
}

#[derive(Deserialize)]
struct Conditional {
    names: Vec<String>,
    argument: u32,
    mask: Option<u64>,
    values: Vec<u64>,
}

/// The profile in the form that both the OCI runtime specification and Docker read.
pub fn profile() -> Result<Value, serde_json::Error> {
    let profile: Profile = serde_json::from_str(PROFILE)?;
    let mut rules: Vec<Value> =
        profile.allow.iter().map(|group| json!({"names": group.names, "action": "SCMP_ACT_ALLOW"})).collect();
    rules.extend(profile.allow_if.iter().flat_map(conditional));
    rules.extend(
        profile
            .absent
            .iter()
            .map(|group| json!({"names": group.names, "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS})),
    );
    Ok(json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": rules,
    }))
}

fn conditional(rule: &Conditional) -> impl Iterator<Item = Value> + '_ {
    rule.values.iter().map(|value| {
        let argument = match rule.mask {
            Some(mask) => json!({"index": rule.argument, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}),
            None => json!({"index": rule.argument, "value": value, "op": "SCMP_CMP_EQ"}),
        };
        json!({"names": rule.names, "action": "SCMP_ACT_ALLOW", "args": [argument]})
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn allowed() -> BTreeSet<String> {
        let profile: Profile = serde_json::from_str(PROFILE).unwrap();
        profile.allow.into_iter().flat_map(|group| group.names).collect()
    }

    #[test]
    fn nothing_that_reaches_the_kernel_or_other_processes_is_allowed() {
        for forbidden in [
            "mount",
            "umount2",
            "pivot_root",
            "chroot",
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "bpf",
            "keyctl",
            "add_key",
            "request_key",
            "perf_event_open",
            "io_uring_setup",
            "unshare",
            "setns",
            "clone",
            "clone3",
            "userfaultfd",
            "kexec_load",
            "init_module",
            "finit_module",
            "delete_module",
            "open_by_handle_at",
            "fsopen",
            "move_mount",
            "open_tree",
            "mount_setattr",
            "swapon",
            "reboot",
            "settimeofday",
            "clock_settime",
            "iopl",
            "ioperm",
            "kcmp",
            "pidfd_getfd",
            "syslog",
            "acct",
            "quotactl",
        ] {
            assert!(!allowed().contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn what_c_libraries_and_runtimes_start_with_is_allowed() {
        for needed in [
            "arch_prctl",
            "rseq",
            "set_robust_list",
            "getrandom",
            "futex",
            "epoll_pwait",
            "statx",
            "prlimit64",
            "memfd_create",
        ] {
            assert!(allowed().contains(needed), "{needed}");
        }
    }

    #[test]
    fn no_call_is_named_twice() {
        let profile: Profile = serde_json::from_str(PROFILE).unwrap();
        let names: Vec<_> = profile.allow.into_iter().flat_map(|group| group.names).collect();
        assert_eq!(names.len(), allowed().len());
    }
}
