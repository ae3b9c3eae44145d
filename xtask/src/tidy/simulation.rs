//! Programs without the simulated TEE: its maker's code is in no service, in no user's command, and in no enclave for
//! hardware.

use std::fs;

use anyhow::{Context as _, Result};

use super::enclave::run_time_crates;
use crate::enclave::build_static;

/// Packages, and the features that they are built with for hardware.
const WITHOUT: &[(&str, &[&str])] =
    &[("iexec-daemon", &[]), ("iexec-cli", &[]), ("iexec-enclave", &["--no-default-features"])];
const MAKER: &str = "iexec-simulated-tee";
/// What is in a program that has the simulation: its crate's name in symbols, its warning, where its platform is mounted.
const SIGNS: [&str; 3] = ["iexec_simulated_tee", "SIMULATED, proves nothing", "simulated-platform"];

/// Dependencies, and an enclave for hardware, built and looked through.
pub(crate) fn check() -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for (program, features) in WITHOUT {
        if run_time_crates(program, features)?.contains(MAKER) {
            faults.push(format!("{program} {} must not contain {MAKER}", features.join(" ")));
        }
    }
    // Not where the tests look for their enclave.
    let path = build_static("iexec-enclave", "iexec-enclave", false, &["--no-default-features"])?;
    let program = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    faults.extend(signs(&program).map(|sign| format!("an enclave for hardware must not contain {sign:?}")));
    Ok(faults)
}

fn signs(program: &[u8]) -> impl Iterator<Item = &'static str> {
    SIGNS.into_iter().filter(|sign| program.windows(sign.len()).any(|window| window == sign.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_is_found_wherever_it_stands() {
        assert_eq!(signs(b"..SIMULATED, proves nothing").collect::<Vec<_>>(), ["SIMULATED, proves nothing"]);
        assert_eq!(signs(b"SIMULATED, proves").count(), 0);
    }
}
