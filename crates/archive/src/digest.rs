//! What an entry's bytes amount to: size, SHA-256, and the CRC that zip wants. Computed while the bytes pass.

use sha2::{Digest, Sha256};
#[cfg(feature = "open")]
use std::io::{self, Read};

/// One entry's name, size in bytes and SHA-256 of its uncompressed bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryDigest {
    /// Path inside the archive.
    pub name: String,
    /// Uncompressed size in bytes.
    pub size: u64,
    /// SHA-256 of the uncompressed bytes.
    pub sha256: [u8; 32],
}

/// Running size, SHA-256 and CRC-32 of the bytes seen so far.
#[derive(Default)]
pub(crate) struct Measure {
    sha256: Sha256,
    crc: flate2::Crc,
    size: u64,
}

impl Measure {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut measure = Self::default();
        measure.update(bytes);
        measure
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.crc.update(bytes);
        self.size += bytes.len() as u64;
    }

    pub(crate) fn crc(&self) -> u32 {
        self.crc.sum()
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn finish(self, name: &str) -> EntryDigest {
        EntryDigest { name: name.to_owned(), size: self.size, sha256: self.sha256.finalize().into() }
    }
}

/// Reads to the end and gives the digest, 64 KiB in memory.
#[cfg(feature = "open")]
pub(crate) fn digest_of(name: &str, mut content: impl Read) -> io::Result<EntryDigest> {
    let mut sha256 = Sha256::new();
    let size = io::copy(&mut content, &mut sha256)?;
    Ok(EntryDigest { name: name.to_owned(), size, sha256: sha256.finalize().into() })
}
