//! Layers into a root folder: tar, whiteouts (OCI image specification, "Image Layer Filesystem Changeset"), and
//! nothing outside the folder, whatever the archive says.
//!
//! Names are resolved inside the folder as a process in it would see them: absolute links start at the folder, `..`
//! stops there. Devices, set-id bits and extended attributes are not taken over: in the container they mean nothing.

mod tree;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use iexec_protocol::session::paths;
use tar::EntryType;
use thiserror::Error;

pub use tree::seal;
use tree::{Attributes, Tree};

/// Most entries of all layers together.
pub const MAX_ENTRIES: u64 = 1_000_000;
/// Longest name in an extension header, in bytes (Linux's `PATH_MAX`).
const MAX_NAME: u64 = 4096;
const MAX_PAX: u64 = 64 * 1024;

/// How a layer's blob is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
}

impl Compression {
    /// By the layer's media type.
    pub fn of(media_type: &str) -> Result<Self, UnpackFault> {
        match media_type {
            "application/vnd.oci.image.layer.v1.tar" => Ok(Self::None),
            "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
                Ok(Self::Gzip)
            }
            other => Err(UnpackFault::MediaType(other.chars().take(120).collect())),
        }
    }
}

/// Unpacks the layers, lowest first, into the empty folder `root`; at most `max_bytes` of them.
pub fn unpack(layers: &[(PathBuf, Compression)], root: &Path, max_bytes: u64) -> Result<(), UnpackFault> {
    let mut budget = Budget { bytes: max_bytes, entries: MAX_ENTRIES };
    for (path, compression) in layers {
        let file = File::open(path).map_err(UnpackFault::read)?;
        let reader: Box<dyn Read> = match compression {
            Compression::None => Box::new(io::BufReader::new(file)),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(io::BufReader::new(file))),
        };
        // Headers and padding count too: one more byte than allowed shows that there is more.
        let limit = budget.bytes.saturating_add(1);
        let mut archive = tar::Archive::new(reader.take(limit));
        unpack_layer(&mut archive, &mut Tree::new(root), &mut budget)?;
    }
    mount_points(root)
}

struct Budget {
    bytes: u64,
    entries: u64,
}

impl Budget {
    fn take(&mut self, size: u64) -> Result<(), UnpackFault> {
        self.entries = self.entries.checked_sub(1).ok_or(UnpackFault::Entries)?;
        self.bytes = self.bytes.checked_sub(size.saturating_add(512)).ok_or(UnpackFault::Bytes)?;
        Ok(())
    }
}

/// What extension headers say about the next entry.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

fn unpack_layer<R: Read>(
    archive: &mut tar::Archive<R>,
    tree: &mut Tree,
    budget: &mut Budget,
) -> Result<(), UnpackFault> {
    let mut extended = Extended::default();
    // Raw: the extension headers are read here, so that their size is bounded.
    for entry in archive.entries().map_err(UnpackFault::read)?.raw(true) {
        let mut entry = entry.map_err(UnpackFault::read)?;
        let size = entry.header().entry_size().map_err(UnpackFault::read)?;
        budget.take(size)?;
        match entry.header().entry_type() {
            EntryType::GNULongName => extended.name = Some(long_name(&mut entry)?),
            EntryType::GNULongLink => extended.link = Some(long_name(&mut entry)?),
            EntryType::XHeader => pax(&mut entry, &mut extended)?,
            EntryType::XGlobalHeader => (),
            _ => place(&mut entry, std::mem::take(&mut extended), tree)?,
        }
    }
    Ok(())
}

fn place<R: Read>(entry: &mut tar::Entry<'_, R>, extended: Extended, tree: &mut Tree) -> Result<(), UnpackFault> {
    let header = entry.header().clone();
    let name = extended.name.unwrap_or_else(|| header.path_bytes().into_owned());
    let link = extended.link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
    let path = tree::relative(&name)?;
    let attributes = Attributes::of(&header).map_err(UnpackFault::read)?;
    let link = || link.filter(|link| !link.is_empty()).ok_or_else(|| UnpackFault::entry(&name, "a link to nothing"));
    let Some(last) = path.last() else { return Ok(()) };
    if let Some(hidden) = tree::whiteout(last) {
        return tree.hide(&path, hidden);
    }
    match header.entry_type() {
        EntryType::Directory => tree.folder(&path, attributes),
        EntryType::Regular | EntryType::Continuous => tree.file(&path, entry, attributes),
        EntryType::Symlink => tree.symlink(&path, &link()?, attributes),
        EntryType::Link => tree.hard_link(&path, &tree::relative(&link()?)?),
        // /dev is the engine's own: what an image holds there is never seen.
        EntryType::Char | EntryType::Block | EntryType::Fifo if path[0] == "dev" => Ok(()),
        EntryType::Char | EntryType::Block | EntryType::Fifo => Err(UnpackFault::entry(&name, "a device or pipe")),
        _ => Err(UnpackFault::entry(&name, "an entry of a kind that images do not have")),
    }
}

