//! One target's run, and what libFuzzer says of it.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use iexec_e2e::workspace;

/// Resident memory, the fuzzer's own included, in MiB.
const MEMORY: u32 = 512;
/// One allocation, in MiB: nothing that is parsed from outside makes a larger one.
const ALLOCATION: u32 = 64;
/// One input, in seconds.
const TIME: u32 = 10;
/// A corpus in git stays small: bytes of one seed, of all.
const LONGEST_SEED: u32 = 8 << 10;
const LARGEST_CORPUS: u64 = 300_000;

/// What came of a target.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) target: String,
    seconds: u32,
    figures: Figures,
    /// The end of libFuzzer's words and how to see them again.
    pub(super) crash: Option<String>,
}

/// As libFuzzer counts: inputs run, inputs in the corpus, places and features that they reach.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    runs: u64,
    /// Places reached by the committed corpus alone.
    begun: u64,
    places: u64,
    features: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { runs, begun, places, features } = &self.figures;
        let per_second = runs / u64::from(self.seconds.max(1));
        let verdict = if self.crash.is_some() { "FAULT" } else { "no fault" };
        write!(
            formatter,
            "fuzz {}: {runs} runs in {} s ({per_second}/s), {places} places reached ({begun} by the corpus), \
             {features} features, {verdict}",
            self.target, self.seconds
        )
    }
}

/// Runs the target from its corpus for so many seconds.
pub(super) fn target(folder: &Path, target: &str, seconds: u32) -> Result<Outcome> {
    let (corpus, finds) = (corpus(target)?, finds(target));
    let faults = super::folder().join("faults").join(target);
    for folder in [&finds, &faults] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    // From the committed corpus, not from what an older run found, so that two runs can be compared.
    clear(&finds)?;
    let output = program(folder, target)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", faults.display()))
        .arg("-print_final_stats=1")
        .args([&finds, &corpus])
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot start the fuzz target {target}"))?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let figures = figures(&log);
    let crash = (!output.status.success()).then(|| told(target, &log));
    ensure!(crash.is_some() || figures.places > 0, "the fuzz target {target} reports no coverage:\n{}", end(&log));
    Ok(Outcome { target: target.to_owned(), seconds, figures, crash })
}

/// Runs one input; libFuzzer's words go to the terminal.
pub(super) fn reproduce(folder: &Path, target: &str, input: &Path) -> Result<()> {
    let input = input.canonicalize().with_context(|| format!("cannot read {}", input.display()))?;
    let status = program(folder, target).arg(input).status().context("cannot start the fuzz target")?;
    ensure!(status.success(), "the fuzz target {target} fails on this input ({status})");
    Ok(())
}

/// Adds to the committed corpus the finds that reach more than it does.
pub(super) fn keep(folder: &Path, target: &str) -> Result<()> {
    let corpus = corpus(target)?;
    let status = program(folder, target)
        // Few files that together reach every place, however often they do.
        .args(["-set_cover_merge=1", "-use_counters=0", &format!("-max_len={LONGEST_SEED}")])
        .args([&corpus, &finds(target)])
        .stderr(Stdio::null())
        .status()
        .context("cannot start the fuzz target")?;
    ensure!(status.success(), "libFuzzer does not merge the corpus of {target} ({status})");
    let sizes = fs::read_dir(&corpus)?.map(|entry| Ok(entry?.metadata()?.len())).collect::<Result<Vec<u64>>>()?;
    let size: u64 = sizes.iter().sum();
    println!("fuzz {target}: the corpus has {} seeds, {size} bytes", sizes.len());
    ensure!(size <= LARGEST_CORPUS, "{} has {size} bytes, at most {LARGEST_CORPUS}", corpus.display());
    Ok(())
}

fn program(folder: &Path, target: &str) -> Command {
    let mut command = Command::new(folder.join(target));
    command
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg(format!("-malloc_limit_mb={ALLOCATION}"))
        .arg(format!("-timeout={TIME}"))
        // What is freed is kept for 16 MiB only, else the limit of memory would measure the sanitizer. Leaks are no faults
        // here, and looking for them needs ptrace.
        .env("ASAN_OPTIONS", "quarantine_size_mb=16:detect_leaks=0")
        .current_dir(workspace::root())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

fn corpus(target: &str) -> Result<PathBuf> {
    let corpus = workspace::root().join("fuzz/corpus").join(target);
    let filled = fs::read_dir(&corpus).is_ok_and(|mut entries| entries.next().is_some());
    ensure!(filled, "fuzz/corpus/{target} has no seed; hint: commit a few small inputs there");
    Ok(corpus)
}

fn finds(target: &str) -> PathBuf {
    super::folder().join("finds").join(target)
}

fn clear(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// Lines such as `#13 INITED cov: 212 ft: 310 corp: 12/4Kb …` (a tab before the word) and, at the end,
/// `stat::number_of_executed_units: 4096`.
fn figures(log: &str) -> Figures {
    let after = |line: &str, name: &str| {
        let (_, rest) = line.split_once(name)?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    };
    let mut figures = Figures::default();
    for line in log.lines() {
        if let Some(places) = after(line, " cov: ") {
            figures.begun = if line.contains("\tINITED ") { places } else { figures.begun };
            figures.places = figures.places.max(places);
        }
        figures.features = figures.features.max(after(line, " ft: ").unwrap_or(0));
        figures.runs = after(line, "stat::number_of_executed_units:").unwrap_or(figures.runs);
    }
    figures
}

fn told(target: &str, log: &str) -> String {
    let input = log.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, path)| path);
    let again = match input {
        Some(input) => format!("reproduce: cargo xtask fuzz --target {target} --input {input}"),
        None => format!("no input was written; run it again: cargo xtask fuzz --target {target}"),
    };
    format!("{}\n{again}", end(log))
}

/// The last lines.
fn end(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "INFO: Loaded 1 modules\n\
        #13\tINITED cov: 212 ft: 310 corp: 12/4Kb exec/s: 0 rss: 60Mb\n\
        #512\tNEW    cov: 260 ft: 402 corp: 13/4Kb lim: 4096 exec/s: 0 rss: 61Mb L: 9/90 MS: 1 EraseBytes-\n\
        #4096\tDONE   cov: 261 ft: 404 corp: 14/4Kb lim: 4096 exec/s: 2048 rss: 62Mb\n\
        stat::number_of_executed_units: 4096\n";

    #[test]
    fn figures_are_those_that_libfuzzer_prints() {
        assert_eq!(figures(LOG), Figures { runs: 4096, begun: 212, places: 261, features: 404 });
        assert_eq!(figures("nothing was run"), Figures::default());
    }

    #[test]
    fn a_fault_says_how_to_see_it_again() {
        let log = "panicked at x\nartifact_prefix='t/'; Test unit written to t/crash-1\nBase64: AA==";
        assert!(told("image", log).ends_with("reproduce: cargo xtask fuzz --target image --input t/crash-1"));
        assert!(told("image", "killed").contains("no input was written"));
    }
}
