//! The simulated TEE's collateral: a file beside its root, read again when it changes, so that it is renewed without a
//! restart. The root is not: whom an SMS believes is said at its start.

use std::{
    fs::{self, Metadata},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use anyhow::Context as _;
use iexec_attestation::{DcapCollateral, MAX_COLLATERAL};

/// Collateral in a file.
#[derive(Debug)]
pub(crate) struct Simulated {
    path: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// The file that was looked at last, whether it could be read or not.
    seen: Version,
    collateral: DcapCollateral,
}

/// What tells a file from the one that it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Simulated {
    /// Reads the file at `path`.
    pub(crate) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let kept = Mutex::new(Kept { seen: look(&path)?, collateral: read(&path)? });
        Ok(Self { path, kept })
    }

    /// What the file says now. One that cannot be read is told once and passed by: what was read before is given, and ends
    /// by its own date.
    pub(crate) fn now(&self) -> DcapCollateral {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(found) = look(&self.path) else { return kept.collateral.clone() };
        if found != kept.seen {
            kept.seen = found;
            match read(&self.path) {
                Ok(collateral) => {
                    tracing::info!("{} was renewed", self.path.display());
                    kept.collateral = collateral;
                }
                Err(error) => tracing::warn!("{error:#}; it is passed by"),
            }
        }
        kept.collateral.clone()
    }
}

fn look(path: &Path) -> anyhow::Result<Version> {
    let metadata = fs::metadata(path).with_context(|| shown(path))?;
    let (modified, length, inode) = (metadata.modified().ok(), metadata.len(), inode(&metadata));
    Ok(Version { modified, length, inode })
}

fn read(path: &Path) -> anyhow::Result<DcapCollateral> {
    let length = fs::metadata(path).with_context(|| shown(path))?.len();
    anyhow::ensure!(length <= MAX_COLLATERAL as u64, "{}: {length} bytes; at most {MAX_COLLATERAL}", shown(path));
    let bytes = fs::read(path).with_context(|| shown(path))?;
    DcapCollateral::from_json(&bytes).with_context(|| shown(path))
}

fn shown(path: &Path) -> String {
    format!("--insecure-simulated-tee: cannot read {}", path.display())
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
const fn inode(_: &Metadata) -> u64 {
    0
}
