//! The files of a result, shown one by one to a caller that stores them. No path of any file system is made here: names
//! come checked (A12, A31, A32), contents come bounded (A33).

use super::OpenError;
use super::portable::{Spellings, fault};
use crate::name;
use crate::tree::{Tree, TreeHash};
use crate::zip::{ZipReader, ZipStream};
use crate::{FileDigest, MAX_FILES, digest};
use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::rc::Rc;

const BUFFER: usize = 64 * 1024;

/// What may be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most files and folders.
    pub entries: usize,
    /// Most bytes of all files together.
    pub total: u64,
    /// Most bytes out for each byte in, looked at from 16 MiB on: [`Limits::SLACK`].
    pub ratio: u64,
    /// Refuse names that are a device or not allowed on Windows (A31), and two that are one where case or the composition
    /// of letters does not count (A32).
    pub portable_names: bool,
}

impl Limits {
    /// Bytes that a result may unpack to whatever its ratio.
    pub const SLACK: u64 = 16 * 1024 * 1024;
    /// No limits but those of the format (A11).
    pub const NONE: Self = Self { entries: MAX_FILES, total: u64::MAX, ratio: u64::MAX, portable_names: true };
}

impl Default for Limits {
    /// 100,000 entries, 64 GiB, 1 to 200, portable names.
    fn default() -> Self {
        Self { entries: MAX_FILES, total: 64 << 30, ratio: 200, portable_names: true }
    }
}

/// What an entry of a result is. There is nothing else: links and devices are refused (A30).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file; its bytes come with it.
    File,
    /// A folder; it may come after what is in it, or not at all.
    Folder,
}

/// Takes an entry: its path with `/` between parts, its kind, its bytes. What it leaves unread is read over.
pub type Visit<'v> = dyn FnMut(&str, Kind, &mut dyn Read) -> io::Result<()> + 'v;

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// Hash over all files and folders (A20).
    pub tree: TreeHash,
    /// Entries of the zip: files, and the folders that it lists.
    pub entries: usize,
    /// Bytes of all files.
    pub size: u64,
}

/// Shows the files of a result's zip that can be read in any order: a plain archive, or what was decrypted.
pub fn unpack(input: impl Read + Seek, limits: &Limits, visit: &mut Visit<'_>) -> Result<Unpacked, OpenError> {
    let mut zip = ZipReader::open(input)?;
    let packed = Rc::default();
    let mut unpacking = Unpacking::new(*limits, &packed);
    for index in 0..zip.entries().len() {
        let Some(entry) = zip.entries().get(index).cloned() else { break };
        packed.set(packed.get() + entry.packed);
        unpacking.announce(&entry.name, entry.size)?;
        let content = zip.content(&entry).map_err(|source| OpenError::Entry { name: entry.name.clone(), source })?;
        unpacking.entry(&entry.name, content, visit)?;
    }
    Ok(unpacking.finish())
}

/// Shows the files of a result's zip while it comes in: from a pipe or a cipher. An entry that is stored and has its
/// size behind it cannot be read so; [`unpack`] can.
pub fn unpack_stream(input: impl Read, limits: &Limits, visit: &mut Visit<'_>) -> Result<Unpacked, OpenError> {
    unpack_buffered(BufReader::with_capacity(BUFFER, input), limits, visit)
}

/// As [`unpack_stream`], from a buffer.
pub(super) fn unpack_buffered(
    input: impl BufRead,
    limits: &Limits,
    visit: &mut Visit<'_>,
) -> Result<Unpacked, OpenError> {
    let mut zip = ZipStream::new(input);
    let mut unpacking = Unpacking::new(*limits, &zip.position());
    while let Some(coming) = zip.next().map_err(|error| OpenError::Zip(error).settle())? {
        unpacking.announce(&coming.entry.name, coming.entry.size)?;
        let mut content = zip.content(&coming);
        unpacking.entry(&coming.entry.name, &mut content, visit)?;
        let (crc, size) = content.measured();
        drop(content);
        zip.close(coming, crc, size).map_err(|error| OpenError::Zip(error).settle())?;
    }
    Ok(unpacking.finish())
}

struct Unpacking {
    limits: Limits,
    tree: Tree,
    spellings: Spellings,
    entries: usize,
    size: u64,
    /// Bytes of the zip that were read so far.
    packed: Rc<Cell<u64>>,
}

