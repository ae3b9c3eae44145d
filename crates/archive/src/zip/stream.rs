//! Reads a zip front to back, from a pipe or a cipher. The central directory comes last and must say of each entry what
//! the entry said of itself, in the same order (A10); until [`ZipStream::next`] has answered `None`, nothing is sure.

use super::directory::{Entry, at_end, check_descriptor, check_front, check_supported, damaged, read_central};
use super::end::find_directory;
use super::field::Fields;
use super::local::{Descriptor, Local};
use super::read::Content;
use super::{
    CENTRAL_SIGNATURE, CENTRAL_SIZE, END_SIZE, END64_SIZE, FLAG_DESCRIPTOR, LOCAL_SIGNATURE, LOCATOR64_SIZE, STORED,
    ZipError,
};
use crate::name;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::rc::Rc;

/// The records behind the central directory, at their longest.
const LONGEST_END: usize = END64_SIZE + LOCATOR64_SIZE + END_SIZE;

/// A zip being read.
pub(crate) struct ZipStream<R> {
    input: Position<R>,
    count: u64,
    /// Over what the entries said of themselves.
    seen: Sha256,
    names: usize,
}

/// An entry whose data comes next.
pub(crate) struct Coming {
    pub(crate) entry: Entry,
    /// Sizes are in zip64 form, should a descriptor follow.
    zip64: bool,
}

impl Coming {
    fn has_descriptor(&self) -> bool {
        self.entry.flags & FLAG_DESCRIPTOR != 0
    }
}

impl<R: BufRead> ZipStream<R> {
    pub(crate) fn new(input: R) -> Self {
        let input = Position::new(input);
        Self { input, count: 0, seen: Sha256::new(), names: 0 }
    }

    /// Bytes read so far, counted on while content is read.
    pub(crate) fn position(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.input.at)
    }

    /// The next entry; `None` once the directory and the end agree with all that came before.
    pub(crate) fn next(&mut self) -> Result<Option<Coming>, ZipError> {
        let at = self.input.at.get();
        let signature = self.signature(at)?;
        if u32::from_le_bytes(signature) != LOCAL_SIGNATURE {
            return self.finish(signature, at).map(|()| None);
        }
        let local = Local::read(&mut self.input, at)?;
        self.count += 1;
        self.names += CENTRAL_SIZE + local.name.len();
        let limit = crate::MAX_FILES as u64;
        if self.count > limit || self.names > crate::MAX_DIRECTORY {
            return Err(ZipError::TooMany { found: self.count, limit });
        }
        let zip64 = local.zip64;
        let entry = Entry::of_local(local, at)?;
        check_supported(&entry)?;
        let coming = Coming { entry, zip64 };
        // A descriptor's sizes are 0 in front; stored data then has no end that can be seen.
        if coming.has_descriptor()
            && coming.entry.method == STORED
            && coming.entry.packed == 0
            && !coming.entry.is_directory()
        {
            let name = name::shorten(&coming.entry.name);
            return Err(ZipError::Unsupported { name, what: "no compression and no size in front, in a stream" });
        }
        Ok(Some(coming))
    }

    /// The entry's bytes, to be read to their end and then given to [`Self::close`].
    pub(crate) fn content<'a>(&'a mut self, coming: &Coming) -> Content<&'a mut (impl BufRead + use<R>)> {
        Content::new(&mut self.input, &coming.entry, !coming.has_descriptor())
    }

    /// Checks the entry's end against what was read: CRC-32 and size of the content.
    pub(crate) fn close(&mut self, coming: Coming, crc: u32, size: u64) -> Result<(), ZipError> {
        let Coming { mut entry, zip64 } = coming;
        if entry.flags & FLAG_DESCRIPTOR != 0 {
            let end = self.input.at.get();
            let descriptor = Descriptor::read(&mut self.input, end, zip64)?;
            let found = Entry { crc, size, packed: end - entry.start, ..entry.clone() };
            check_front(&entry, &found)?;
            check_descriptor(&descriptor, &found)?;
            entry = found;
        }
        entry.imprint(&mut self.seen);
        Ok(())
    }

    /// Reads the central directory, whose first four bytes are `signature`, and the end of the file.
    fn finish(&mut self, mut signature: [u8; 4], start: u64) -> Result<(), ZipError> {
        let mut stated = Sha256::new();
        let mut count = 0;
        let mut at = start;
        while u32::from_le_bytes(signature) == CENTRAL_SIGNATURE {
            count += 1;
            if count > self.count {
                return Err(damaged("a central directory with more entries than there are", at));
            }
            self.central(at)?.imprint(&mut stated);
            at = self.input.at.get();
            signature = self.signature(at)?;
        }
        let mut tail = signature.to_vec();
        (&mut self.input).take(LONGEST_END as u64).read_to_end(&mut tail)?;
        let directory = find_directory(&mut Tail::new(at, &tail))?;
        if (directory.offset, directory.size, directory.count) != (start, at - start, self.count) {
            return Err(damaged("an end record that is not the directory's", at));
        }
        if count != self.count || stated.finalize() != std::mem::take(&mut self.seen).finalize() {
            return Err(damaged("a central directory that is not that of the entries", start));
        }
        Ok(())
    }

    /// One central header behind its signature.
    fn central(&mut self, at: u64) -> Result<Entry, ZipError> {
        let mut bytes = CENTRAL_SIGNATURE.to_le_bytes().to_vec();
        bytes.resize(CENTRAL_SIZE, 0);
        self.input.read_exact(&mut bytes[4..]).map_err(|error| at_end(error, at))?;
        let mut sizes = Fields(&bytes[28..32]);
        let rest = usize::from(sizes.u16()) + usize::from(sizes.u16());
        bytes.resize(CENTRAL_SIZE + rest, 0);
        self.input.read_exact(&mut bytes[CENTRAL_SIZE..]).map_err(|error| at_end(error, at))?;
        read_central(&mut Fields(&bytes), at)
    }

    fn signature(&mut self, at: u64) -> Result<[u8; 4], ZipError> {
        let mut bytes = [0; 4];
        self.input.read_exact(&mut bytes).map_err(|error| at_end(error, at))?;
        Ok(bytes)
    }
}

