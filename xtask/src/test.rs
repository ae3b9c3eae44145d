//! Everything that CI checks, in the order in which it fails fastest; at the end, what it took and what was not run.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{build, command, fuzz, setup, tidy};

/// Runs all of it.
pub(crate) fn run() -> Result<()> {
    let mut report = Report { begun: Instant::now(), steps: Vec::new(), told: Vec::new() };
    let outcome = steps(&mut report);
    report.print();
    outcome
}

fn steps(report: &mut Report) -> Result<()> {
    report.step("format", |_| command::run("cargo", &["fmt", "--all", "--check"]))?;
    report.step("set-up", |told| {
        setup::run()?;
        told.extend(setup::for_tests()?);
        Ok(())
    })?;
    report.step("build", |_| build::all())?;
    report.step("tidy", |_| tidy::run())?;
    report.step("clippy", |_| {
        command::run("cargo", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"])
    })?;
    report.step("tests", tests)?;
    report.step("fuzz", |told| {
        told.extend(fuzz::run(&fuzz::Options::default())?);
        Ok(())
    })
}

/// All tests. What those that pass print is not shown, but for what they tell.
fn tests(told: &mut Vec<String>) -> Result<()> {
    let mut output = Output::default();
    command::lines("cargo", &["test", "--workspace", "--no-fail-fast", "--", "--show-output"], |line| {
        if tells(line) {
            told.push(line.to_owned());
        }
        if output.shows(line) {
            println!("{line}");
        }
    })
}

/// Whether a test tells that something was not run, or how much was.
fn tells(line: &str) -> bool {
    ["not run: ", "ran: "].iter().any(|word| line.starts_with(word))
}

/// Where in the test harness's output we are.
#[derive(Default)]
struct Output {
    successes: bool,
}

impl Output {
    /// Whether the line is none of a test that passed.
    fn shows(&mut self, line: &str) -> bool {
        if line == "successes:" {
            self.successes = true;
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.successes = false;
        }
        !self.successes
    }
}

struct Report {
    begun: Instant,
    steps: Vec<(String, Duration)>,
    /// `not run: …`, `ran: …`, and the fuzz targets' lines.
    told: Vec<String>,
}

impl Report {
    fn step(&mut self, name: &str, run: impl FnOnce(&mut Vec<String>) -> Result<()>) -> Result<()> {
        let begun = Instant::now();
        println!("== {name}");
        let outcome = run(&mut self.told);
        self.steps.push((name.to_owned(), begun.elapsed()));
        println!("== {name}: {:.0} s{}", begun.elapsed().as_secs_f64(), if outcome.is_ok() { "" } else { ", FAILED" });
        outcome
    }

    fn print(&self) {
        let (absent, ran): (Vec<_>, Vec<_>) = self.told.iter().partition(|line| line.starts_with("not run: "));
        println!("\n== summary");
        for (name, time) in &self.steps {
            println!("{:>6.0} s  {name}", time.as_secs_f64());
        }
        println!("{:>6.0} s  in all", self.begun.elapsed().as_secs_f64());
        ran.iter().chain(&absent).for_each(|line| println!("{line}"));
        println!("{} things were not run", absent.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passing_tests_print_is_left_out_and_what_they_tell_is_kept() {
        let text = "test a ... ok\nsuccesses:\n---- a stdout ----\nnot run: no root\nran: 7 cases\nnoise\nfailures:\n\
            ---- b stdout ----\nassertion\ntest result: FAILED.\nrunning 0 tests";
        let mut output = Output::default();
        let (mut shown, mut told) = (Vec::new(), Vec::new());
        for line in text.lines() {
            told.extend(tells(line).then_some(line));
            shown.extend(output.shows(line).then_some(line));
        }
        assert_eq!(told, ["not run: no root", "ran: 7 cases"]);
        let expected = [
            "test a ... ok",
            "failures:",
            "---- b stdout ----",
            "assertion",
            "test result: FAILED.",
            "running 0 tests",
        ];
        assert_eq!(shown, expected);
    }
}
