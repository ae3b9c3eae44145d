//! Reads a zip file's directory. The directory and the entries' own headers must say the same, and the entries must fill
//! the file without gap or overlap: there is then only one way to read it (A10).

use super::end::{Directory, find_directory};
use super::field::{Fields, widen};
use super::local::{Descriptor, Local};
use super::{CENTRAL_SIGNATURE, CENTRAL_SIZE, DEFLATED, FLAGS_KNOWN, LOCAL_SIGNATURE, STORED, ZipError};
use crate::name;
use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};

/// One entry of the directory, checked against the entry's own header.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Path; a folder's ends in `/`.
    pub(crate) name: String,
    /// Uncompressed size, bytes.
    pub(crate) size: u64,
    pub(super) flags: u16,
    pub(super) method: u16,
    /// Time in the lower half, date in the upper, as DOS has them (4.4.6).
    pub(crate) time_and_date: u32,
    pub(super) crc: u32,
    /// Compressed size, bytes.
    pub(crate) packed: u64,
    /// External attributes: Unix' mode in the upper half (4.4.15).
    pub(super) attributes: u32,
    /// Offset of the local header.
    pub(super) offset: u64,
    /// Offset of the data.
    pub(super) start: u64,
}

impl Entry {
    /// A stored file as our writer's headers say it.
    pub(super) fn stored(name: &str, size: u64, crc: u32, offset: u64, start: u64) -> Self {
        let (name, packed, method) = (name.to_owned(), size, STORED);
        Self { name, size, flags: 0, method, time_and_date: 0, crc, packed, attributes: 0, offset, start }
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.name.ends_with('/')
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the attributes say a regular file or a folder, as the name does, or nothing at all.
    fn is_ordinary(&self) -> bool {
        match self.attributes >> 28 {
            0 => true,
            UNIX_FOLDER => self.is_directory(),
            UNIX_FILE => !self.is_directory(),
            _ => false,
        }
    }
}

/// File types in the upper four bits of a Unix mode.
const UNIX_FILE: u32 = 0o10;
const UNIX_FOLDER: u32 = 0o04;

/// Reads and checks the directory and every entry's header; the entries in the order of their bytes.
pub(super) fn read(input: &mut (impl Read + Seek)) -> Result<Vec<Entry>, ZipError> {
    let directory = find_directory(input)?;
    let limit = crate::MAX_FILES as u64;
    if directory.count > limit {
        return Err(ZipError::TooMany { found: directory.count, limit });
    }
    let mut entries = read_directory(input, &directory)?;
    refuse_duplicates(&entries)?;
    entries.sort_by_key(|entry| entry.offset);
    let mut end = 0;
    for entry in &mut entries {
        if entry.offset != end {
            return Err(damaged("a gap or an overlap between entries", end));
        }
        end = read_local(input, entry)?;
    }
    if end == directory.offset {
        Ok(entries)
    } else {
        Err(damaged("a gap or an overlap before the central directory", end))
    }
}

fn read_directory(input: &mut (impl Read + Seek), directory: &Directory) -> Result<Vec<Entry>, ZipError> {
    if directory.size > crate::MAX_DIRECTORY as u64 {
        return Err(damaged("a central directory of more than 16 MiB", directory.offset));
    }
    input.seek(SeekFrom::Start(directory.offset))?;
    let mut bytes = Vec::new();
    input.take(directory.size).read_to_end(&mut bytes)?;
    let mut fields = Fields(&bytes);
    let mut entries = Vec::new();
    while !fields.0.is_empty() {
        let at = directory.offset + (bytes.len() - fields.0.len()) as u64;
        entries.push(read_central(&mut fields, at)?);
    }
    if entries.len() as u64 == directory.count {
        Ok(entries)
    } else {
        Err(damaged("a central directory with another number of entries than its end record says", directory.offset))
    }
}

/// Reads one central header (4.3.12) found at offset `at`.
pub(super) fn read_central(fields: &mut Fields<'_>, at: u64) -> Result<Entry, ZipError> {
    let cut = || damaged("a cut or malformed central header", at);
    let mut fixed = Fields(fields.take(CENTRAL_SIZE).ok_or_else(cut)?);
    if fixed.u32() != CENTRAL_SIGNATURE {
        return Err(cut());
    }
    let _versions = fixed.u32();
    let (flags, method, time_and_date, crc) = (fixed.u16(), fixed.u16(), fixed.u32(), fixed.u32());
    let (packed, size) = (fixed.u32(), fixed.u32());
    let (name_size, extra_size, comment_size, disk) = (fixed.u16(), fixed.u16(), fixed.u16(), fixed.u16());
    let (_internal, attributes, offset) = (fixed.u16(), fixed.u32(), fixed.u32());
    let name = fields.take(name_size.into()).ok_or_else(cut)?;
    let extra = fields.take(extra_size.into()).ok_or_else(cut)?;
    let [size, packed, offset] = widen(extra, [size, packed, offset]).ok_or_else(cut)?;
    if comment_size != 0 || disk != 0 {
        return Err(damaged("an entry's comment or another disk", at));
    }
    let name = std::str::from_utf8(name).map_err(|_| damaged("an entry's name that is not UTF-8", at))?;
    name::check(name.strip_suffix('/').unwrap_or(name))?;
    let name = name.to_owned();
    let entry = Entry { name, size, flags, method, time_and_date, crc, packed, attributes, offset, start: 0 };
    check_supported(&entry)?;
    Ok(entry)
}

pub(super) fn check_supported(entry: &Entry) -> Result<(), ZipError> {
    let unsupported = |what| Err(ZipError::Unsupported { name: name::shorten(&entry.name), what });
    if entry.flags & 1 != 0 {
        return unsupported("zip's own encryption");
    }
    if entry.flags & !FLAGS_KNOWN != 0 {
        return unsupported("an unknown flag");
    }
    if !entry.is_ordinary() {
        return unsupported("a link, a device or another special file");
    }
    match entry.method {
        STORED if entry.packed != entry.size => unsupported("no compression, yet two different sizes"),
        STORED | DEFLATED if entry.is_directory() && entry.size != 0 => unsupported("a folder with content"),
        STORED | DEFLATED => Ok(()),
        _ => unsupported("a compression other than deflate"),
    }
}

/// Checks an entry's own header and descriptor, sets `start`, and returns the offset of the entry's end.
fn read_local(input: &mut (impl Read + Seek), entry: &mut Entry) -> Result<u64, ZipError> {
    let cut = || damaged("a cut or malformed entry header", entry.offset);
    if u32::from_le_bytes(read_at(input, entry.offset)?) != LOCAL_SIGNATURE {
        return Err(cut());
    }
    let local = Local::read(input, entry.offset)?;
    check_local(&local, entry)?;
    let start = entry.offset + local.length;
    let end = start.checked_add(entry.packed).ok_or_else(cut)?;
    entry.start = start;
    if !local.has_descriptor() {
        return Ok(end);
    }
    input.seek(SeekFrom::Start(end))?;
    let descriptor = Descriptor::read(input, end, local.zip64)?;
    check_descriptor(&descriptor, entry)?;
    Ok(end + descriptor.length)
}

fn check_local(local: &Local, entry: &Entry) -> Result<(), ZipError> {
    if local.name != entry.name.as_bytes() {
        return Err(damaged("an entry whose name is not the directory's", entry.offset));
    }
    same(entry, "flags", local.flags.into(), entry.flags.into())?;
    same(entry, "method", local.method.into(), entry.method.into())?;
    same(entry, "time", local.time_and_date.into(), entry.time_and_date.into())?;
    for (field, local_value, central) in [
        ("CRC-32", local.crc.into(), entry.crc.into()),
        ("compressed size", local.packed, entry.packed),
        ("size", local.size, entry.size),
    ] {
        // With a descriptor the header says 0, or already the truth.
        if !(local.has_descriptor() && local_value == 0) {
            same(entry, field, local_value, central)?;
        }
    }
    Ok(())
}

/// Numbers that stand in front although a descriptor follows must be the truth already, or 0.
pub(super) fn check_front(front: &Entry, found: &Entry) -> Result<(), ZipError> {
    for (field, said, is) in [
        ("CRC-32", front.crc.into(), found.crc.into()),
        ("compressed size", front.packed, found.packed),
        ("size", front.size, found.size),
    ] {
        if said != 0 {
            same(found, field, said, is)?;
        }
    }
    Ok(())
}

pub(super) fn check_descriptor(descriptor: &Descriptor, entry: &Entry) -> Result<(), ZipError> {
    same(entry, "CRC-32", descriptor.crc.into(), entry.crc.into())?;
    same(entry, "compressed size", descriptor.packed, entry.packed)?;
    same(entry, "size", descriptor.size, entry.size)
}

fn same(entry: &Entry, field: &'static str, local: u64, central: u64) -> Result<(), ZipError> {
    if local == central {
        return Ok(());
    }
    Err(ZipError::Mismatch { name: name::shorten(&entry.name), field, local, central })
}

fn refuse_duplicates(entries: &[Entry]) -> Result<(), ZipError> {
    let mut seen = HashSet::with_capacity(entries.len());
    for entry in entries {
        if !seen.insert(entry.name.strip_suffix('/').unwrap_or(&entry.name)) {
            return Err(ZipError::Duplicate(name::shorten(&entry.name)));
        }
    }
    Ok(())
}

pub(super) fn read_at<const N: usize>(input: &mut (impl Read + Seek), at: u64) -> Result<[u8; N], ZipError> {
    let mut bytes = [0; N];
    input.seek(SeekFrom::Start(at))?;
    input.read_exact(&mut bytes).map_err(|error| at_end(error, at))?;
    Ok(bytes)
}

/// A read that met the file's end is the file's fault, not the reader's.
pub(super) fn at_end(error: io::Error, at: u64) -> ZipError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("the file's end inside a record", at),
        _ => ZipError::Io(error),
    }
}