impl Entry {
    /// What an entry's own header, at `at`, says of it.
    fn of_local(local: Local, at: u64) -> Result<Self, ZipError> {
        let name = String::from_utf8(local.name).map_err(|_| damaged("an entry's name that is not UTF-8", at))?;
        name::check(name.strip_suffix('/').unwrap_or(&name))?;
        Ok(Self {
            name,
            size: local.size,
            flags: local.flags,
            method: local.method,
            time_and_date: local.time_and_date,
            crc: local.crc,
            packed: local.packed,
            attributes: 0,
            offset: at,
            start: at + local.length,
        })
    }

    /// Adds all that both headers say of an entry to a digest.
    fn imprint(&self, digest: &mut Sha256) {
        digest.update((self.name.len() as u64).to_le_bytes());
        digest.update(&self.name);
        for number in [self.size, self.packed, self.offset] {
            digest.update(number.to_le_bytes());
        }
        for number in [self.crc, self.time_and_date, self.flags.into(), self.method.into()] {
            digest.update(number.to_le_bytes());
        }
    }
}

/// A reader that counts what was taken from it.
pub(super) struct Position<R> {
    inner: R,
    at: Rc<Cell<u64>>,
}

impl<R> Position<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, at: Rc::default() }
    }

    /// Bytes taken so far.
    pub(super) fn at(&self) -> u64 {
        self.at.get()
    }
}

impl<R: Read> Read for Position<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.at.set(self.at.get() + count as u64);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Position<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.at.set(self.at.get() + count as u64);
    }
}

/// A file of which only the bytes from `start` on are at hand.
pub(super) struct Tail<'a> {
    position: u64,
    start: u64,
    bytes: &'a [u8],
}

impl<'a> Tail<'a> {
    pub(super) fn new(start: u64, bytes: &'a [u8]) -> Self {
        Self { position: start, start, bytes }
    }
}

impl Read for Tail<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.position.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let mut rest = at.and_then(|at| self.bytes.get(at..)).ok_or(io::ErrorKind::UnexpectedEof)?;
        let count = rest.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Tail<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(back) => (self.start + self.bytes.len() as u64).checked_add_signed(back),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
