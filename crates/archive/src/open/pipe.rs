//! An archive with a receipt, read front to back: from a pipe. Its one form (A18) says in front what comes where, so nothing
//! is kept. The receipt comes behind the body: what it says is known when all was decrypted (A35).
//! Not for archives of another form, or without a receipt: those are read from their end.

use super::meter::{Meter, copy};
use super::pass::{Extracted, Opened, require_same, unpack_and_copy};
use super::unlock::{Lock, Unlocked};
use super::unpack::{Limits, Visit, unpack_buffered};
use super::{Layout, OpenError, layout};
use crate::digest::digest_of;
use crate::zip::{CanonicalStream, Entry, Foreign};
use crate::{BODY_ENTRY, EntryDigest, Identity, KEY_ENTRY, MAX_KEY_ENTRY_SIZE, MAX_RECEIPT_SIZE, RECEIPT_ENTRY};
use std::io::{self, BufRead, BufReader, Read, Write};

const BUFFER: usize = 64 * 1024;

/// An archive of which the beginning was read: up to the body.
pub struct PipedArchive<R> {
    zip: CanonicalStream<BufReader<R>>,
    layout: Layout,
    wrapped_key: Vec<u8>,
    key: Option<EntryDigest>,
    body: Entry,
}

impl<R: Read> PipedArchive<R> {
    /// As much of an archive's beginning as [`Self::is_one`] wants to see, bytes.
    pub const START: usize = 8 * 1024;

    /// Whether an archive that starts so, with [`Self::START`] bytes or all there are, is of the form that can be read from
    /// a pipe. Any other is to be kept in a file, and read as an [`Archive`](crate::Archive).
    pub fn is_one(start: &[u8]) -> bool {
        PipedArchive::open(start).is_ok()
    }

    /// Reads up to the body.
    pub fn open(input: R) -> Result<Self, OpenError> {
        let mut zip = CanonicalStream::new(BufReader::with_capacity(BUFFER, input));
        let first = [
            (KEY_ENTRY, false),
            #[cfg(feature = "age")]
            (crate::AGE_ENTRY, true),
        ];
        let entry = zip.next_of(&first).map_err(foreign)?;
        #[cfg(feature = "age")]
        if entry.name == crate::AGE_ENTRY {
            return Ok(Self { zip, layout: Layout::Age, wrapped_key: Vec::new(), key: None, body: entry });
        }
        let wrapped_key = small(&mut zip, &entry, KEY_ENTRY, MAX_KEY_ENTRY_SIZE)?;
        if layout::is_base64(&wrapped_key) {
            // Layout B, which no writer of receipts writes.
            return Err(OpenError::NotCanonical { at: entry.offset() });
        }
        let (size, sha256) =
            digest_of::<sha2::Sha256>(&wrapped_key[..]).map_err(|source| unreadable(&entry, source))?;
        let key = Some(EntryDigest { name: entry.name, size, sha256 });
        let body = zip.next(BODY_ENTRY, true).map_err(foreign)?;
        Ok(Self { zip, layout: Layout::C, wrapped_key, key, body })
    }

    /// Which layout it has: C, or age.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Size in bytes of the encrypted body's entry.
    pub fn body_size(&self) -> u64 {
        self.body.size
    }

    /// Decrypts the body to `out`. At the end `trust` gets the receipt's bytes, and says what it lists, once its signature
    /// is checked; then as [`Archive::decrypt_verified`](crate::Archive::decrypt_verified).
    pub fn decrypt_verified<E: From<OpenError>>(
        self,
        identities: &[Identity],
        out: &mut impl Write,
        trust: impl FnOnce(&[u8]) -> Result<Vec<EntryDigest>, E>,
    ) -> Result<Opened, E> {
        let (size, entries) = self.pass(identities, |plain| copy(plain, out), trust)?;
        Ok(Opened { size, entries })
    }

    /// As [`Archive::decrypt_with_tree`](crate::Archive::decrypt_with_tree); `trust` as for [`Self::decrypt_verified`].
    pub fn decrypt_with_tree<E: From<OpenError>>(
        self,
        identities: &[Identity],
        out: &mut impl Write,
        visit: &mut Visit<'_>,
        trust: impl FnOnce(&[u8]) -> Result<Vec<EntryDigest>, E>,
    ) -> Result<Extracted, E> {
        let (unpacked, entries) = self.pass(identities, |plain| unpack_and_copy(plain, out, visit), trust)?;
        Ok(Extracted { unpacked, entries })
    }

