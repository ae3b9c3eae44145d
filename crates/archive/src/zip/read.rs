//! Reads the content of a zip file's entries, and holds it to the size and CRC-32 that the directory declares.

use super::directory::{self, Entry};
use super::{STORED, ZipError};
use crate::name;
use flate2::read::DeflateDecoder;
use std::io::{self, Read, Seek, SeekFrom};

/// An open zip file.
pub(crate) struct ZipReader<R> {
    input: R,
    entries: Vec<Entry>,
}

impl<R: Read + Seek> ZipReader<R> {
    /// Reads and checks the directory and every entry's header; no content yet.
    pub(crate) fn open(mut input: R) -> Result<Self, ZipError> {
        let entries = directory::read(&mut input)?;
        Ok(Self { input, entries })
    }

    /// All entries, in the order of their bytes.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The entry's uncompressed bytes; a wrong size or CRC-32 is an error at their end.
    pub(crate) fn content(&mut self, entry: &Entry) -> io::Result<impl Read + use<'_, R>> {
        self.input.seek(SeekFrom::Start(entry.start))?;
        let packed = (&mut self.input).take(entry.packed);
        let bytes: Box<dyn Read + '_> = match entry.method {
            STORED => Box::new(packed),
            _ => Box::new(DeflateDecoder::new(packed)),
        };
        Ok(Content {
            bytes,
            crc: flate2::Crc::new(),
            read: 0,
            name: entry.name.clone(),
            size: entry.size,
            declared_crc: entry.crc,
        })
    }
}

/// Content being read, with what it must amount to.
struct Content<'a> {
    bytes: Box<dyn Read + 'a>,
    crc: flate2::Crc,
    read: u64,
    name: String,
    size: u64,
    declared_crc: u32,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.bytes.read(buffer)?;
        self.crc.update(&buffer[..count]);
        self.read += count as u64;
        if self.read > self.size {
            return Err(self.wrong("size so far", self.read, self.size));
        }
        if count == 0 && self.read != self.size {
            return Err(self.wrong("size", self.read, self.size));
        }
        if count == 0 && self.crc.sum() != self.declared_crc {
            return Err(self.wrong("CRC-32", self.crc.sum().into(), self.declared_crc.into()));
        }
        Ok(count)
    }
}

impl Content<'_> {
    fn wrong(&self, field: &'static str, found: u64, declared: u64) -> io::Error {
        let name = name::shorten(&self.name);
        io::Error::new(io::ErrorKind::InvalidData, ZipError::Content { name, field, found, declared })
    }
}
