//! Static programs: `iexec-enclave`, which must start in any image, and the sample app, whose image has no libraries.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use iexec_e2e::workspace;

/// Builds `iexec-enclave` for this machine, statically linked; its path. Profile `release`, or `dev`.
pub(crate) fn build(release: bool) -> Result<PathBuf> {
    build_static("iexec-enclave", "iexec-enclave", release, &[])
}

/// Builds one package's program statically, in a target folder of its own: other flags would rebuild everything.
pub(crate) fn build_static(package: &str, program: &str, release: bool, options: &[&str]) -> Result<PathBuf> {
    let triple = host()?;
    let target = workspace::target().join("static");
    let (profile, folder) = if release { ("release", "release") } else { ("dev", "debug") };
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--package", package, "--bin", program, "--profile", profile, "--target", &triple])
        .args(options)
        .arg("--target-dir")
        .arg(&target)
        .current_dir(workspace::root())
        // Flags for a target leave build scripts and macros alone; the general ones would take their place.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env(flags_variable(&triple), "-C target-feature=+crt-static -C strip=symbols")
        .stdin(Stdio::null())
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "cargo does not build {package} statically ({status})");
    let built = target.join(&triple).join(folder).join(program);
    ensure!(built.is_file(), "cargo built {package}, but {} is not there", built.display());
    Ok(built)
}

/// The target that this toolchain runs on, `x86_64-unknown-linux-gnu` for example.
pub(crate) fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?;
    ensure!(output.status.success(), "`rustc -vV` failed ({})", output.status);
    let text = String::from_utf8(output.stdout).context("`rustc -vV` prints no UTF-8")?;
    let triple = host_in(&text).context("`rustc -vV` names no host")?;
    if !triple.contains("-linux-") {
        bail!("the enclave program is Linux's own; this toolchain builds for {triple}");
    }
    Ok(triple.to_owned())
}

fn host_in(version: &str) -> Option<&str> {
    version.lines().find_map(|line| line.strip_prefix("host: "))
}

/// Cargo's variable for the flags of one target.
pub(crate) fn flags_variable(triple: &str) -> String {
    format!("CARGO_TARGET_{}_RUSTFLAGS", triple.to_uppercase().replace(['-', '.'], "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_given_to_the_target_alone() {
        let variable = flags_variable("aarch64-unknown-linux-gnu");
        assert_eq!(variable, "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS");
        assert_eq!(host_in("rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\n"), Some("x86_64-unknown-linux-gnu"));
    }
}
