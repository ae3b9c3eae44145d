//! The tutorial, on a local network made for it.

use std::{fs, io, time::Instant};

use anyhow::{Context as _, Result};
use iexec_e2e::{network::Network, page, workspace};

use crate::{build, command, setup};

/// Sets up, builds, starts a network, runs the page, prints everything.
pub(crate) fn run(keep: bool) -> Result<()> {
    let begun = Instant::now();
    setup::run()?;
    build::all()?;
    let folder = workspace::target().join("demo");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot clear the demo's folder; does another demo run?")?;
    }
    fs::create_dir_all(&folder)?;
    let network = Network::start(&folder.join("network"), &[])?;
    println!("{}", network.log());
    let markdown = fs::read_to_string(workspace::root().join("docs/tutorial/protect-result.md"))?;
    let mut shell = network.shell(&folder.join("home"))?;
    let last = page::run(&markdown, &mut shell, |line| println!("{line}"))?;
    println!("\nThe decrypted result: {}", last.text());
    println!("{:.0} s in all.", begun.elapsed().as_secs_f64());
    if keep {
        println!("\nThe network stays up. In another terminal:");
        for (name, value) in network.variables(&folder.join("home")) {
            println!("  export {name}='{value}'");
        }
        println!("  export PATH=\"{}:$PATH\"\n\nPress Enter to stop it.", workspace::target().join("debug").display());
        io::stdin().read_line(&mut String::new())?;
    }
    network.stop()
}

/// Sets up, builds, and becomes `iexecd devnet`.
pub(crate) fn devnet(options: &[&str]) -> Result<()> {
    setup::run()?;
    build::all()?;
    let program = workspace::program("iexecd").display().to_string();
    command::run(&program, &[&["devnet"], options].concat())
}
