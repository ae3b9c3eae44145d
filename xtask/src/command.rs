//! Runs a program in the root of the clone and insists that it succeeds.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use iexec_e2e::workspace;

/// Whether this is continuous integration, where nothing may be left out (`.ci/run` says so).
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some()
}

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

/// Runs it, and shows each line of its standard output to `line` as it comes.
pub(crate) fn lines(program: &str, arguments: &[&str], mut line: impl FnMut(&str)) -> Result<()> {
    let mut child = command(program, arguments, &[])
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let mut output = BufReader::new(child.stdout.take().with_context(|| format!("{program} has no output"))?);
    let mut bytes = Vec::new();
    while output.read_until(b'\n', &mut bytes)? > 0 {
        line(String::from_utf8_lossy(&bytes).trim_end_matches('\n'));
        bytes.clear();
    }
    let status = child.wait()?;
    ensure!(status.success(), "`{program} {}` failed ({status})", arguments.join(" "));
    Ok(())
}

fn command(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace::root()).envs(variables.iter().copied());
    command
}
