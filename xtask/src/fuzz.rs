//! `cargo xtask fuzz`: every fuzz target, from its committed corpus, for some seconds, two at a time.
//!
//! What a run finds stays below `target/fuzz/finds`; only `--keep` adds to `fuzz/corpus` what covers more.

mod program;
mod run;

use std::{path::PathBuf, sync::Mutex, thread};

use anyhow::{Context as _, Result, bail, ensure};
use iexec_e2e::workspace;

use crate::{command, fuzz::run::Outcome};

/// Targets whose input decides what a beneficiary believes: they get the longer time in CI.
const LONG: [&str; 3] = ["archive_open", "receipt", "key_pem"];
const AT_ONCE: usize = 2;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Of each target; by default what [`seconds`] says.
    seconds: Option<u32>,
    /// By default all.
    targets: Vec<String>,
    /// Runs this one file instead, to reproduce a crash.
    input: Option<PathBuf>,
    /// Adds to the committed corpus what covers more.
    keep: bool,
}

impl Options {
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let (mut options, mut words) = (Self::default(), words.iter());
        while let Some(option) = words.next() {
            let mut value = || words.next().with_context(|| format!("{option} needs a value"));
            match *option {
                "--seconds" => options.seconds = Some(value()?.parse().context("--seconds is a whole number")?),
                "--target" => options.targets.push((*value()?).to_owned()),
                "--input" => options.input = Some(value()?.into()),
                "--keep" => options.keep = true,
                other => bail!("unknown option `{other}` of `cargo xtask fuzz`"),
            }
        }
        ensure!(options.input.is_none() || options.targets.len() == 1, "--input needs one --target");
        Ok(options)
    }
}

/// What one target gets: 60 s or 15 s in CI, 5 s elsewhere, so that a developer's run stays quick.
fn seconds(target: &str, ci: bool) -> u32 {
    match (ci, LONG.contains(&target)) {
        (true, true) => 60,
        (true, false) => 15,
        (false, _) => 5,
    }
}

/// Builds, runs, prints a line for each target; fails on any crash. Yields those lines.
pub(crate) fn run(options: &Options) -> Result<Vec<String>> {
    let targets = chosen(program::targets()?, &options.targets)?;
    let folder = program::build()?;
    if let Some(input) = &options.input {
        return run::reproduce(&folder, &targets[0], input).map(|()| Vec::new());
    }
    let planned = targets.iter().map(|target| {
        let seconds = options.seconds.unwrap_or_else(|| seconds(target, command::in_ci()));
        (target.as_str(), seconds)
    });
    // The longest first, so that both processors end together.
    let mut planned: Vec<(&str, u32)> = planned.collect();
    planned.sort_by_key(|(_, seconds)| *seconds);
    let (queue, outcomes) = (Mutex::new(planned), Mutex::new(Vec::new()));
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((target, seconds)) = next() {
                    let outcome = run::target(&folder, target, seconds);
                    tell(&outcome);
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push(outcome);
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default().into_iter().collect::<Result<Vec<Outcome>>>()?;
    let crashed: Vec<&str> =
        outcomes.iter().filter(|outcome| outcome.crash.is_some()).map(|o| o.target.as_str()).collect();
    ensure!(crashed.is_empty(), "fuzzing found a fault in: {}", crashed.join(", "));
    ensure!(outcomes.len() == targets.len(), "{} of {} fuzz targets ran", outcomes.len(), targets.len());
    if options.keep {
        targets.iter().try_for_each(|target| run::keep(&folder, target))?;
    }
    Ok(outcomes.iter().map(ToString::to_string).collect())
}

fn tell(outcome: &Result<Outcome>) {
    match outcome {
        Ok(outcome) => {
            println!("{outcome}");
            if let Some(crash) = &outcome.crash {
                println!("{crash}");
            }
        }
        Err(error) => println!("{error:#}"),
    }
}

fn chosen(all: Vec<String>, wanted: &[String]) -> Result<Vec<String>> {
    let unknown = wanted.iter().find(|target| !all.contains(target));
    if let Some(unknown) = unknown {
        bail!("there is no fuzz target `{unknown}`; there are: {}", all.join(", "));
    }
    Ok(all.into_iter().filter(|target| wanted.is_empty() || wanted.contains(target)).collect())
}

/// Where what is made for fuzzing lies.
fn folder() -> PathBuf {
    workspace::target().join("fuzz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_what_is_missing_is_said() {
        let options = Options::parse(&["--seconds", "9", "--target", "receipt", "--target", "image"]).unwrap();
        let targets = vec!["receipt".to_owned(), "image".to_owned()];
        assert_eq!(options, Options { seconds: Some(9), targets, ..Options::default() });
        let error = |words: &[&str]| format!("{:#}", Options::parse(words).unwrap_err());
        assert_eq!(error(&["--seconds"]), "--seconds needs a value");
        assert_eq!(error(&["--input", "crash-1"]), "--input needs one --target");
        assert_eq!(error(&["--fast"]), "unknown option `--fast` of `cargo xtask fuzz`");
        let all = || vec!["image".to_owned(), "receipt".to_owned()];
        assert_eq!(chosen(all(), &[]).unwrap(), all());
        let error = chosen(all(), &["archive".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "there is no fuzz target `archive`; there are: image, receipt");
    }

    #[test]
    fn ci_gives_a_minute_to_what_a_beneficiary_believes() {
        for target in LONG {
            assert_eq!((seconds(target, true), seconds(target, false)), (60, 5));
        }
        assert_eq!(seconds("image", true), 15);
    }
}
