//! The promises about a container, each checked by what a program in it can do.

use std::time::Duration;

use futures_util::future::BoxFuture;
use iexec_worker::runner::Container;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::setting::{LIMITS, Setting, TASK};

/// A sentence and its check.
pub(crate) type Check = (&'static str, fn(&Setting) -> BoxFuture<'_, ()>);

pub(crate) const ALL: [Check; 14] = [
    ("the enclave is the command and the image's environment, user and folder do not reach it", |s| {
        Box::pin(command(s))
    }),
    ("there is no network but the loopback", |s| Box::pin(network(s))),
    ("the root is read-only and only memory and the archive's folder can be written", |s| Box::pin(writes(s))),
    ("memory folders have no set-id, no devices, and run programs only from /tmp", |s| Box::pin(mounts(s))),
    ("three capabilities are left, and no new privileges can be had", |s| Box::pin(capabilities(s))),
    ("system calls off the list are refused and those that programs start with are not", |s| Box::pin(calls(s))),
    ("the app's uid cannot come back, nor see the archive or what was fetched", |s| Box::pin(app(s))),
    ("a program that takes more memory than allowed is killed", |s| Box::pin(memory(s))),
    ("files stop at the disk limit", |s| Box::pin(disk(s))),
    ("threads stop at the process limit", |s| Box::pin(threads(s))),
    ("processor time is shared out as configured", |s| Box::pin(cpu(s))),
    ("a container that outstays its time is gone when it is removed", |s| Box::pin(removed(s))),
    ("containers that a killed worker left behind are removed at the next start", |s| Box::pin(left_behind(s))),
    ("an exit code arrives", |s| Box::pin(exit(s))),
];

