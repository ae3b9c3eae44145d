//! Builds what a local network runs: the two commands, the static enclave program, the sample app's image.

use std::fs;

use anyhow::{Context as _, Result};
use iexec_e2e::workspace;

use crate::{command, enclave, image};

/// Builds all of it (profile `dev`).
pub(crate) fn all() -> Result<()> {
    eprintln!("build: iexec, iexecd, iexec-simulated-tee, iexec-enclave, the sample app's image");
    command::run("cargo", &["build", "--quiet", "--package", "iexec-cli", "--package", "iexec-daemon"])?;
    // By itself, so that what it asks of shared crates is not built into the services.
    command::run("cargo", &["build", "--quiet", "--package", "iexec-simulated-tee"])?;
    let (program, installed) = (enclave::build(false)?, workspace::enclave());
    let folder = installed.parent().context("no folder for the enclave program")?;
    fs::create_dir_all(folder)?;
    let part = installed.with_extension("part");
    fs::copy(&program, &part).with_context(|| format!("cannot copy {}", program.display()))?;
    fs::rename(&part, &installed)?;
    image::build_hello_world(&workspace::hello_world())?;
    Ok(())
}
