//! Runs a program in the root of the clone and insists that it succeeds.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use iexec_e2e::workspace;

/// Runs it; its output is the terminal's.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    run_with(program, arguments, &[])
}

/// Runs it with further environment variables.
pub(crate) fn run_with(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let status = command(program, arguments, variables).status().with_context(|| format!("cannot start {program}"))?;
    ensure!(status.success(), "`{program} {}` failed ({status})", arguments.join(" "));
    Ok(())
}

/// Runs it and yields what it prints.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = command(program, arguments, &[])
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    ensure!(output.status.success(), "`{program} {}` failed ({})", arguments.join(" "), output.status);
    String::from_utf8(output.stdout).with_context(|| format!("{program} prints no UTF-8"))
}

fn command(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace::root()).envs(variables.iter().copied());
    command
}
