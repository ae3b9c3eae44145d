//! Why an archive was not opened; and how a cause finds its way out through `std::io::Read`.

use crate::MAX_SEALED_ENTRIES;
use crate::tree::TreeError;
use crate::zip::ZipError;
use std::{fmt, io};

/// Why an archive was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file is not a zip that has one meaning (A10).
    #[error("archive: {0}")]
    Zip(#[from] ZipError),
    /// No layout has these entries.
    #[error("archive: unknown layout, found {0}")]
    UnknownLayout(String),
    /// Half of a layout.
    #[error("archive: entry {found:?} is there, entry {missing:?} is not")]
    MissingEntry {
        /// The half that is there.
        found: &'static str,
        /// The half that is not.
        missing: &'static str,
    },
    /// Entries of two layouts at once.
    #[error("archive: entries of layout {0} and of layout {1} at once")]
    MixedLayouts(&'static str, &'static str),
    /// More entries than an encrypted archive has (A11).
    #[error("archive: {0} entries, an encrypted archive has at most {MAX_SEALED_ENTRIES}")]
    TooMany(usize),
    /// An entry longer than allowed (A11, A14).
    #[error("archive: entry {name:?} has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// The entry.
        name: &'static str,
        /// Its declared size.
        size: u64,
        /// The limit.
        limit: usize,
    },
    /// The archive has a receipt and is not byte for byte what a writer of receipts writes (A18).
    #[error("archive: it has a receipt, yet byte {at} is not what a writer of receipts writes")]
    NotCanonical {
        /// Offset of the first such byte.
        at: u64,
    },
    /// An entry could not be read, or is not what the zip's directory says.
    #[error("archive: reading entry {name:?}: {source}")]
    Entry {
        /// The entry.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// The age header is malformed, longer than 64 KiB, or has too many recipients (A11).
    #[cfg(feature = "age")]
    #[error("archive: the age header {0}")]
    AgeHeader(&'static str),
    /// An entry is not the one expected: altered, or of another archive (A19).
    #[error("archive: entry {name:?} has the {field} {found}, expected {expected}")]
    Altered {
        /// The entry.
        name: String,
        /// `size` or `SHA-256`.
        field: &'static str,
        /// Of the archive.
        found: String,
        /// By the list.
        expected: String,
    },
    /// The archive's entries are not those expected.
    #[error("archive: it has the entries {found}, expected {expected}")]
    OtherEntries {
        /// Names in the archive.
        found: String,
        /// Names in the list.
        expected: String,
    },
    /// Two files of one path, or a malformed path, inside.
    #[error("archive: {0}")]
    Tree(#[from] TreeError),
    /// A file inside that must not be unpacked.
    #[error("archive: the result's entry {name:?} {reason}")]
    Refused {
        /// Path inside, cut at 80 characters.
        name: String,
        /// Why, to be read after the name.
        reason: &'static str,
    },
    /// The result unpacks to more than the caller allows.
    #[error("archive: the result has more than {limit} {unit}, the limit")]
    Bomb {
        /// The limit.
        limit: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// There is nothing to decrypt.
    #[error("archive: it is not encrypted")]
    NotEncrypted,
    /// None of the keys is of the kind and size that the archive is encrypted to: seen without using a key.
    #[error("archive: it is encrypted to {wants}; the key at hand is {given}")]
    OtherKey {
        /// What the archive wants.
        wants: String,
        /// What was offered.
        given: String,
    },
    /// The one error of decryption itself, whatever its cause (A7).
    #[error("archive: it does not open with this key; the key is another one, or the archive was altered")]
    Decrypt,
    /// The plaintext could not be written.
    #[error("archive: writing the decrypted result: {0}")]
    Write(#[source] io::Error),
}

impl OpenError {
    /// Finds the cause that the plaintext's reader put into an `io::Error`, under whatever was made of it since.
    pub(super) fn settle(self) -> Self {
        match self {
            Self::Zip(ZipError::Io(source)) => Self::of_broken(source, |source| Self::Zip(ZipError::Io(source))),
            Self::Entry { name, source } => Self::of_broken(source, |source| Self::Entry { name, source }),
            other => other,
        }
    }

    fn of_broken(source: io::Error, other: impl FnOnce(io::Error) -> Self) -> Self {
        match source.downcast::<Broken>() {
            Ok(Broken::Decrypt) => Self::Decrypt,
            Ok(Broken::Entry { name, source }) => Self::Entry { name, source },
            Ok(Broken::Write(source)) => Self::Write(source),
            Err(source) => other(source),
        }
    }
}

/// Why a plaintext cannot be read on.
#[derive(Debug)]
pub(super) enum Broken {
    /// Wrong length, padding or seal: a wrong key or an altered body.
    Decrypt,
    /// The ciphertext's entry cannot be read.
    Entry { name: String, source: io::Error },
    /// A copy of the plaintext cannot be written.
    Write(io::Error),
}

impl Broken {
    pub(super) fn io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decrypt => OpenError::Decrypt.fmt(f),
            Self::Entry { name, source } => write!(f, "reading entry {name:?}: {source}"),
            Self::Write(source) => write!(f, "writing: {source}"),
        }
    }
}

impl std::error::Error for Broken {}
