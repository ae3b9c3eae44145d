//! Writes a zip file front to back: the same files give the same bytes, whatever the clock, the host or the order of time.

use super::record::{Header, MODE_FILE, MODE_FOLDER, end_records};
use super::{DEFLATED, FLAG_DESCRIPTOR, FLAG_UTF8, STORED};
use crate::digest::{EntryDigest, FileDigest, Measure, Running};
use crate::seal::SealError;
use flate2::{Compression, write::DeflateEncoder};
use sha2::Sha256;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Files up to this size are written with their sizes in front; longer ones with a data descriptor behind.
const HEAD: usize = 64 * 1024;
/// Appends entries to a writer; knows only how many bytes went by.
pub(crate) struct ZipWriter<W> {
    out: Counting<W>,
    central: Vec<u8>,
    count: u64,
}

impl<W: Write> ZipWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out: Counting { inner: out, count: 0 }, central: Vec::new(), count: 0 }
    }

    /// Adds a file whose size need not be known: deflated at level 1 where that helps, else stored (A16).
    pub(crate) fn add_file(&mut self, name: &str, mut content: impl Read) -> Result<FileDigest, SealError> {
        let unreadable = |source| SealError::Content { name: crate::name::shorten(name), source };
        let mut head = Vec::new();
        content.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(unreadable)?;
        let packed = deflate(&head).map_err(SealError::Write)?;
        if head.len() < HEAD {
            let (method, data) = if packed.len() < head.len() { (DEFLATED, &packed) } else { (STORED, &head) };
            let measure = self.add_whole(name, method, data, Measure::of(&head)).map_err(SealError::Write)?;
            return Ok(measure.file(name));
        }
        // What does not shrink at its start is passed on in stored deflate blocks, at the speed of a copy.
        let level = if packed.len() < head.len() / 10 * 9 { Compression::fast() } else { Compression::none() };
        self.add_stream(name, level, head.chain(content))
    }

    /// Adds a file of known bytes, stored.
    pub(crate) fn add_stored(&mut self, name: &str, content: &[u8]) -> io::Result<EntryDigest> {
        self.add_whole(name, STORED, content, Measure::of(content)).map(|measure| measure.entry(name))
    }

    /// Adds a folder; `path` without a final `/`.
    pub(crate) fn add_directory(&mut self, path: &str) -> io::Result<()> {
        let name = format!("{path}/");
        let header = Header { mode: MODE_FOLDER, ..self.header(&name, STORED) };
        self.out.write_all(&header.local(false))?;
        self.record(&header);
        Ok(())
    }

    /// Bytes of the central directory so far.
    pub(crate) fn directory_size(&self) -> usize {
        self.central.len()
    }

    /// Writes the central directory and gives the output back, flushed.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let offset = self.out.count;
        let end = end_records(self.count, offset, self.central.len() as u64);
        self.out.write_all(&self.central)?;
        self.out.write_all(&end)?;
        self.out.flush()?;
        Ok(self.out.inner)
    }

    fn add_whole<H: Running>(
        &mut self,
        name: &str,
        method: u16,
        data: &[u8],
        content: Measure<H>,
    ) -> io::Result<Measure<H>> {
        let (crc, size, packed) = (content.crc(), content.size(), data.len() as u64);
        let header = Header { crc, packed, size, ..self.header(name, method) };
        self.out.write_all(&header.local(false))?;
        self.out.write_all(data)?;
        self.record(&header);
        Ok(content)
    }

    fn add_stream(&mut self, name: &str, level: Compression, content: impl Read) -> Result<FileDigest, SealError> {
        let mut header = self.header(name, DEFLATED);
        header.flags |= FLAG_DESCRIPTOR;
        self.out.write_all(&header.local(true)).map_err(SealError::Write)?;
        let start = self.out.count;
        let mut encoder = DeflateEncoder::new(&mut self.out, level);
        let measure = copy_measured(name, content, &mut encoder)?;
        encoder.finish().map_err(SealError::Write)?;
        header.packed = self.out.count - start;
        (header.crc, header.size) = (measure.crc(), measure.size());
        self.out.write_all(&header.descriptor64()).map_err(SealError::Write)?;
        self.record(&header);
        Ok(measure.file(name))
    }

    fn header<'a>(&self, name: &'a str, method: u16) -> Header<'a> {
        let flags = if name.is_ascii() { 0 } else { FLAG_UTF8 };
        Header { name, flags, method, crc: 0, packed: 0, size: 0, offset: self.out.count, mode: MODE_FILE }
    }

    fn record(&mut self, header: &Header<'_>) {
        self.central.extend_from_slice(&header.central());
        self.count += 1;
    }
}

impl<W: Write + Seek> ZipWriter<W> {
    /// Begins a stored entry of unknown size; its header is completed by [`StoredEntry::finish`].
    pub(crate) fn begin_stored(mut self, name: &'static str) -> io::Result<StoredEntry<W>> {
        let offset = self.out.count;
        let header = self.header(name, STORED).local(true);
        self.out.write_all(&header)?;
        Ok(StoredEntry { zip: self, name, offset, measure: Measure::default() })
    }
}

/// A stored entry being written.
pub(crate) struct StoredEntry<W> {
    zip: ZipWriter<W>,
    name: &'static str,
    offset: u64,
    measure: Measure<Sha256>,
}

impl<W: Write + Seek> StoredEntry<W> {
    /// Goes back to write size and CRC into the entry's header, then returns to the end.
    pub(crate) fn finish(mut self) -> io::Result<(ZipWriter<W>, EntryDigest)> {
        let (crc, size) = (self.measure.crc(), self.measure.size());
        let header = Header { crc, size, packed: size, offset: self.offset, ..self.zip.header(self.name, STORED) };
        let out = &mut self.zip.out;
        let end = out.inner.stream_position()?;
        out.inner.seek(SeekFrom::Start(end - (out.count - self.offset)))?;
        out.inner.write_all(&header.local(true))?;
        out.inner.seek(SeekFrom::Start(end))?;
        self.zip.record(&header);
        Ok((self.zip, self.measure.entry(self.name)))
    }
}

impl<W: Write> Write for StoredEntry<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.zip.out.write(bytes)?;
        self.measure.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.zip.out.flush()
    }
}

fn deflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn copy_measured(
    name: &str,
    mut content: impl Read,
    out: &mut impl Write,
) -> Result<Measure<blake3::Hasher>, SealError> {
    let mut measure = Measure::default();
    let mut buffer = vec![0; HEAD];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(measure),
            Ok(count) => {
                measure.update(&buffer[..count]);
                out.write_all(&buffer[..count]).map_err(SealError::Write)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(SealError::Content { name: crate::name::shorten(name), source }),
        }
    }
}

/// A writer that counts.
struct Counting<W> {
    inner: W,
    count: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
