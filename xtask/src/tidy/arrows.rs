//! Who may depend on whom (ARCHITECTURE.md): arrows go down only.

use anyhow::Result;
use serde_json::Value;

use crate::command;

/// Crate, and the workspace crates that it may name.
const ALLOWED: &[(&str, &[&str])] = &[
    ("iexec-archive", &[]),
    ("iexec-protocol", &["iexec-archive"]),
    ("iexec-attestation", &["iexec-protocol"]),
    ("iexec-chain", &["iexec-protocol"]),
    ("iexec-service", &["iexec-protocol"]),
    ("iexec-enclave", &["iexec-archive", "iexec-protocol", "iexec-simulated-tee"]),
    ("iexec-simulated-tee", &[]),
    ("iexec-sms", &["iexec-attestation", "iexec-chain", "iexec-protocol", "iexec-service"]),
    ("iexec-scheduler", &["iexec-chain", "iexec-protocol", "iexec-service"]),
    ("iexec-worker", &["iexec-chain", "iexec-protocol", "iexec-service"]),
    ("iexec-storage", &["iexec-archive", "iexec-chain", "iexec-protocol", "iexec-service"]),
    ("iexec-market", &["iexec-chain", "iexec-protocol", "iexec-service"]),
    ("iexec-cli", &["iexec-archive", "iexec-attestation", "iexec-chain", "iexec-protocol", "iexec-service"]),
];

/// Crates that are pure: no runtime, no log, no network in their own dependencies.
const PURE: &[&str] = &["iexec-archive", "iexec-protocol", "iexec-attestation"];
const IMPURE: &[&str] = &["tokio", "async-trait", "tracing", "log", "reqwest", "hyper", "axum", "alloy", "sqlx"];

/// The arrows that go up, and the impure things that pure crates name.
pub(crate) fn check() -> Result<Vec<String>> {
    let metadata: Value =
        serde_json::from_str(&command::output("cargo", &["metadata", "--no-deps", "--format-version", "1"])?)?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(packages.iter().flat_map(faults).collect())
}

fn faults(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let normal = |dependency: &&Value| dependency["kind"].is_null();
    let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named: Vec<&str> =
        dependencies.iter().filter(normal).filter_map(|dependency| dependency["name"].as_str()).collect();
    let mut faults = Vec::new();
    if let Some((_, allowed)) = ALLOWED.iter().find(|(crate_name, _)| *crate_name == name) {
        let up = named.iter().filter(|dependency| dependency.starts_with("iexec-") && !allowed.contains(dependency));
        faults.extend(up.map(|dependency| {
            format!("{name} may not depend on {dependency} (ARCHITECTURE.md, «who may depend on whom»)")
        }));
    }
    if PURE.contains(&name) {
        let impure = named.iter().filter(|dependency| IMPURE.contains(dependency));
        faults.extend(impure.map(|dependency| format!("{name} is pure and may not depend on {dependency}")));
    }
    faults
}
