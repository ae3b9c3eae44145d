//! The published npm `iexec`, pinned by a lock file for each version that is tested against.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::workspace;

/// Installs the SDK of `crates/e2e/<folder>` once, and yields the folder of its programs. npm checks the integrity of every
/// package against the lock file, and runs none of their scripts.
pub fn installed(folder: &str) -> Result<PathBuf> {
    let folder = workspace::root().join("crates/e2e").join(folder);
    let (lock, stamp) = (folder.join("package-lock.json"), folder.join("node_modules/.installed"));
    let wanted = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    if fs::read(&stamp).ok().as_ref() != Some(&wanted) {
        let status = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).status();
        ensure!(status.context("npm is missing; hint: install Node.js")?.success(), "npm ci failed");
        fs::write(stamp, wanted)?;
    }
    Ok(folder.join("node_modules/.bin"))
}
