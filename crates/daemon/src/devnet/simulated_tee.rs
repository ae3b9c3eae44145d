//! The simulated TEE's set-up: a program of its own makes keys, certificates and collateral, since no service has that code.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use tokio::process::Command;

/// The maker's name; it lies beside this program.
pub(crate) const PROGRAM: &str = "iexec-simulated-tee";

/// What the maker made, as it says itself.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct SimulatedTee {
    /// The trust anchor.
    pub(crate) root: PathBuf,
    /// What the worker mounts into its enclaves.
    pub(crate) platform: PathBuf,
}

/// Makes it in `folder`, or renews its collateral.
pub(crate) async fn prepare(program: &Path, folder: &Path) -> Result<SimulatedTee> {
    ensure!(
        program.is_file(),
        "the program {} is missing\nhint: `cargo xtask setup` builds it, or name it with --simulated-tee-maker",
        program.display()
    );
    let mut command = Command::new(program);
    command.arg("setup").arg(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("cannot start {}", program.display()))?;
    read(&output).with_context(|| format!("{PROGRAM} setup {}", folder.display()))
}

fn read(output: &Output) -> Result<SimulatedTee> {
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("its answer is malformed")
}