fn long_name<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, UnpackFault> {
    let mut name = bounded(entry, MAX_NAME)?;
    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
    Ok(name)
}

fn pax<R: Read>(entry: &mut tar::Entry<'_, R>, extended: &mut Extended) -> Result<(), UnpackFault> {
    let bytes = bounded(entry, MAX_PAX)?;
    for record in tar::PaxExtensions::new(&bytes) {
        let record = record.map_err(UnpackFault::read)?;
        match record.key_bytes() {
            b"path" => extended.name = Some(record.value_bytes().to_vec()),
            b"linkpath" => extended.link = Some(record.value_bytes().to_vec()),
            // Parsers disagree about it, and it is written only for files beyond any limit here.
            b"size" => return Err(UnpackFault::entry(b"(extended header)", "a size of its own")),
            key if key.starts_with(b"GNU.sparse.") => {
                return Err(UnpackFault::entry(b"(extended header)", "a sparse file"));
            }
            _ => (),
        }
    }
    Ok(())
}

fn bounded<R: Read>(entry: &mut R, limit: u64) -> Result<Vec<u8>, UnpackFault> {
    let mut bytes = Vec::new();
    entry.take(limit + 1).read_to_end(&mut bytes).map_err(UnpackFault::read)?;
    if bytes.len() as u64 > limit { Err(UnpackFault::entry(b"(extended header)", "too long")) } else { Ok(bytes) }
}

/// Makes the places where the engine mounts, so that it need not write into a root that is checked for changes.
fn mount_points(root: &Path) -> Result<(), UnpackFault> {
    let mut tree = Tree::new(root);
    let reserved = |path: &str| root.join(path.trim_start_matches('/'));
    if reserved("/iexec").symlink_metadata().is_ok() {
        return Err(UnpackFault::Reserved);
    }
    let documents = Path::new(paths::MANIFEST).parent().and_then(Path::to_str).unwrap_or_default();
    for folder in [documents, paths::FETCHED, paths::ARCHIVE, paths::IN, "/proc", "/dev", "/sys"] {
        tree.mount_folder(&tree::relative(folder.as_bytes())?, 0o755)?;
    }
    for folder in [paths::OUT, "/tmp"] {
        tree.mount_folder(&tree::relative(folder.as_bytes())?, 0o1777)?;
    }
    for file in [paths::ENCLAVE, paths::SIMULATED_PLATFORM] {
        tree.mount_file(&tree::relative(file.as_bytes())?)?;
    }
    Ok(())
}

/// A layer that is not unpacked.
#[derive(Debug, Error)]
pub enum UnpackFault {
    /// zstd, foreign layers, and the like.
    #[error("a layer has media type {0:?}; this worker unpacks tar and tar+gzip")]
    MediaType(String),
    /// Beyond the operator's limit.
    #[error("the unpacked image is larger than this worker allows")]
    Bytes,
    /// More than [`MAX_ENTRIES`].
    #[error("the image has more than {MAX_ENTRIES} entries")]
    Entries,
    /// An entry that is not placed.
    #[error("the image's entry {name:?} is refused: {why}")]
    Entry {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// The image has what only the worker may put there.
    #[error("the image holds /iexec, which is where the worker mounts the enclave")]
    Reserved,
    /// Not the form of a layer, or the disk failed.
    #[error("the image's layer cannot be read or unpacked: {0}")]
    Read(String),
}

impl UnpackFault {
    fn read(error: impl std::fmt::Display) -> Self {
        Self::Read(error.to_string())
    }

    fn entry(name: &[u8], why: impl Into<String>) -> Self {
        Self::Entry { name: String::from_utf8_lossy(name).chars().take(120).collect(), why: why.into() }
    }
}

#[cfg(test)]
mod tests;
