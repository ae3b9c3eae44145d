//! One pass over an archive: every entry digested, the body decrypted on the way, the digests held against a list.

use super::error::Broken;
use super::unpack::{Limits, Unpacked, Visit, unpack, unpack_stream};
use super::{Archive, OpenError, digest_entry};
use crate::private_key::PrivateKey;
use crate::tree::hex;
use crate::zip::Entry;
use crate::{EntryDigest, Identity};
use sha2::{Digest, Sha256};
use std::io::{self, BufRead, Read, Seek, Write};

/// A decrypted archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of plaintext: the zip of `/iexec_out`.
    pub size: u64,
    /// Digests of all entries but the receipt, in the order of their bytes.
    pub entries: Vec<EntryDigest>,
}

/// An archive whose files were visited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// The files inside.
    pub unpacked: Unpacked,
    /// Digests of all entries but the receipt, in the order of their bytes.
    pub entries: Vec<EntryDigest>,
}

impl<R: Read + Seek> Archive<R> {
    /// Decrypts the body to `out`, and returns the number of bytes written: the zip of `/iexec_out`.
    ///
    /// On an error, what was written to `out` already is worthless and must be thrown away. Nothing authenticates the
    /// plaintext here: where there is a receipt, use [`Self::decrypt_verified`].
    pub fn decrypt(&mut self, key: &PrivateKey, out: &mut impl Write) -> Result<u64, OpenError> {
        self.decrypt_with(&[Identity::Rsa(key.clone())], out).map(|opened| opened.size)
    }

    /// Decrypts the body to `out` with whichever key fits, digesting all entries on the way.
    ///
    /// On an error, what was written to `out` already is worthless and must be thrown away.
    pub fn decrypt_with(&mut self, identities: &[Identity], out: &mut impl Write) -> Result<Opened, OpenError> {
        let (size, entries) = self.pass(identities, None, |plain| copy(plain, out))?;
        Ok(Opened { size, entries })
    }

    /// Decrypts the body to `out` and holds all entries but the receipt against `expected`: the receipt's list, in its
    /// order, its signature checked by the caller before. The archive is read once.
    ///
    /// An entry that is not as expected is that error, whether or not it decrypts: nobody learns more of an altered
    /// body than that it is altered (A19). On an error, what was written to `out` must be thrown away.
    pub fn decrypt_verified(
        &mut self,
        identities: &[Identity],
        expected: &[EntryDigest],
        out: &mut impl Write,
    ) -> Result<Opened, OpenError> {
        let (size, entries) = self.pass(identities, Some(expected), |plain| copy(plain, out))?;
        Ok(Opened { size, entries })
    }

    /// As [`Self::decrypt_verified`], and computes the tree hash of the files inside from the same bytes.
    pub fn decrypt_with_tree(
        &mut self,
        identities: &[Identity],
        expected: Option<&[EntryDigest]>,
        out: &mut impl Write,
    ) -> Result<Extracted, OpenError> {
        let any = Limits { portable_names: false, ..Limits::NONE };
        let (unpacked, entries) =
            self.pass(identities, expected, |plain| unpack_stream(Tee { plain, out }, &any, &mut |_, _, _| Ok(())))?;
        Ok(Extracted { unpacked, entries })
    }

    /// Decrypts, and shows each file and folder of the result to `visit`; nothing is stored here. With `expected`, as
    /// [`Self::decrypt_verified`]. A plain archive is read as it is, and takes no key.
    ///
    /// What `visit` made of it is worthless until this says yes: unpack to a temporary folder, then rename it.
    pub fn extract(
        &mut self,
        identities: &[Identity],
        expected: Option<&[EntryDigest]>,
        limits: &Limits,
        visit: &mut Visit<'_>,
    ) -> Result<Extracted, OpenError> {
        if self.body_entry().is_none() {
            let unpacked = unpack(self.zip.input(), limits, visit)?;
            return Ok(Extracted { unpacked, entries: Vec::new() });
        }
        let (unpacked, entries) = self.pass(identities, expected, |plain| unpack_stream(plain, limits, visit))?;
        Ok(Extracted { unpacked, entries })
    }

