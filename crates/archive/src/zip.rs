//! The part of ZIP (APPNOTE 6.3.10) that result archives use: stored and deflated entries, data descriptors, zip64.
//! Strict where a general reader is lenient: one meaning per archive, or an error (A10).
//! No encryption, comments, splitting, or any compression but deflate.

#[cfg(feature = "open")]
mod canonical;
#[cfg(feature = "open")]
mod directory;
#[cfg(feature = "open")]
mod end;
#[cfg(feature = "open")]
mod field;
#[cfg(feature = "open")]
mod local;
#[cfg(feature = "open")]
mod read;
mod record;
#[cfg(feature = "open")]
mod stream;
mod write;

pub(crate) use write::{StoredEntry, ZipWriter};
#[cfg(feature = "open")]
pub(crate) use {
    canonical::{CanonicalStream, Foreign},
    directory::Entry,
    read::ZipReader,
    stream::ZipStream,
};

use crate::name::NameError;
use std::io;

const LOCAL_SIGNATURE: u32 = 0x0403_4b50;
const DESCRIPTOR_SIGNATURE: u32 = 0x0807_4b50;
const CENTRAL_SIGNATURE: u32 = 0x0201_4b50;
const END_SIGNATURE: u32 = 0x0605_4b50;
const END64_SIGNATURE: u32 = 0x0606_4b50;
const LOCATOR64_SIGNATURE: u32 = 0x0706_4b50;

#[cfg(feature = "open")]
const LOCAL_SIZE: usize = 30;
#[cfg(feature = "open")]
const CENTRAL_SIZE: usize = 46;
#[cfg(feature = "open")]
const END_SIZE: usize = 22;
const END64_SIZE: usize = 56;
#[cfg(feature = "open")]
const LOCATOR64_SIZE: usize = 20;

/// Header id of the zip64 extra field (4.5.3).
const EXTRA_ZIP64: u16 = 1;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Sizes and CRC follow the data (4.4.4 bit 3).
const FLAG_DESCRIPTOR: u16 = 1 << 3;
/// Name in UTF-8 (4.4.4 bit 11).
const FLAG_UTF8: u16 = 1 << 11;
/// Flags a reader takes: deflate's speed hints (1, 2), descriptor, UTF-8.
#[cfg(feature = "open")]
const FLAGS_KNOWN: u16 = 0b110 | FLAG_DESCRIPTOR | FLAG_UTF8;
/// "See the zip64 field".
const IN_ZIP64: u32 = u32::MAX;

/// Why bytes are not a zip file that this crate reads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZipError {
    /// Reading failed.
    #[error("reading the zip file: {0}")]
    Io(#[from] io::Error),
    /// A record is missing, cut or malformed.
    #[error("not a sound zip file: {what} at byte {at}")]
    Damaged {
        /// What is wrong there.
        what: &'static str,
        /// Offset in the file, bytes.
        at: u64,
    },
    /// More entries than allowed (A11).
    #[error("zip file has {found} entries, the limit is {limit}")]
    TooMany {
        /// Number of entries, as declared.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A name that no archive may hold (A12).
    #[error("zip file: {0}")]
    Name(#[from] NameError),
    /// Two entries of one name (A13).
    #[error("zip file has two entries named {0:?}")]
    Duplicate(String),
    /// Something that this crate does not read.
    #[error("zip entry {name:?} uses {what}, which is not supported")]
    Unsupported {
        /// The entry.
        name: String,
        /// The feature.
        what: &'static str,
    },
    /// An entry's own header contradicts the central directory.
    #[error("zip entry {name:?}: {field} is {local} in the entry's header and {central} in the central directory")]
    Mismatch {
        /// The entry.
        name: String,
        /// The field that differs.
        field: &'static str,
        /// Value in the local header.
        local: u64,
        /// Value in the central directory.
        central: u64,
    },
    /// The entry's bytes do not have the declared size or CRC-32.
    #[error("zip entry {name:?}: {field} is {found} in the bytes and {declared} in the central directory")]
    Content {
        /// The entry.
        name: String,
        /// `size`, `size so far` or `CRC-32`.
        field: &'static str,
        /// As computed.
        found: u64,
        /// As declared.
        declared: u64,
    },
}
