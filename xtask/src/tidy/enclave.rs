//! The trusted computing base: what is linked into the enclave program.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::command;

/// Never in the enclave: runtimes, networks, chain clients.
const BANNED: &[&str] = &["tokio", "hyper", "reqwest", "alloy-provider", "axum", "rustls", "sqlx"];
/// Run-time crates stay below this: age alone brings half of them.
const LIMIT: usize = 160;

/// Banned crates, and a base that grew too large.
pub(crate) fn check() -> Result<Vec<String>> {
    let crates = run_time_crates("iexec-enclave", &[])?;
    let mut faults: Vec<String> = BANNED
        .iter()
        .filter(|banned| crates.contains(**banned))
        .map(|banned| format!("iexec-enclave must not contain {banned}"))
        .collect();
    println!("tidy: iexec-enclave has {} run-time crates", crates.len());
    if crates.len() >= LIMIT {
        faults.push(format!("iexec-enclave has {} run-time crates, the limit is {LIMIT}", crates.len()));
    }
    Ok(faults)
}

/// Names of the crates linked into a package's program; procedural macros, and what only they need, run at build time and do not count.
pub(crate) fn run_time_crates(package: &str, features: &[&str]) -> Result<BTreeSet<String>> {
    let arguments = ["tree", "--package", package, "--edges", "no-build,no-dev,no-proc-macro", "--prefix", "none"];
    let tree = command::output("cargo", &[&arguments[..], features].concat())?;
    let name = |line: &str| line.split_whitespace().next().map(str::to_owned);
    Ok(tree
        .lines()
        .filter(|line| !line.contains("(proc-macro)"))
        .filter_map(name)
        .filter(|name| name != package)
        .collect())
}
