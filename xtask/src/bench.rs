//! Measures what docs/performance.md states, on release builds; prints one table. Medians, since machines are noisy.

pub(crate) mod archive;
pub(crate) mod sms;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use iexec_e2e::{network::Network, page, shell::Shell, workspace};

use crate::{build, command, setup, tidy};

const SERVICES: [&str; 5] = ["sms", "storage", "market", "scheduler", "worker"];
const RUNS: usize = 7;
const LIMIT: Duration = Duration::from_mins(1);

/// Builds for release, measures, prints.
pub(crate) fn run() -> Result<()> {
    if std::env::var("IEXEC_PROGRAMS").is_err() {
        setup::run()?;
        build::all()?;
        command::run(
            "cargo",
            &["build", "--quiet", "--release", "--package", "iexec-cli", "--package", "iexec-daemon"],
        )?;
        command::run("cargo", &["build", "--quiet", "--release", "--package", "iexec-simulated-tee"])?;
        let this = std::env::current_exe()?.display().to_string();
        return command::run_with(&this, &["bench"], &[("IEXEC_PROGRAMS", "release")]);
    }
    println!("| figure | measured | aim |\n|---|---|---|");
    row("`iexec --version`, wall, median of 30", &millis(median(&mut version_times()?)), "< 10 ms");
    row(
        "run-time crates of `iexec-enclave`",
        &tidy::enclave::run_time_crates("iexec-enclave", &[])?.len().to_string(),
        "< 160",
    );
    let folder = tempfile::tempdir()?;
    let begun = Instant::now();
    let network = Network::start(&folder.path().join("network"), &[])?;
    row("first start of a local network to ready", &seconds(begun.elapsed()), "");
    let mut shell = network.shell(&folder.path().join("home"))?;
    prepare(&mut shell)?;
    row("memory of the idle network without anvil (sum of PSS)", &format!("{:.0} MB", memory(&network)?), "< 150 MB");
    let mut times = (0..RUNS).map(|_| app_run(&mut shell)).collect::<Result<Vec<_>>>()?;
    row(
        &format!("`app run` to COMPLETED, sample app, 1-second blocks, median of {RUNS}"),
        &seconds(median(&mut times)),
        "< 6 s",
    );
    row("the same after these runs: memory without anvil", &format!("{:.0} MB", memory(&network)?), "");
    network.stop()?;
    let begun = Instant::now();
    let network = Network::start(&folder.path().join("network"), &[])?;
    row("start on the same data to ready", &seconds(begun.elapsed()), "< 15 s");
    network.stop()
}

fn row(figure: &str, measured: &str, aim: &str) {
    println!("| {figure} | {measured} | {aim} |");
}

fn version_times() -> Result<Vec<Duration>> {
    let once = || {
        let begun = Instant::now();
        let status = Command::new(workspace::program("iexec")).arg("--version").stdout(Stdio::null()).status()?;
        ensure!(status.success(), "iexec --version failed");
        Ok(begun.elapsed())
    };
    once()?;
    (0..30).map(|_| once()).collect()
}

/// Everything of the tutorial before the run.
fn prepare(shell: &mut Shell) -> Result<()> {
    let markdown = fs::read_to_string(workspace::root().join("docs/tutorial/protect-result.md"))?;
    let (before, _) = markdown.split_once("## Run the app").context("the tutorial has no section «Run the app»")?;
    page::run(before, shell, |_| ())?;
    Ok(())
}

fn app_run(shell: &mut Shell) -> Result<Duration> {
    let begun = Instant::now();
    let output = shell.run("iexec app run --tag tee --encrypt-result --watch --force", LIMIT, |_| ())?;
    ensure!(output.status == 0, "app run failed: {}", output.text());
    Ok(begun.elapsed())
}

/// Proportional set size of the services, in megabytes (`/proc/<pid>/smaps_rollup`).
fn memory(network: &Network) -> Result<f64> {
    let of = |service: &&str| -> Result<f64> {
        let path = Path::new("/proc").join(network.pid(service)?.to_string()).join("smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss line")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kilobytes / 1000.0)
    };
    SERVICES.iter().map(of).sum()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
