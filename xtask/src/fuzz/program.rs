//! The fuzz programs: which there are, and how they are built.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use iexec_e2e::workspace;
use serde::Deserialize;

use crate::{command, enclave};

const MANIFEST: &str = "fuzz/Cargo.toml";
/// LLVM's SanitizerCoverage as libFuzzer reads it (counters, a table of places, compared values), and AddressSanitizer,
/// which also lets libFuzzer see each allocation. `cfg(fuzzing)` stays unset: it makes some crates weaken what they check.
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Zsanitizer=address",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// The names of all targets, as `fuzz/Cargo.toml` has them.
pub(super) fn targets() -> Result<Vec<String>> {
    let text = command::output(
        "cargo",
        &["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path", MANIFEST],
    )?;
    let metadata: Metadata = serde_json::from_str(&text).context("cargo metadata of fuzz/Cargo.toml")?;
    let targets: Vec<String> =
        metadata.packages.into_iter().flat_map(|package| package.targets).map(|target| target.name).collect();
    ensure!(!targets.is_empty(), "{MANIFEST} has no targets");
    Ok(targets)
}

/// Builds them all, below `target/fuzz`; the folder of the programs. A stable compiler has the sanitizer and does not offer it
/// by itself: `RUSTC_BOOTSTRAP` makes it.
pub(super) fn build() -> Result<PathBuf> {
    let (triple, folder) = (enclave::host()?, super::folder());
    println!("fuzz: building the targets with coverage and AddressSanitizer");
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--bins", "--manifest-path", MANIFEST, "--target", &triple])
        .arg("--target-dir")
        .arg(&folder)
        .current_dir(workspace::root())
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTC_BOOTSTRAP", "1")
        .env(enclave::flags_variable(&triple), FLAGS.join(" "))
        .stdin(Stdio::null())
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "cargo does not build the fuzz targets ({status})");
    Ok(folder.join(triple).join("debug"))
}
