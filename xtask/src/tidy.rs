//! What no lint can say about the structure, the documents and the trusted computing base.

mod arrows;
mod documents;
pub(crate) mod enclave;
mod simulation;
mod states;

use anyhow::{Result, ensure};

/// Runs every check and tells all that is wrong at once.
pub(crate) fn run() -> Result<()> {
    let mut faults = Vec::new();
    faults.extend(arrows::check()?);
    faults.extend(enclave::check()?);
    faults.extend(simulation::check()?);
    faults.extend(documents::check()?);
    faults.extend(states::check()?);
    for fault in &faults {
        println!("tidy: {fault}");
    }
    ensure!(faults.is_empty(), "{} things are not tidy", faults.len());
    Ok(())
}
