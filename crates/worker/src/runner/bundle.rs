//! `config.json` of an OCI bundle (runtime specification 1.0.2): the container, as runc and crun read it.

use std::path::Path;

use serde_json::{Value, json};

use super::{CAPABILITIES, COMMAND, Container, ENVIRONMENT, MountOf, MountPoint, OPEN_FILES, RunFault, seccomp};
use crate::image::AppImage;

const CPU_PERIOD: u64 = 100_000;
/// What Docker masks: places in /proc that tell about, or act on, the whole machine.
const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Which limits the machine's control groups can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controls {
    /// Memory, processors and processes.
    pub limits: bool,
    /// Swap.
    pub swap: bool,
}

/// The bundle's configuration.
pub fn config(container: &Container, image: &AppImage, rootfs: &Path, controls: Controls) -> Result<Value, RunFault> {
    let capabilities: Vec<_> = CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect();
    let seccomp = seccomp::profile().map_err(|error| RunFault::Engine(format!("the seccomp profile: {error}")))?;
    let points = container.mount_points(image);
    let mounts: Vec<_> = system_mounts().into_iter().chain(points.iter().map(mount)).collect();
    let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({"type": kind}));
    Ok(json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": COMMAND,
            "env": ENVIRONMENT,
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [
                {"type": "RLIMIT_CORE", "hard": 0, "soft": 0},
                {"type": "RLIMIT_NOFILE", "hard": OPEN_FILES, "soft": OPEN_FILES},
            ],
            "noNewPrivileges": true,
        },
        "root": {"path": rootfs, "readonly": true},
        "hostname": "iexec",
        "mounts": mounts,
        "linux": {
            "namespaces": namespaces,
            "cgroupsPath": format!("/iexec/{}", super::container_id(container.task)),
            "resources": resources(container, controls),
            "seccomp": seccomp,
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    }))
}

fn resources(container: &Container, controls: Controls) -> Value {
    let limits = container.limits;
    let devices = json!([{"allow": false, "access": "rwm"}]);
    if !controls.limits {
        return json!({"devices": devices});
    }
    let memory = if controls.swap {
        json!({"limit": limits.memory, "swap": limits.memory})
    } else {
        json!({"limit": limits.memory})
    };
    json!({
        "devices": devices,
        "memory": memory,
        "cpu": {"period": CPU_PERIOD, "quota": (limits.millicpus * CPU_PERIOD / 1000).max(1000)},
        "pids": {"limit": limits.pids},
    })
}

fn system_mounts() -> Vec<Value> {
    vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
               "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
        json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
               "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]}),
    ]
}

fn mount(point: &MountPoint) -> Value {
    let mut options = vec!["nosuid".to_owned(), "nodev".to_owned()];
    if !point.exec {
        options.push("noexec".to_owned());
    }
    match &point.of {
        MountOf::Memory { mode, size } => {
            options.extend([format!("mode={mode}"), format!("size={size}")]);
            json!({"destination": point.at, "type": "tmpfs", "source": "tmpfs", "options": options})
        }
        MountOf::Host { path, writable } => {
            options.extend(["bind".to_owned(), if *writable { "rw" } else { "ro" }.to_owned()]);
            json!({"destination": point.at, "type": "bind", "source": path, "options": options})
        }
    }
}
