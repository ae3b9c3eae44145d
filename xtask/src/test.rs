//! Everything that CI checks, in the order in which it fails fastest.

use anyhow::Result;

use crate::{build, command, setup, tidy};

/// Runs all of it.
pub(crate) fn run() -> Result<()> {
    step("format", || command::run("cargo", &["fmt", "--all", "--check"]))?;
    step("set-up", || setup::run().and_then(|()| setup::for_tests()))?;
    step("build", build::all)?;
    step("tidy", tidy::run)?;
    step("clippy", || {
        command::run("cargo", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"])
    })?;
    step("fuzz targets compile", || {
        command::run("cargo", &["check", "--quiet", "--manifest-path", "fuzz/Cargo.toml"])
    })?;
    step("tests", || command::run("cargo", &["test", "--workspace", "--no-fail-fast"]))
}

fn step(name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    let begun = std::time::Instant::now();
    println!("== {name}");
    run()?;
    println!("== {name}: {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}