    /// As [`Archive::extract`](crate::Archive::extract); `trust` as for [`Self::decrypt_verified`].
    pub fn extract<E: From<OpenError>>(
        self,
        identities: &[Identity],
        limits: &Limits,
        visit: &mut Visit<'_>,
        trust: impl FnOnce(&[u8]) -> Result<Vec<EntryDigest>, E>,
    ) -> Result<Extracted, E> {
        let (unpacked, entries) = self.pass(identities, |plain| unpack_buffered(plain, limits, visit), trust)?;
        Ok(Extracted { unpacked, entries })
    }

    fn pass<T, E: From<OpenError>>(
        mut self,
        identities: &[Identity],
        sink: impl FnOnce(&mut dyn BufRead) -> Result<T, OpenError>,
        trust: impl FnOnce(&[u8]) -> Result<Vec<EntryDigest>, E>,
    ) -> Result<(T, Vec<EntryDigest>), E> {
        let (value, body) = self.open_body(identities, sink)?;
        let entry = self.zip.next(RECEIPT_ENTRY, false).map_err(foreign)?;
        let receipt = small(&mut self.zip, &entry, RECEIPT_ENTRY, MAX_RECEIPT_SIZE)?;
        self.zip.finish().map_err(foreign)?;
        let expected = trust(&receipt)?;
        let found: Vec<EntryDigest> = self.key.into_iter().chain([body]).collect();
        require_same(&expected, &found, "")?;
        Ok((value?, found))
    }

    /// What became of the body, whose end has been reached whatever that is: an altered one is found by its digest, and
    /// tells nothing else (A19).
    fn open_body<T>(
        &mut self,
        identities: &[Identity],
        sink: impl FnOnce(&mut dyn BufRead) -> Result<T, OpenError>,
    ) -> Result<(Result<T, OpenError>, EntryDigest), OpenError> {
        let mut meter = Meter::new(&self.body.name, self.zip.content(&self.body));
        // An age file tells its recipients in front.
        let mut start = Vec::new();
        if self.wrapped_key.is_empty() {
            let read = (&mut meter).take(crate::MAX_AGE_HEADER as u64).read_to_end(&mut start);
            read.map_err(|source| unreadable(&self.body, source).settle())?;
        }
        let lock = Lock::of(self.layout, &self.wrapped_key, &start)?;
        let outcome = match lock.unlock(identities) {
            Ok(unlocked) => through(unlocked, self.layout, &start, &mut meter, sink),
            Err(error) => Err(error),
        };
        if let Err(error @ (OpenError::Write(_) | OpenError::OtherKey { .. })) = outcome {
            return Err(error);
        }
        meter.drain()?;
        Ok((outcome, meter.finish()))
    }
}

fn through<T>(
    unlocked: Unlocked,
    layout: Layout,
    start: &[u8],
    rest: impl Read,
    sink: impl FnOnce(&mut dyn BufRead) -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let mut plain = unlocked.read(layout, start.chain(rest))?;
    sink(&mut *plain).map_err(OpenError::settle)
}

/// A whole entry of at most `limit` bytes. Memory follows the bytes read, not those declared.
fn small<R: BufRead>(
    zip: &mut CanonicalStream<R>,
    entry: &Entry,
    name: &'static str,
    limit: usize,
) -> Result<Vec<u8>, OpenError> {
    if entry.size > limit as u64 {
        return Err(OpenError::TooLarge { name, size: entry.size, limit });
    }
    let mut bytes = Vec::new();
    zip.content(entry).read_to_end(&mut bytes).map_err(|source| unreadable(entry, source))?;
    Ok(bytes)
}

fn unreadable(entry: &Entry, source: io::Error) -> OpenError {
    OpenError::Entry { name: entry.name.clone(), source }
}

fn foreign(error: Foreign) -> OpenError {
    match error {
        Foreign::At(at) => OpenError::NotCanonical { at },
        Foreign::Zip(error) => OpenError::Zip(error),
    }
}