pub(super) fn damaged(what: &'static str, at: u64) -> ZipError {
    ZipError::Damaged { what, at }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Header, MODE_FILE};
    use super::{Fields, read_central, read_local};
    use std::io::Cursor;

    const GIB: u64 = 1 << 30;

    fn header(packed: u64, size: u64, offset: u64) -> Header<'static> {
        Header { name: "a", flags: 0, method: 8, crc: 7, packed, size, offset, mode: MODE_FILE }
    }

    #[test]
    fn numbers_beyond_4_gib_come_back_from_the_headers() {
        let edge = u64::from(u32::MAX);
        for [packed, size, offset] in
            [[1, 5 * GIB, 2], [5 * GIB, 6 * GIB, 7 * GIB], [edge, edge, edge], [1, 2, 5 * GIB]]
        {
            let bytes = header(packed, size, offset).central();
            let entry = read_central(&mut Fields(&bytes), 0).unwrap();
            assert_eq!((entry.packed, entry.size, entry.offset), (packed, size, offset));
        }
    }

    #[test]
    fn an_entry_of_5_gib_says_so_in_its_own_header() {
        let header = header(5 * GIB, 6 * GIB, 0);
        let mut entry = read_central(&mut Fields(&header.central()), 0).unwrap();
        let end = read_local(&mut Cursor::new(header.local(true)), &mut entry).unwrap();
        assert_eq!(end, entry.start + 5 * GIB);
    }
}
