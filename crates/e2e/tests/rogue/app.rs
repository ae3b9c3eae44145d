// An app that misbehaves in the way that its first argument names. Compiled alone by the tests with rustc, statically;
// it is no part of the crate.

use std::{ffi::CString, fs, io, net, path::Path, thread, time::Duration};

unsafe extern "C" {
    fn fork() -> i32;
    fn kill(process: i32, signal: i32) -> i32;
    fn ptrace(request: i64, process: i32, address: usize, data: usize) -> i64;
    fn mount(source: *const i8, target: *const i8, kind: *const i8, flags: u64, data: *const u8) -> i32;
    fn mknod(path: *const i8, mode: u32, device: u64) -> i32;
    fn setuid(user: u32) -> i32;
}

fn main() {
    let word = std::env::args().nth(1).unwrap_or_default();
    write("r.txt", "a result");
    computed("/iexec_out/r.txt");
    match word.as_str() {
        "forks" => forks(),
        "memory" => memory(),
        "fills" => fills(),
        "links" => std::os::unix::fs::symlink("/etc/passwd", "/iexec_out/link").unwrap(),
        "names" => names(),
        "outside" => computed("/iexec_out/../proc/self/environ"),
        "nonsense" => write("computed.json", &"[".repeat(60_000)),
        "naps" => thread::sleep(Duration::from_secs(4)),
        "tries" => write("r.txt", &tries()),
        _ => marks(&word),
    }
}

fn write(name: &str, text: &str) {
    fs::write(Path::new("/iexec_out").join(name), text).unwrap();
}

fn computed(path: &str) {
    write("computed.json", &format!("{{\"deterministic-output-path\":\"{path}\"}}"));
}

/// As many processes as there may be, each wanting more.
fn forks() {
    for _ in 0..100_000 {
        // SAFETY: a plain system call; parent and child both go on here.
        if unsafe { fork() } < 0 {
            thread::sleep(Duration::from_millis(100));
            std::process::exit(3);
        }
    }
}

fn memory() {
    let mut all = Vec::new();
    loop {
        all.push(vec![1_u8; 16 << 20]);
    }
}

fn fills() {
    let mut file = fs::File::create("/iexec_out/full").unwrap();
    if io::copy(&mut io::repeat(1), &mut file).is_err() {
        std::process::exit(28);
    }
}

fn names() {
    let mut folder = "/iexec_out".to_owned();
    for _ in 0..8 {
        folder = format!("{folder}/{}", "x".repeat(250));
        fs::create_dir(&folder).unwrap();
    }
    fs::write(format!("{folder}/y"), "").unwrap();
}

/// What an app may not do, and what came of trying it.
fn tries() -> String {
    let text = |text: &str| CString::new(text).unwrap();
    let (root, kind, device) = (text("/tmp"), text("tmpfs"), text("/tmp/device"));
    // SAFETY: plain system calls with valid pointers; each is expected to be refused.
    let may = unsafe {
        [
            ("kill the supervisor", kill(1, 9) == 0),
            ("trace the supervisor", ptrace(16, 1, 0, 0) == 0),
            ("mount", mount(kind.as_ptr(), root.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) == 0),
            ("make a device", mknod(device.as_ptr(), 0o60666, 0xfe00) == 0),
            ("become root", setuid(0) == 0),
        ]
    };
    let seconds = Duration::from_secs(1);
    let reaches = |address: &str| net::TcpStream::connect_timeout(&address.parse().unwrap(), seconds).is_ok();
    let reads = |path: &str| fs::read(path).is_ok();
    let more = [
        ("reach the internet", reaches("1.1.1.1:443")),
        ("reach this machine", (1..=u16::MAX).step_by(97).any(|port| reaches(&format!("127.0.0.1:{port}")))),
        ("read the supervisor's memory", reads("/proc/1/mem")),
        ("read the supervisor's environment", reads("/proc/1/environ")),
        ("read the platform's key", reads("/iexec/simulated-platform.json")),
        ("see the archive", fs::read_dir("/iexec/archive").is_ok()),
        ("write to its image", fs::write("/app2", "").is_ok()),
        ("touch the machine's settings", fs::write("/proc/sys/kernel/core_pattern", "|/app").is_ok()),
    ];
    may.iter().chain(&more).filter(|(_, can)| *can).map(|(what, _)| format!("{what}\n")).collect()
}

/// Says the word backwards wherever an app can, so that the word in the deal is not what is found.
fn marks(word: &str) {
    let backwards: String = word.chars().rev().collect();
    write("r.txt", &backwards);
    write(&backwards, &backwards.repeat(1000));
    println!("{backwards}");
    eprintln!("{backwards}");
    fs::write("/tmp/mark", &backwards).unwrap();
    if word.ends_with("-and-fails") {
        panic!("{backwards}");
    }
}
