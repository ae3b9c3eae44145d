//! Where things lie in a clone of this project.

use std::path::{Path, PathBuf};

/// The root of the clone.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .components()
        .collect::<PathBuf>()
        .canonicalize()
        .unwrap_or_default()
}

/// Cargo's target folder, `CARGO_TARGET_DIR` respected.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The folder of the programs that `cargo xtask` builds: profile `dev`, or `release` for measurements
/// (`IEXEC_PROGRAMS=release`).
pub fn programs() -> PathBuf {
    let profile = std::env::var("IEXEC_PROGRAMS").ok().filter(|profile| profile == "release");
    target().join(profile.as_deref().unwrap_or("debug"))
}

/// One of them.
pub fn program(name: &str) -> PathBuf {
    programs().join(name)
}

/// The statically linked enclave program that `cargo xtask` builds.
pub fn enclave() -> PathBuf {
    target().join("devnet/iexec-enclave")
}

/// The sample app's image, an OCI layout that `cargo xtask` builds.
pub fn hello_world() -> PathBuf {
    target().join("devnet/images/hello-world")
}
