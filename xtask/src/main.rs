//! `cargo xtask`: set-up, demo, tests, tidy and benchmarks of the workspace.

#![allow(clippy::print_stdout, reason = "a developer's tool answers on standard output")]

mod bench;
mod build;
mod command;
mod demo;
mod enclave;
mod fuzz;
mod image;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "cargo xtask <command>

  setup           install the pinned chain, contracts and container runtime; build what the network runs
  demo [--keep]   start a local network and run the tutorial on it; --keep leaves the network up
  devnet [...]    start a local network and leave it up (options of `iexecd devnet`)
  test            everything that CI checks
  fuzz [--seconds N] [--target T]... [--keep]
                  run the fuzz targets from their corpora; --keep adds finds to the corpora that cover more;
                  --target T --input FILE runs one input
  tidy            only the checks of structure and documents
  bench           measure, and print docs/performance.md's table
  bench archive [--large]
                  measure archives of 1 MiB to 1 GiB (--large: instead, 950 MiB to 20 GB) against openssl, age and the SDK
  bench sms [...] measure the SMS under load (options of `iexec-load`)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["setup"] => setup::run().and_then(|()| build::all()),
        ["demo"] => demo::run(false),
        ["demo", "--keep"] => demo::run(true),
        ["devnet", options @ ..] => demo::devnet(options),
        ["test"] => test::run(),
        ["fuzz", options @ ..] => fuzz::run(&fuzz::Options::parse(options)?).map(drop),
        ["tidy"] => tidy::run(),
        ["bench"] => bench::run(),
        ["bench", "archive"] => bench::archive::run(false),
        ["bench", "archive", "--large"] => bench::archive::run(true),
        ["bench", "sms", flags @ ..] => bench::sms::run(flags),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("unknown command `{}`\n{USAGE}", words.join(" ")),
    }
}
