//! `cargo xtask bench sms`: the SMS under load, on SQLite and PostgreSQL, and what the machine could do at best.
//!
//! The load is made by `iexec-load`; what is here builds the two programs for release and starts it.

use anyhow::Result;
use iexec_e2e::workspace;

use crate::command;

/// Builds for release, measures, prints the tables. `flags` are those of `iexec-load`.
pub(crate) fn run(flags: &[&str]) -> Result<()> {
    for package in ["iexec-daemon", "iexec-load"] {
        command::run("cargo", &["build", "--quiet", "--release", "--package", package])?;
    }
    let programs = workspace::target().join("release");
    let [load, iexecd] = ["iexec-load", "iexecd"].map(|name| programs.join(name).display().to_string());
    command::run(&load, &[&[iexecd.as_str()], flags].concat())
}
