//! What the process uses, by the names that Prometheus' clients have for it; nothing where there is no `/proc`.

use std::{fmt::Write as _, fs};

/// Memory, threads and open files from `/proc/self`.
pub(super) fn write(text: &mut String) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let files = fs::read_dir("/proc/self/fd").ok().map(|list| list.count() as u64);
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Resident memory.", field("VmRSS").map(|kib| kib * 1024)),
        ("process_threads", "Threads.", field("Threads")),
        ("process_open_fds", "Open file descriptors.", files),
    ] {
        let Some(value) = value else { continue };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    }
}
