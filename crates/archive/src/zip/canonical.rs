//! The one form that an archive with a receipt has (A18): any other byte is found, with the whole file at hand or while it
//! comes in from a pipe.

use super::directory::{Entry, at_end};
use super::field::Fields;
use super::read::{Content, ZipReader};
use super::record::{Header, MODE_FILE, end_records};
use super::stream::Position;
use super::{LOCAL_SIZE, STORED, ZipError};
use std::io::{self, BufRead, Read, Seek, SeekFrom};

/// Size of the zip64 field of a header whose sizes were not known in front.
const ZIP64_SIZE: usize = 20;

impl<R: Read + Seek> ZipReader<R> {
    /// The offset of the first byte that our writer would not have written, headers and directory included, were these
    /// its entries; `None` if there is none. `streamed` names the entry whose size was not known in front.
    pub(crate) fn first_foreign_byte(&mut self, streamed: &str) -> io::Result<Option<u64>> {
        let mut end = 0;
        let entries = self.entries().to_vec();
        for entry in &entries {
            let local = header(entry, end).local(entry.name == streamed);
            if let Some(at) = first_difference(self.input(), end, &local)? {
                return Ok(Some(at));
            }
            end += local.len() as u64 + entry.size;
        }
        let tail = tail(&entries, end);
        if let Some(at) = first_difference(self.input(), end, &tail)? {
            return Ok(Some(at));
        }
        let length = self.input().seek(SeekFrom::End(0))?;
        end += tail.len() as u64;
        Ok((length != end).then_some(end))
    }
}

/// Why an archive that comes in is not read on.
pub(crate) enum Foreign {
    /// It is not of the one form, from this offset on.
    At(u64),
    /// It cannot be read.
    Zip(ZipError),
}

impl From<ZipError> for Foreign {
    fn from(error: ZipError) -> Self {
        Self::Zip(error)
    }
}

/// An archive of the one form, coming in front to back.
pub(crate) struct CanonicalStream<R> {
    input: Position<R>,
    entries: Vec<Entry>,
}

impl<R: BufRead> CanonicalStream<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input: Position::new(input), entries: Vec::new() }
    }

    /// The header of the next entry, which must be of this name and, but for sizes and CRC-32, what our writer writes.
    pub(crate) fn next(&mut self, name: &str, streamed: bool) -> Result<Entry, Foreign> {
        self.next_of(&[(name, streamed)])
    }

    /// As [`Self::next`], where the name may be one of several of different lengths.
    pub(crate) fn next_of(&mut self, names: &[(&str, bool)]) -> Result<Entry, Foreign> {
        let at = self.input.at();
        let mut found = vec![0; LOCAL_SIZE];
        self.input.read_exact(&mut found).map_err(|error| at_end(error, at))?;
        let mut numbers = Fields(&found[14..28]);
        let (crc, _, short, length) = (numbers.u32(), numbers.u32(), numbers.u32(), usize::from(numbers.u16()));
        let of_length = |&&(name, _): &&(&str, bool)| name.len() == length;
        let (name, streamed) = *names.iter().find(of_length).ok_or(Foreign::At(at + 26))?;
        found.resize(LOCAL_SIZE + length + if streamed { ZIP64_SIZE } else { 0 }, 0);
        self.input.read_exact(&mut found[LOCAL_SIZE..]).map_err(|error| at_end(error, at))?;
        let size = if streamed { Fields(&found[LOCAL_SIZE + length + 4..]).u64() } else { short.into() };
        let entry = Entry::stored(name, size, crc, at, at + found.len() as u64);
        match difference(&found, &header(&entry, at).local(streamed)) {
            None => {
                self.entries.push(entry.clone());
                Ok(entry)
            }
            Some(difference) => Err(Foreign::At(at + difference)),
        }
    }

    /// The entry's bytes, to be read to their end before the next one.
    pub(crate) fn content(&mut self, entry: &Entry) -> Content<&mut (impl BufRead + use<R>)> {
        Content::new(&mut self.input, entry, true)
    }

    /// Reads the central directory and the end, behind which there is nothing.
    pub(crate) fn finish(mut self) -> Result<(), Foreign> {
        let at = self.input.at();
        let expected = tail(&self.entries, at);
        let mut found = Vec::with_capacity(expected.len() + 1);
        (&mut self.input).take(expected.len() as u64 + 1).read_to_end(&mut found).map_err(ZipError::from)?;
        match difference(&found, &expected) {
            Some(difference) => Err(Foreign::At(at + difference)),
            None if found.len() > expected.len() => Err(Foreign::At(at + expected.len() as u64)),
            None => Ok(()),
        }
    }
}

fn header(entry: &Entry, offset: u64) -> Header<'_> {
    let (crc, size) = (entry.crc, entry.size);
    Header { name: &entry.name, flags: 0, method: STORED, crc, packed: size, size, offset, mode: MODE_FILE }
}

/// What follows the last entry's data, at `end`.
fn tail(entries: &[Entry], end: u64) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.iter().flat_map(|entry| header(entry, entry.offset).central()).collect();
    let records = end_records(entries.len() as u64, end, bytes.len() as u64);
    bytes.extend(records);
    bytes
}

/// Where the bytes from `at` on first differ from those expected.
fn first_difference(input: &mut (impl Read + Seek), at: u64, expected: &[u8]) -> io::Result<Option<u64>> {
    input.seek(SeekFrom::Start(at))?;
    let mut found = Vec::with_capacity(expected.len());
    input.take(expected.len() as u64).read_to_end(&mut found)?;
    Ok(difference(&found, expected).map(|difference| at + difference))
}

/// Index of the first byte that is not the one expected, or not there.
fn difference(found: &[u8], expected: &[u8]) -> Option<u64> {
    let same = found.iter().zip(expected).take_while(|(one, other)| one == other).count();
    (same < expected.len()).then_some(same as u64)
}
