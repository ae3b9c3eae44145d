// Stands in the enclave's place and tells what a container lets it do: reads one word from stdin, answers `name=value`
// lines. Compiled alone by the tests with rustc, statically; it is no part of the crate.

use std::{
    ffi::{c_char, c_int, c_long, c_ulong, CString},
    fs,
    io::{self, Read, Write},
    ptr::null,
    thread,
    time::{Duration, Instant},
};

unsafe extern "C" {
    fn mount(source: *const c_char, target: *const c_char, kind: *const c_char, flags: c_ulong, data: *const u8) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn setresuid(real: u32, effective: u32, saved: u32) -> c_int;
    fn setresgid(real: u32, effective: u32, saved: u32) -> c_int;
    fn setgroups(count: usize, groups: *const u32) -> c_int;
}

fn main() {
    let mut word = [0; 16];
    let read = io::stdin().read(&mut word).unwrap_or(0);
    match String::from_utf8_lossy(&word[..read]).trim() {
        "look" => look(),
        "calls" => calls(),
        "app" => app(),
        "memory" => memory(),
        "disk" => disk(),
        "threads" => threads(),
        "cpu" => cpu(),
        "sleep" => sleep(),
        "exit" => std::process::exit(7),
        other => tell("unknown", other),
    }
}

fn tell(name: &str, value: impl std::fmt::Display) {
    println!("{name}={value}");
    let _ = io::stdout().flush();
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn outcome(result: io::Result<()>) -> i32 {
    result.err().and_then(|error| error.raw_os_error()).unwrap_or(0)
}

fn look() {
    eprintln!("looking around");
    tell("arguments", std::env::args().collect::<Vec<_>>().join(" "));
    let mut names: Vec<_> = std::env::vars().map(|(name, _)| name).collect();
    names.sort();
    tell("environment", names.join(" "));
    let devices = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let names: Vec<_> = devices.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim).collect();
    tell("network", names.join(" "));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines() {
        if let Some((name, value)) = line.split_once(':') {
            if ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid", "Groups"].contains(&name) {
                tell(name, value.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
    }
    for path in ["/x", "/bin/x", "/data/x", "/iexec/x", "/iexec/fetched/x", "/iexec/image/x", "/iexec/archive/x", "/iexec_in/x", "/iexec_out/x", "/tmp/x"] {
        tell(&format!("write {path}"), outcome(fs::write(path, "x")));
    }
    for path in ["/iexec/image/manifest.json", "/iexec/fetched/dataset", "/bin/hello"] {
        tell(&format!("read {path}"), outcome(fs::read(path).map(drop)));
    }
    for line in fs::read_to_string("/proc/self/mounts").unwrap_or_default().lines() {
        let words: Vec<_> = line.split(' ').collect();
        tell(&format!("mount {}", words[1]), format!("{} {}", words[2], words[3]));
    }
    tell("pid", std::process::id());
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    tell("files", files.split_whitespace().nth(3).unwrap_or_default());
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default();
    tell("core", core.split_whitespace().nth(4).unwrap_or_default());
}

fn calls() {
    let text = |text: &str| CString::new(text).unwrap_or_default();
    let (none, tmp, kind) = (text("none"), text("/tmp"), text("tmpfs"));
    // SAFETY: plain system calls with valid or null pointers; each is expected to be refused.
    unsafe {
        let call = |name: &str, result: c_long| tell(name, if result < 0 { errno() } else { 0 });
        call("mount", c_long::from(mount(none.as_ptr(), tmp.as_ptr(), kind.as_ptr(), 0, null())));
        call("unshare", syscall(272, 0x1000_0000_u64));
        call("setns", syscall(308, 0, 0));
        call("ptrace", syscall(101, 0, 0, 0, 0));
        call("bpf", syscall(321, 0, 0, 0));
        call("keyctl", syscall(250, 0, 0, 0));
        call("perf_event_open", syscall(298, 0, 0, 0, 0, 0));
        call("userfaultfd", syscall(323, 0));
        call("process_vm_readv", syscall(310, 1, 0, 0, 0, 0, 0));
        call("open_by_handle_at", syscall(304, 0, 0, 0));
        call("chroot", syscall(161, tmp.as_ptr()));
        call("io_uring_setup", syscall(425, 1, 0));
        call("clone3", syscall(435, 0, 0));
        call("clone with a user namespace", syscall(56, 0x1000_0011_u64, 0, 0, 0, 0));
        call("socket vsock", syscall(41, 40, 1, 0));
        call("socket alg", syscall(41, 38, 5, 0));
        call("socket packet", syscall(41, 17, 3, 0));
        call("socket unix", syscall(41, 1, 1, 0));
        call("personality without randomisation", syscall(135, 0x0004_0000_u64));
        call("getrandom", syscall(318, [0_u8; 8].as_mut_ptr(), 8_u64, 0));
    }
    tell("mknod", mknod());
}

fn mknod() -> i32 {
    let path = CString::new("/tmp/kmsg").unwrap_or_default();
    // SAFETY: a valid path; a character device 1:11, which needs CAP_MKNOD.
    if unsafe { syscall(133, path.as_ptr(), 0o20600_u64, 0x10b_u64) } < 0 { errno() } else { 0 }
}

/// What the app may do once the supervisor gave it another uid.
fn app() {
    // SAFETY: plain system calls.
    let dropped = unsafe {
        [setgroups(0, null()), setresgid(65534, 65534, 65534), setresuid(65534, 65534, 65534)].iter().all(|result| *result == 0)
    };
    tell("dropped", dropped);
    // SAFETY: a plain system call.
    tell("back to root", if unsafe { setresuid(0, 0, 0) } < 0 { errno() } else { 0 });
    for path in ["/iexec/archive", "/iexec/fetched"] {
        tell(&format!("list {path}"), outcome(fs::read_dir(path).map(drop)));
    }
    tell("write /iexec_in/x", outcome(fs::write("/iexec_in/x", "x")));
    tell("write /iexec_out/x", outcome(fs::write("/iexec_out/x", "x")));
    tell("write /tmp/x", outcome(fs::write("/tmp/x", "x")));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status.lines().find(|line| line.starts_with("CapEff")).unwrap_or_default();
    tell("CapEff", capabilities.split_whitespace().nth(1).unwrap_or_default());
}

fn memory() {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for _ in 0..1024 {
        all.push(vec![1; 1 << 20]);
    }
    tell("allocated", all.len());
}

fn disk() {
    let mut file = fs::File::create("/iexec_out/big").unwrap_or_else(|_| std::process::exit(3));
    let (block, mut written) = (vec![1_u8; 1 << 20], 0_u64);
    let end = loop {
        match file.write(&block) {
            Ok(count) => written += count as u64,
            Err(error) => break error.raw_os_error().unwrap_or(0),
        }
    };
    tell("written", written);
    tell("end", end);
}

fn threads() {
    let mut started = 1;
    while started < 500 {
        match thread::Builder::new().stack_size(64 * 1024).spawn(|| thread::sleep(Duration::from_secs(30))) {
            Ok(_) => started += 1,
            Err(_) => break,
        }
    }
    tell("threads", started);
    std::process::exit(0);
}

fn cpu() {
    let begun = Instant::now();
    let spin = move || while begun.elapsed() < Duration::from_millis(1500) {};
    let threads: Vec<_> = (0..2).map(|_| thread::spawn(spin)).collect();
    for thread in threads {
        let _ = thread.join();
    }
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11].parse().unwrap_or(0) + fields[12].parse::<u64>().unwrap_or(0);
    tell("cpu percent", ticks * 10 * 100 / 1500);
}

fn sleep() {
    tell("asleep", 1);
    loop {
        thread::sleep(Duration::from_secs(1000));
    }
}
