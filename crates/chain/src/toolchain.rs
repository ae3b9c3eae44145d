//! What a local network is made of, as `cargo xtask setup` puts it below `devnet/`: anvil, PoCo's and RLC's bytecode.

use std::path::{Path, PathBuf};

use alloy::primitives::keccak256;

/// Version of the published PoCo contracts that are deployed.
pub const POCO_VERSION: &str = "6.1.0";
/// Changes whenever [`crate::deploy`] deploys something else, so that no older cached state is loaded.
const RECIPE: &str = "1";

/// The pinned tools, found.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// The anvil executable.
    pub anvil: PathBuf,
    /// The unpacked `@iexec/poco` package.
    pub poco: PathBuf,
    /// RLC's compiled contract.
    pub rlc: PathBuf,
    /// The prepared state of these versions; it need not exist yet.
    pub state: PathBuf,
}

impl Toolchain {
    /// Finds everything below the project's `devnet` directory.
    pub fn locate(devnet: &Path) -> Result<Self, ToolchainError> {
        let modules = devnet.join("node_modules");
        let cache = devnet.join(".cache");
        let poco = existing("the PoCo contracts", cache.join(format!("poco-{POCO_VERSION}")))?;
        let rlc = modules.join("rlc-faucet-contract/build/contracts/RLC.json");
        let pins = ["poco.json", "package-lock.json"].map(|name| devnet.join(name));
        let mut versions = RECIPE.as_bytes().to_vec();
        for path in pins {
            versions.extend(std::fs::read(&path).map_err(|cause| ToolchainError::Io { path, cause })?);
        }
        let key = const_hex::encode(&keccak256(&versions)[..8]);
        Ok(Self {
            anvil: anvil_below(&modules.join("@foundry-rs"))?,
            poco,
            rlc: existing("the RLC contract", rlc)?,
            state: cache.join(format!("state-{key}.json")),
        })
    }
}

/// The platform's package carries the executable; npm installs the one that fits (its name ends in os and architecture).
fn anvil_below(scope: &Path) -> Result<PathBuf, ToolchainError> {
    let file = if cfg!(windows) { "anvil.exe" } else { "anvil" };
    let missing = || ToolchainError::Missing { what: "anvil", path: scope.join("anvil-*/bin").join(file) };
    let packages = std::fs::read_dir(scope).map_err(|_| missing())?;
    let mut found = packages
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("anvil-"))
        .map(|entry| entry.path().join("bin").join(file))
        .filter(|path| path.is_file());
    found.next().ok_or_else(missing)
}

fn existing(what: &'static str, path: PathBuf) -> Result<PathBuf, ToolchainError> {
    if path.exists() { Ok(path) } else { Err(ToolchainError::Missing { what, path }) }
}

/// A part that is not there.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// Not installed.
    #[error("{what} not found at {path}; hint: run `cargo xtask setup`")]
    Missing {
        /// Which part.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
    /// Not readable.
    #[error("{path}: {cause}; hint: run `cargo xtask setup`")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
}
