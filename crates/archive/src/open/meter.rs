//! A ciphertext on its way to the plaintext's reader: measured as it passes.

use super::error::Broken;
use super::unlock::Unlocked;
use super::{Layout, OpenError};
use crate::{EntryDigest, digest};
use sha2::{Digest, Sha256};
use std::io::{self, BufRead, Read, Write};

/// Reads a ciphertext, and takes its size and, if wanted, its SHA-256.
pub(super) struct Meter<'n, R> {
    name: &'n str,
    inner: R,
    sha256: Option<Sha256>,
    size: u64,
}

impl<'n, R: Read> Meter<'n, R> {
    pub(super) fn new(name: &'n str, inner: R) -> Self {
        Self { name, inner, sha256: Some(Sha256::new()), size: 0 }
    }

    /// For a ciphertext that nothing is known to compare with.
    pub(super) fn without_digest(name: &'n str, inner: R) -> Self {
        Self { sha256: None, ..Self::new(name, inner) }
    }

    /// Gives the plaintext to `sink`, which must read it to its end, and reads the ciphertext to its own.
    pub(super) fn through<T>(
        &mut self,
        unlocked: Unlocked,
        layout: Layout,
        sink: impl FnOnce(&mut dyn BufRead) -> Result<T, OpenError>,
    ) -> Result<T, OpenError> {
        let mut plain = unlocked.read(layout, &mut *self)?;
        let value = sink(&mut *plain).map_err(OpenError::settle)?;
        drop(plain);
        self.drain()?;
        Ok(value)
    }

    /// Reads what is left.
    pub(super) fn drain(&mut self) -> Result<(), OpenError> {
        let unreadable = |source| OpenError::Entry { name: self.name.to_owned(), source }.settle();
        digest::copy(&mut *self, &mut io::sink()).map(drop).map_err(unreadable)
    }

    /// Size and SHA-256 of what was read.
    pub(super) fn finish(self) -> EntryDigest {
        let sha256 = self.sha256.map(|sha256| sha256.finalize().into()).unwrap_or_default();
        EntryDigest { name: self.name.to_owned(), size: self.size, sha256 }
    }
}

impl<R: Read> Read for Meter<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.inner.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(source) => return Err(Broken::Entry { name: self.name.to_owned(), source }.io()),
        };
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(&buffer[..count]);
        }
        self.size += count as u64;
        Ok(count)
    }
}

/// Reads a plaintext, and writes it, whatever the reader looks at.
pub(super) struct Tee<'a, W> {
    plain: &'a mut dyn BufRead,
    out: &'a mut W,
    /// Bytes at hand that were written already.
    written: usize,
}

impl<'a, W: Write> Tee<'a, W> {
    pub(super) fn new(plain: &'a mut dyn BufRead, out: &'a mut W) -> Self {
        Self { plain, out, written: 0 }
    }
}

impl<W: Write> BufRead for Tee<'_, W> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.plain.fill_buf()?;
        if let Some(new) = bytes.get(self.written..).filter(|new| !new.is_empty()) {
            self.out.write_all(new).map_err(|source| Broken::Write(source).io())?;
            self.written = bytes.len();
        }
        Ok(bytes)
    }

    fn consume(&mut self, count: usize) {
        self.plain.consume(count);
        self.written = self.written.saturating_sub(count);
    }
}

impl<W: Write> Read for Tee<'_, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// Writes a plaintext as it comes.
pub(super) fn copy(plain: &mut dyn BufRead, out: &mut impl Write) -> Result<u64, OpenError> {
    let mut written = 0;
    loop {
        let chunk = match plain.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(OpenError::Entry { name: String::new(), source }.settle()),
        };
        if chunk.is_empty() {
            return Ok(written);
        }
        out.write_all(chunk).map_err(OpenError::Write)?;
        let size = chunk.len();
        written += size as u64;
        plain.consume(size);
    }
}