    /// Gives the plaintext to `sink`, which must read it to its end.
    fn pass<T>(
        &mut self,
        identities: &[Identity],
        expected: Option<&[EntryDigest]>,
        sink: impl FnOnce(&mut dyn BufRead) -> Result<T, OpenError>,
    ) -> Result<(T, Vec<EntryDigest>), OpenError> {
        let body = self.body_entry().cloned().ok_or(OpenError::NotEncrypted)?;
        let mut digests = self.digests_but(&body)?;
        if let Some(expected) = expected {
            // Before the key is used: who alters the wrapped key does not get it tried.
            require_same(expected, &digests, &body.name)?;
        }
        let outcome = self.unlock(identities).and_then(|unlocked| {
            let mut meter = Meter::new(&body.name, self.zip.content(&body).map_err(|e| unreadable(&body, e))?);
            let mut plain = unlocked.read(self.layout, &mut meter)?;
            let value = sink(&mut *plain).map_err(OpenError::settle)?;
            drop(plain);
            io::copy(&mut meter, &mut io::sink()).map_err(|e| unreadable(&body, e).settle())?;
            Ok((value, meter.finish()))
        });
        let (value, digest) = match (outcome, expected) {
            (Ok((value, digest)), _) => (Ok(value), digest),
            (Err(error @ (OpenError::Write(_) | OpenError::OtherKey { .. })), _) | (Err(error), None) => {
                return Err(error);
            }
            (Err(error), Some(_)) => (Err(error), digest_entry(&mut self.zip, &body)?),
        };
        for slot in digests.iter_mut().filter(|slot| slot.name == body.name) {
            *slot = digest.clone();
        }
        if let Some(expected) = expected {
            require_same(expected, &digests, "")?;
        }
        Ok((value?, digests))
    }

    /// Digests of all entries but the receipt; the body's has its size only.
    fn digests_but(&mut self, body: &Entry) -> Result<Vec<EntryDigest>, OpenError> {
        let pending = |entry: &Entry| EntryDigest { name: entry.name.clone(), size: entry.size, sha256: [0; 32] };
        self.signed_entries()
            .iter()
            .map(|entry| if entry.name == body.name { Ok(pending(entry)) } else { digest_entry(&mut self.zip, entry) })
            .collect()
    }
}

/// Same entries in the same order, each of the same size and digest; the digest of `pending` is not looked at.
fn require_same(expected: &[EntryDigest], found: &[EntryDigest], pending: &str) -> Result<(), OpenError> {
    let names = |list: &[EntryDigest]| {
        let names: Vec<String> = list.iter().take(5).map(|e| format!("{:?}", crate::name::shorten(&e.name))).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    if !expected.iter().map(|entry| &entry.name).eq(found.iter().map(|entry| &entry.name)) {
        return Err(OpenError::OtherEntries { found: names(found), expected: names(expected) });
    }
    for (expected, found) in expected.iter().zip(found) {
        if expected.size != found.size {
            return Err(altered_entry(found, "size", found.size.to_string(), expected.size.to_string()));
        }
        if found.name != pending && expected.sha256 != found.sha256 {
            return Err(altered_entry(found, "SHA-256", hex(&found.sha256), hex(&expected.sha256)));
        }
    }
    Ok(())
}

fn altered_entry(entry: &EntryDigest, field: &'static str, found: String, expected: String) -> OpenError {
    OpenError::Altered { name: crate::name::shorten(&entry.name), field, found, expected }
}

fn unreadable(entry: &Entry, source: io::Error) -> OpenError {
    OpenError::Entry { name: entry.name.clone(), source }
}

fn copy(plain: &mut dyn BufRead, out: &mut impl Write) -> Result<u64, OpenError> {
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

/// Reads a ciphertext, and takes its size and SHA-256.
struct Meter<'n, R> {
    name: &'n str,
    inner: R,
    sha256: Sha256,
    size: u64,
}

impl<'n, R> Meter<'n, R> {
    fn new(name: &'n str, inner: R) -> Self {
        Self { name, inner, sha256: Sha256::new(), size: 0 }
    }

    fn finish(self) -> EntryDigest {
        EntryDigest { name: self.name.to_owned(), size: self.size, sha256: self.sha256.finalize().into() }
    }
}

impl<R: Read> Read for Meter<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.inner.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(source) => return Err(Broken::Entry { name: self.name.to_owned(), source }.io()),
        };
        self.sha256.update(&buffer[..count]);
        self.size += count as u64;
        Ok(count)
    }
}

/// Reads a plaintext, and writes what was read.
struct Tee<'a, W> {
    plain: &'a mut dyn BufRead,
    out: &'a mut W,
}

impl<W: Write> Read for Tee<'_, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.plain.read(buffer)?;
        self.out.write_all(&buffer[..count]).map_err(|source| Broken::Write(source).io())?;
        Ok(count)
    }
}
