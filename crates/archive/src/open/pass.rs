//! One pass over an archive: every entry digested, the body decrypted on the way, the digests held against a list.

use super::meter::{Meter, Tee, copy};
use super::unpack::{Limits, Unpacked, Visit, unpack, unpack_buffered};
use super::{Archive, OpenError, digest_entry};
use crate::private_key::PrivateKey;
use crate::tree::hex;
use crate::zip::Entry;
use crate::{EntryDigest, Identity};
use std::io::{self, BufRead, Read, Seek, Write};

/// A decrypted archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of plaintext: the zip of `/iexec_out`.
    pub size: u64,
    /// Digests of all entries but the receipt, in the order of their bytes; none where no list was given to compare with.
    pub entries: Vec<EntryDigest>,
}

/// An archive whose files were visited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// The files inside.
    pub unpacked: Unpacked,
    /// Digests of all entries but the receipt, in the order of their bytes; none where no list was given to compare with.
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

    /// Decrypts the body to `out` with whichever key fits.
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

    /// As [`Self::decrypt_verified`], where there is a list; computes the tree hash of the files inside and shows them to
    /// `visit`, all from the same bytes.
    pub fn decrypt_with_tree(
        &mut self,
        identities: &[Identity],
        expected: Option<&[EntryDigest]>,
        out: &mut impl Write,
        visit: &mut Visit<'_>,
    ) -> Result<Extracted, OpenError> {
        let (unpacked, entries) = self.pass(identities, expected, |plain| unpack_and_copy(plain, out, visit))?;
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
        let (unpacked, entries) = self.pass(identities, expected, |plain| unpack_buffered(plain, limits, visit))?;
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
        let Some(expected) = expected else {
            let (unlocked, layout) = (self.lock()?.unlock(identities)?, self.layout);
            let content = self.zip.content(&body).map_err(|error| unreadable(&body, error))?;
            let value = Meter::without_digest(&body.name, content).through(unlocked, layout, sink)?;
            return Ok((value, Vec::new()));
        };
        let mut digests = self.digests_but(&body)?;
        // Before the key is used: who alters the wrapped key does not get it tried.
        require_same(expected, &digests, &body.name)?;
        let unlocked = self.lock().and_then(|lock| lock.unlock(identities));
        let outcome = unlocked.and_then(|unlocked| {
            let layout = self.layout;
            let content = self.zip.content(&body).map_err(|error| unreadable(&body, error))?;
            let mut meter = Meter::new(&body.name, content);
            let value = meter.through(unlocked, layout, sink)?;
            Ok((value, meter.finish()))
        });
        let (value, digest) = match outcome {
            Ok((value, digest)) => (Ok(value), digest),
            Err(error @ (OpenError::Write(_) | OpenError::OtherKey { .. })) => return Err(error),
            Err(error) => (Err(error), digest_entry(&mut self.zip, &body)?),
        };
        for slot in digests.iter_mut().filter(|slot| slot.name == body.name) {
            *slot = digest.clone();
        }
        require_same(expected, &digests, "")?;
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
pub(super) fn require_same(expected: &[EntryDigest], found: &[EntryDigest], pending: &str) -> Result<(), OpenError> {
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

/// Shows the files of a plaintext that is written as it comes.
pub(super) fn unpack_and_copy(
    plain: &mut dyn BufRead,
    out: &mut impl Write,
    visit: &mut Visit<'_>,
) -> Result<Unpacked, OpenError> {
    let any = Limits { portable_names: false, ..Limits::NONE };
    unpack_buffered(Tee::new(plain, out), &any, visit)
}