impl Unpacking {
    fn new(limits: Limits, packed: &Rc<Cell<u64>>) -> Self {
        let (tree, spellings, packed) = (Tree::default(), Spellings::default(), Rc::clone(packed));
        Self { limits, tree, spellings, entries: 0, size: 0, packed }
    }

    /// Refuses an entry by what is known of it in front: its name, and its size where that is declared.
    fn announce(&mut self, name: &str, declared: u64) -> Result<(), OpenError> {
        let path = name.strip_suffix('/').unwrap_or(name);
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(OpenError::Bomb { limit: self.limits.entries as u64, unit: "files and folders" });
        }
        if self.size.saturating_add(declared) > self.limits.total {
            return Err(OpenError::Bomb { limit: self.limits.total, unit: "bytes" });
        }
        name::check(path).map_err(crate::TreeError::Name)?;
        let reason = if !self.limits.portable_names {
            None
        } else if self.spellings.collide(path) {
            Some("differs from another only in case or in the composition of its letters")
        } else {
            fault(path)
        };
        reason.map_or(Ok(()), |reason| Err(OpenError::Refused { name: name::shorten(path), reason }))
    }

    fn entry(&mut self, name: &str, content: impl Read, visit: &mut Visit<'_>) -> Result<(), OpenError> {
        let path = name.strip_suffix('/').unwrap_or(name);
        let kind = if path == name { Kind::File } else { Kind::Folder };
        match kind {
            Kind::File => self.tree.check_new(path)?,
            Kind::Folder => self.tree.add_directory(path)?,
        }
        let packed = Rc::clone(&self.packed);
        let mut file = Bounded {
            name,
            content,
            limits: self.limits,
            before: self.size,
            packed,
            blake3: blake3::Hasher::new(),
            size: 0,
            fault: None,
        };
        let visited = visit(path, kind, &mut file);
        let rest = if visited.is_ok() { digest::copy(&mut file, &mut io::sink()) } else { Ok(0) };
        match (file.fault, visited, rest) {
            (Some(fault), ..) => return Err(fault),
            (None, Err(source), _) | (None, _, Err(source)) => return Err(OpenError::Write(source)),
            (None, Ok(()), Ok(_)) => {}
        }
        self.size += file.size;
        if kind == Kind::Folder && file.size > 0 {
            return Err(OpenError::Refused { name: name::shorten(path), reason: "is a folder with content" });
        }
        if kind == Kind::File {
            let blake3 = file.blake3.finalize().into();
            self.tree.add_file(&FileDigest { name: path.to_owned(), size: file.size, blake3 })?;
        }
        Ok(())
    }

    fn finish(self) -> Unpacked {
        Unpacked { tree: self.tree.hash(), entries: self.entries, size: self.size }
    }
}

/// A file's bytes, which end in an error where the limits do.
struct Bounded<'n, R> {
    name: &'n str,
    content: R,
    limits: Limits,
    /// Bytes of the files before this one.
    before: u64,
    packed: Rc<Cell<u64>>,
    blake3: blake3::Hasher,
    size: u64,
    /// Why reading ended: what the visitor gets is no more than a sign of it.
    fault: Option<OpenError>,
}

impl<R> Bounded<'_, R> {
    fn fail(&mut self, fault: OpenError) -> io::Error {
        let text = fault.to_string();
        self.fault.get_or_insert(fault);
        io::Error::new(io::ErrorKind::InvalidData, text)
    }

    fn excess(&self) -> Option<OpenError> {
        let total = self.before + self.size;
        let by_ratio = self.packed.get().saturating_mul(self.limits.ratio).saturating_add(Limits::SLACK);
        if total > self.limits.total {
            Some(OpenError::Bomb { limit: self.limits.total, unit: "bytes" })
        } else if total > by_ratio {
            Some(OpenError::Bomb { limit: self.limits.ratio, unit: "bytes for each byte of the archive" })
        } else {
            None
        }
    }
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.fault.is_some() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        match self.content.read(buffer) {
            Ok(count) => {
                self.size += count as u64;
                if let Some(fault) = self.excess() {
                    return Err(self.fail(fault));
                }
                self.blake3.update(&buffer[..count]);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(source) => {
                let name = name::shorten(self.name);
                Err(self.fail(OpenError::Entry { name, source }.settle()))
            }
        }
    }
}
