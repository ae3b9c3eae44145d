//! The simulated TEE's keys on disk: a root, and one platform that it certified. Made at a local network's set-up.
//!
//! They guard nothing: whoever reads them passes for any enclave (spec ATT-10).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use iexec_protocol::{
    Address,
    evidence::simulated::{PlatformCertificate, PlatformFile},
    key::SigningKey,
};
use iexec_service::store::private_folder;
use zeroize::Zeroizing;

use crate::private_file;

/// Name of the root key's file: 64 hex digits.
pub const ROOT: &str = "simulated-root.key";
/// Name of the platform's file: [`PlatformFile`] as JSON, what a worker mounts into its enclaves.
pub const PLATFORM: &str = "simulated-platform.json";

const MAX_FILE: u64 = 4096;

/// A simulated TEE's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedPki {
    /// The root's address: the trust anchor.
    pub root: Address,
    /// The platform's file.
    pub platform: PathBuf,
}

/// Reads the keys in `folder`, and makes what is not there yet. Calling it again changes nothing.
pub fn prepare(folder: &Path) -> anyhow::Result<SimulatedPki> {
    private_folder(folder)?;
    let (root_path, platform) = (folder.join(ROOT), folder.join(PLATFORM));
    let root = root(&root_path).with_context(|| format!("the simulated root key {}", root_path.display()))?;
    check_platform(&platform, &root).with_context(|| format!("the simulated platform {}", platform.display()))?;
    Ok(SimulatedPki { root: root.address(), platform })
}

fn root(path: &Path) -> anyhow::Result<SigningKey> {
    if let Some(text) = private_file::read(path, MAX_FILE)?.map(Zeroizing::new) {
        return Ok(SigningKey::from_hex(text.trim())?);
    }
    let key = SigningKey::random(&mut rand::rng());
    private_file::create(path, hex(&key).as_bytes())?;
    Ok(key)
}

fn check_platform(path: &Path, root: &SigningKey) -> anyhow::Result<()> {
    let Some(text) = private_file::read(path, MAX_FILE)?.map(Zeroizing::new) else { return issue(path, root) };
    let file: PlatformFile = serde_json::from_str(&text)?;
    let (key, certificate) = (SigningKey::from_hex(&Zeroizing::new(file.key))?, file.certificate);
    if key.address() != certificate.platform {
        bail!("its key is of {}, its certificate of {}", key.address(), certificate.platform);
    }
    let (expected, hash) = (root.address(), PlatformCertificate::hash(certificate.platform));
    if certificate.signature.signer_of_personal(hash) != Some(expected) {
        bail!("its certificate is not of the root {expected} beside it\nhint: remove it, another is made");
    }
    Ok(())
}

fn issue(path: &Path, root: &SigningKey) -> anyhow::Result<()> {
    let key = SigningKey::random(&mut rand::rng());
    let certificate = PlatformCertificate::issue(root, key.address())?;
    let file = PlatformFile { key: hex(&key).to_string(), certificate };
    private_file::create(path, serde_json::to_string_pretty(&file)?.as_bytes())?;
    Ok(())
}

fn hex(key: &SigningKey) -> Zeroizing<String> {
    Zeroizing::new(const_hex::encode(key.expose().as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preparing_twice_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let first = prepare(folder.path()).unwrap();
        let platform = std::fs::read(&first.platform).unwrap();
        assert_eq!(prepare(folder.path()).unwrap(), first);
        assert_eq!(std::fs::read(&first.platform).unwrap(), platform);
    }

    #[test]
    fn a_platform_of_another_root_is_refused_and_a_missing_one_made_again() {
        let (mine, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, foreign) = (prepare(mine.path()).unwrap(), prepare(other.path()).unwrap());
        std::fs::copy(&foreign.platform, &first.platform).unwrap();
        assert!(format!("{:#}", prepare(mine.path()).unwrap_err()).contains("is not of the root"));
        std::fs::remove_file(&first.platform).unwrap();
        assert_eq!(prepare(mine.path()).unwrap(), first);
    }
}
