//! What bytes amount to: size, digest, and the CRC-32 that zip wants. Computed while the bytes pass.
//!
//! An archive's own entries have SHA-256, which receipts and chains speak. The files inside have BLAKE3 (ADR 7): a second
//! SHA-256 would cost more than all the rest of opening an archive.

use sha2::{Digest, Sha256};
#[cfg(feature = "open")]
use std::io::{self, Read, Write};

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

/// One file of a result: its path, size in bytes and BLAKE3, as the tree hash has them (A20).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigest {
    /// Path, with `/` between its parts.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 of the content, 32 bytes, without a key.
    pub blake3: [u8; 32],
}

impl FileDigest {
    /// The digest of a file whose bytes are at hand.
    pub fn of(name: &str, content: &[u8]) -> Self {
        Measure::<blake3::Hasher>::of(content).file(name)
    }
}

/// A running digest of 32 bytes.
pub(crate) trait Running: Default {
    fn update(&mut self, bytes: &[u8]);
    fn end(self) -> [u8; 32];
}

impl Running for Sha256 {
    fn update(&mut self, bytes: &[u8]) {
        Digest::update(self, bytes);
    }

    fn end(self) -> [u8; 32] {
        self.finalize().into()
    }
}

impl Running for blake3::Hasher {
    fn update(&mut self, bytes: &[u8]) {
        Self::update(self, bytes);
    }

    fn end(self) -> [u8; 32] {
        self.finalize().into()
    }
}

/// Running size, digest and CRC-32 of the bytes seen so far.
#[derive(Default)]
pub(crate) struct Measure<H> {
    digest: H,
    crc: crc32fast::Hasher,
    size: u64,
}

impl<H: Running> Measure<H> {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut measure = Self::default();
        measure.update(bytes);
        measure
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.crc.update(bytes);
        self.size += bytes.len() as u64;
    }

    pub(crate) fn crc(&self) -> u32 {
        self.crc.clone().finalize()
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

impl Measure<Sha256> {
    pub(crate) fn entry(self, name: &str) -> EntryDigest {
        EntryDigest { name: name.to_owned(), size: self.size, sha256: self.digest.end() }
    }
}

impl Measure<blake3::Hasher> {
    pub(crate) fn file(self, name: &str) -> FileDigest {
        FileDigest { name: name.to_owned(), size: self.size, blake3: self.digest.end() }
    }
}

/// Bytes moved at once.
#[cfg(feature = "open")]
const BUFFER: usize = 64 * 1024;

/// Reads to the end, 64 KiB in memory; gives size and digest.
#[cfg(feature = "open")]
pub(crate) fn digest_of<H: Running>(content: impl Read) -> io::Result<(u64, [u8; 32])> {
    let mut digest = Writing(H::default());
    let size = copy(content, &mut digest)?;
    Ok((size, digest.0.end()))
}

/// As [`io::copy`], in larger pieces.
#[cfg(feature = "open")]
pub(crate) fn copy(mut from: impl Read, to: &mut impl Write) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut copied = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(count) => {
                to.write_all(&buffer[..count])?;
                copied += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(feature = "open")]
struct Writing<H>(H);

#[cfg(feature = "open")]
impl<H: Running> Write for Writing<H> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
