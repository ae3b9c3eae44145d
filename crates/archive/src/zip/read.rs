//! Reads the content of a zip file's entries, and holds it to the size and CRC-32 that the directory declares.

use super::directory::{self, Entry};
use super::{STORED, ZipError};
use crate::name;
use flate2::bufread::DeflateDecoder;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take};

const BUFFER: usize = 64 * 1024;

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

    /// The whole file.
    pub(crate) fn input(&mut self) -> &mut R {
        &mut self.input
    }

    /// The entry's uncompressed bytes; a wrong size or CRC-32 is an error at their end.
    pub(crate) fn content(&mut self, entry: &Entry) -> io::Result<Content<BufReader<&mut R>>> {
        self.input.seek(SeekFrom::Start(entry.start))?;
        // Not further than the entry: a small one costs a small read.
        let buffer = usize::try_from(entry.packed).unwrap_or(BUFFER).clamp(1, BUFFER);
        Ok(Content::new(BufReader::with_capacity(buffer, &mut self.input), entry, true))
    }
}

/// Content being read, with what it must amount to.
pub(crate) struct Content<R> {
    bytes: Bytes<R>,
    crc: crc32fast::Hasher,
    read: u64,
    name: String,
    /// Size, CRC-32 and compressed size, where they stand in front.
    declared: Option<(u64, u32)>,
}

enum Bytes<R> {
    Stored(Take<R>),
    Deflated(DeflateDecoder<Take<R>>),
}

impl<R: BufRead> Content<R> {
    /// Content that starts where `input` stands. Unless `declared`, the entry's sizes and CRC-32 are not known yet.
    pub(super) fn new(input: R, entry: &Entry, declared: bool) -> Self {
        let packed =
            input.take(if declared || entry.packed > 0 || entry.method == STORED { entry.packed } else { u64::MAX });
        let bytes = match entry.method {
            STORED => Bytes::Stored(packed),
            _ => Bytes::Deflated(DeflateDecoder::new(packed)),
        };
        let declared = declared.then_some((entry.size, entry.crc));
        Self { bytes, crc: crc32fast::Hasher::new(), read: 0, name: entry.name.clone(), declared }
    }

    /// CRC-32 and size of what was read.
    pub(crate) fn measured(&self) -> (u32, u64) {
        (self.crc.clone().finalize(), self.read)
    }

    fn check_end(&self) -> io::Result<()> {
        let Some((size, crc)) = self.declared else { return Ok(()) };
        if self.read != size {
            return Err(self.wrong("size", self.read, size));
        }
        let found = self.crc.clone().finalize();
        if found != crc {
            return Err(self.wrong("CRC-32", found.into(), crc.into()));
        }
        match &self.bytes {
            Bytes::Deflated(decoder) if decoder.get_ref().limit() > 0 => {
                Err(self.wrong("bytes behind the compressed data", decoder.get_ref().limit(), 0))
            }
            _ => Ok(()),
        }
    }

    fn wrong(&self, field: &'static str, found: u64, declared: u64) -> io::Error {
        let name = name::shorten(&self.name);
        io::Error::new(io::ErrorKind::InvalidData, ZipError::Content { name, field, found, declared })
    }
}

impl<R: BufRead> Read for Content<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = match &mut self.bytes {
            Bytes::Stored(bytes) => bytes.read(buffer)?,
            Bytes::Deflated(bytes) => bytes.read(buffer)?,
        };
        self.crc.update(&buffer[..count]);
        self.read += count as u64;
        match self.declared {
            Some((size, _)) if self.read > size => Err(self.wrong("size so far", self.read, size)),
            _ if count == 0 => self.check_end().map(|()| 0),
            _ => Ok(count),
        }
    }
}