async fn command(setting: &Setting) {
    let said = setting.ask("look").await;
    assert_eq!(&said["arguments"], "/iexec/enclave run");
    let foreign: Vec<_> =
        said["environment"].split(' ').filter(|name| !["PATH", "HOME", "HOSTNAME"].contains(name)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert_eq!(&said["Uid"], "0 0 0 0");
    assert_eq!(&said["pid"], "1");
    assert_eq!((&said["files"], &said["core"]), ("1024", "0"));
    assert_eq!(said.stderr.trim(), "looking around");
    assert_eq!(said.code, 0);
}

async fn network(setting: &Setting) {
    assert_eq!(&setting.ask("look").await["network"], "lo");
}

async fn writes(setting: &Setting) {
    let said = setting.ask("look").await;
    for path in ["/x", "/bin/x", "/iexec/x", "/iexec/fetched/x", "/iexec/image/x"] {
        assert_eq!(&said[format!("write {path}").as_str()], "30", "{path} must be read-only (EROFS)");
    }
    for path in ["/iexec/archive/x", "/iexec_in/x", "/iexec_out/x", "/tmp/x"] {
        assert_eq!(&said[format!("write {path}").as_str()], "0", "{path}");
    }
    for path in ["/iexec/image/manifest.json", "/iexec/fetched/dataset", "/bin/hello"] {
        assert_eq!(&said[format!("read {path}").as_str()], "0", "{path}");
    }
    // A running program cannot be written anyway (ETXTBSY): its mount tells.
    let enclave = &said["mount /iexec/enclave"];
    assert!(enclave.split([' ', ',']).any(|option| option == "ro"), "{enclave}");
    // A volume that the image declares is not there (2, 30), or is memory; never the host's disk.
    let volume = said.values.get("mount /data").map_or("absent", |mount| mount.split(' ').next().unwrap_or_default());
    assert!(["absent", "tmpfs"].contains(&volume), "{volume}");
}

async fn mounts(setting: &Setting) {
    let said = setting.ask("look").await;
    for (path, exec) in [("/iexec_in", false), ("/iexec_out", false), ("/tmp", true)] {
        let mount = &said[format!("mount {path}").as_str()];
        let (kind, options) = mount.split_once(' ').unwrap();
        let options: Vec<_> = options.split(',').collect();
        assert_eq!(kind, "tmpfs", "{path}");
        assert!(options.contains(&"nosuid") && options.contains(&"nodev"), "{path}: {mount}");
        assert_eq!(!options.contains(&"noexec"), exec, "{path}: {mount}");
        assert!(options.iter().any(|option| *option == format!("size={}k", LIMITS.disk / 1024)), "{path}: {mount}");
    }
}

async fn capabilities(setting: &Setting) {
    let said = setting.ask("look").await;
    // CAP_KILL 5, CAP_SETGID 6, CAP_SETUID 7.
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(&said[set], "00000000000000e0", "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(&said[set], "0000000000000000", "{set}");
    }
    assert_eq!((&said["NoNewPrivs"], &said["Seccomp"]), ("1", "2"));
}

const EPERM: &str = "1";
const ENOSYS: &str = "38";

async fn calls(setting: &Setting) {
    let said = setting.ask("calls").await;
    for call in [
        "mount",
        "unshare",
        "setns",
        "ptrace",
        "bpf",
        "keyctl",
        "perf_event_open",
        "userfaultfd",
        "process_vm_readv",
        "open_by_handle_at",
        "chroot",
        "clone with a user namespace",
        "socket vsock",
        "socket alg",
        "socket packet",
        "personality without randomisation",
        "mknod",
    ] {
        assert_eq!(&said[call], EPERM, "{call}");
    }
    for call in ["io_uring_setup", "clone3"] {
        assert_eq!(&said[call], ENOSYS, "{call}");
    }
    for call in ["socket unix", "getrandom"] {
        assert_eq!(&said[call], "0", "{call}");
    }
}

async fn app(setting: &Setting) {
    let said = setting.ask("app").await;
    assert_eq!(&said["dropped"], "true");
    assert_eq!(&said["back to root"], "1");
    for place in ["list /iexec/archive", "list /iexec/fetched", "write /iexec_in/x"] {
        assert_eq!(&said[place], "13", "{place}");
    }
    for place in ["write /iexec_out/x", "write /tmp/x"] {
        assert_eq!(&said[place], "0", "{place}");
    }
    assert_eq!(&said["CapEff"], "0000000000000000");
}

async fn memory(setting: &Setting) {
    let said = setting.ask("memory").await;
    assert_eq!(said.code, 137, "{:?} {}", said.values, said.stderr);
    assert!(!said.values.contains_key("allocated"));
}

async fn disk(setting: &Setting) {
    let said = setting.ask("disk").await;
    assert_eq!(&said["end"], "28", "ENOSPC");
    assert!(said["written"].parse::<u64>().unwrap() <= LIMITS.disk);
}

async fn threads(setting: &Setting) {
    let threads: u32 = setting.ask("threads").await["threads"].parse().unwrap();
    assert!((2..=LIMITS.pids).contains(&threads), "{threads}");
}

async fn cpu(setting: &Setting) {
    // Two threads ask for two processors and get half of one.
    let percent: u64 = setting.ask("cpu").await["cpu percent"].parse().unwrap();
    assert!((5..=80).contains(&percent), "{percent} %");
}

async fn start_sleeping(setting: &Setting, container: &Container) -> iexec_worker::runner::Running {
    let mut running = setting.runner.start(container, setting.image()).await.unwrap();
    running.stdin.write_all(b"sleep\n").await.unwrap();
    running.stdin.flush().await.unwrap();
    let mut word = [0; 9];
    running.stdout.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"asleep=1\n");
    running
}

async fn removed(setting: &Setting) {
    let running = start_sleeping(setting, &setting.container()).await;
    setting.runner.remove(TASK).await.unwrap();
    let code = tokio::time::timeout(Duration::from_secs(20), running.ended).await.expect("it still runs").unwrap();
    assert_eq!(code, 137);
    setting.runner.remove(TASK).await.unwrap();
}

async fn left_behind(setting: &Setting) {
    // Dropped, as when the worker is killed: nobody waits for it any more.
    drop(start_sleeping(setting, &setting.container()).await);
    assert_eq!(setting.runner.remove_all().await.unwrap(), 1);
    assert_eq!(setting.runner.remove_all().await.unwrap(), 0);
}

async fn exit(setting: &Setting) {
    assert_eq!(setting.ask("exit").await.code, 7);
}
