//! Writes an encrypted archive in one pass: files → inner zip → AES-256-CBC or age → outer zip (A1–A3).
//! Not the receipt's content: the caller makes it from [`Sealed`].

use crate::body::{BLOCK, CbcWriter};
use crate::key::{KeyError, PublicKey};
use crate::tree::{Tree, TreeError, TreeHash};
use crate::zip::{StoredEntry, ZipWriter};
use crate::{
    BODY_ENTRY, EntryDigest, FileDigest, KEY_ENTRY, MAX_DIRECTORY, MAX_RECEIPT_SIZE, RECEIPT_ENTRY, Recipient,
};
use rand_core::CryptoRng;
use std::io::{self, Read, Seek, Write};
use zeroize::Zeroizing;

/// Why an archive could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// A file or folder that cannot be in an archive.
    #[error("archive: {0}")]
    Tree(#[from] TreeError),
    /// A file of the result could not be read.
    #[error("archive: reading {name:?}: {source}")]
    Content {
        /// The file's path in the archive.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// The archive could not be written.
    #[error("archive: writing: {0}")]
    Write(#[source] io::Error),
    /// The data key could not be wrapped.
    #[error("archive: {0}")]
    Key(#[from] KeyError),
    /// These recipients cannot share an archive (A3).
    #[error("archive: {0}")]
    Recipients(&'static str),
    /// The receipt is empty or longer than 64 KiB (A14).
    #[error("archive: the receipt has {0} bytes, expected 1 to {MAX_RECEIPT_SIZE}")]
    Receipt(usize),
    /// A plain archive that would read as an encrypted one (A9).
    #[error("archive: a plain archive may not hold {0:?} at its root, a name of encrypted archives")]
    Reserved(String),
}

/// What an encrypted archive amounts to: the facts that a receipt signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Every entry of the outer zip written so far, in its order: all but the receipt.
    pub entries: Vec<EntryDigest>,
    /// Hash over the files inside (A20).
    pub tree: TreeHash,
    /// Ids of the keys that open it, each a [`Recipient::key_id`] (A5), in the order given.
    pub recipients: Vec<[u8; 32]>,
}

/// Another name for [`Encryptor`]: what it is once made.
pub type ArchiveWriter<W> = Encryptor<W>;

/// An encrypted archive being written. Plaintext goes in and cannot be had back.
pub struct Encryptor<W: Write> {
    inner: ZipWriter<Body<W>>,
    tree: Tree,
    /// An age file holds its keys itself.
    key_entry: Option<EntryDigest>,
    recipients: Vec<[u8; 32]>,
}

impl<W: Write + Seek> Encryptor<W> {
    /// Layout C: draws a data key and an IV, and writes the data key wrapped to `recipient`. `out` must be where the
    /// archive starts.
    pub fn new(recipient: &PublicKey, rng: &mut impl CryptoRng, out: W) -> Result<Self, SealError> {
        let mut data_key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *data_key);
        let mut iv = [0; BLOCK];
        rng.fill_bytes(&mut iv);
        let wrapped = recipient.wrap(&data_key)?;
        let mut outer = ZipWriter::new(out);
        let key_entry = outer.add_stored(KEY_ENTRY, &wrapped).map_err(SealError::Write)?;
        let mut body = outer.begin_stored(BODY_ENTRY).map_err(SealError::Write)?;
        body.write_all(&iv).map_err(SealError::Write)?;
        let body = Body::Cbc(Box::new(CbcWriter::new(&data_key, &iv, body)));
        Ok(Self::with(body, Some(key_entry), vec![recipient.key_id()]))
    }

    /// The layout that the recipients' keys ask for: one RSA key, or up to 32 of age. `out` must be where the archive
    /// starts. With age, the keys are drawn by the library from the system's randomness, not from `rng`.
    pub fn to_recipients(recipients: &[Recipient], rng: &mut impl CryptoRng, out: W) -> Result<Self, SealError> {
        match recipients {
            [] => Err(SealError::Recipients("there is no recipient")),
            [Recipient::Rsa(key)] => Self::new(key, rng, out),
            several => Self::age(several, out),
        }
    }

    #[cfg(feature = "age")]
    fn age(recipients: &[Recipient], out: W) -> Result<Self, SealError> {
        let keys: Vec<_> = recipients
            .iter()
            .filter_map(|recipient| match recipient {
                Recipient::Age(key) => Some(key),
                Recipient::Rsa(_) => None,
            })
            .collect();
        if keys.len() < recipients.len() {
            return Err(SealError::Recipients("an RSA key is an archive's only recipient"));
        }
        if keys.len() > crate::MAX_RECIPIENTS {
            return Err(SealError::Recipients("there are more than 32 recipients"));
        }
        let body = ZipWriter::new(out).begin_stored(crate::AGE_ENTRY).map_err(SealError::Write)?;
        let body = crate::age_key::writer(&keys, body)?.map_err(SealError::Write)?;
        Ok(Self::with(Body::Age(Box::new(body)), None, keys.iter().map(|key| key.key_id()).collect()))
    }

    #[cfg(not(feature = "age"))]
    fn age(_: &[Recipient], _: W) -> Result<Self, SealError> {
        Err(SealError::Recipients("an RSA key is an archive's only recipient"))
    }

    fn with(body: Body<W>, key_entry: Option<EntryDigest>, recipients: Vec<[u8; 32]>) -> Self {
        Self { inner: ZipWriter::new(body), tree: Tree::default(), key_entry, recipients }
    }

    /// Adds a file of any size. Files in the same order give the same plaintext bytes.
    pub fn add_file(&mut self, name: &str, content: impl Read) -> Result<FileDigest, SealError> {
        add_file(&mut self.inner, &mut self.tree, name, content)
    }

    /// Adds a folder; only empty ones need it.
    pub fn add_directory(&mut self, path: &str) -> Result<(), SealError> {
        add_directory(&mut self.inner, &mut self.tree, path)
    }

    /// Ends the body, asks `receipt` for the receipt's bytes (1 to 65,536), writes them as `receipt.json` and ends the file.
    pub fn finish(self, receipt: impl FnOnce(&Sealed) -> Vec<u8>) -> Result<W, SealError> {
        let body = self.inner.finish().and_then(Body::finish).map_err(SealError::Write)?;
        let (mut outer, body_entry) = body.finish().map_err(SealError::Write)?;
        let entries = self.key_entry.into_iter().chain([body_entry]).collect();
        let sealed = Sealed { entries, tree: self.tree.hash(), recipients: self.recipients };
        let receipt = receipt(&sealed);
        if receipt.is_empty() || receipt.len() > MAX_RECEIPT_SIZE {
            return Err(SealError::Receipt(receipt.len()));
        }
        outer.add_stored(RECEIPT_ENTRY, &receipt).map_err(SealError::Write)?;
        outer.finish().map_err(SealError::Write)
    }
}

/// The cipher between the inner zip and the outer one.
enum Body<W: Write> {
    Cbc(Box<CbcWriter<StoredEntry<W>>>),
    #[cfg(feature = "age")]
    Age(Box<crate::age_key::AgeWriter<StoredEntry<W>>>),
}

impl<W: Write> Body<W> {
    fn finish(self) -> io::Result<StoredEntry<W>> {
        match self {
            Self::Cbc(body) => body.finish(),
            #[cfg(feature = "age")]
            Self::Age(body) => body.finish(),
        }
    }
}

impl<W: Write> Write for Body<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Cbc(body) => body.write(bytes),
            #[cfg(feature = "age")]
            Self::Age(body) => body.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Cbc(body) => body.flush(),
            // A flush of age's writer would end a chunk; nothing needs it.
            #[cfg(feature = "age")]
            Self::Age(_) => Ok(()),
        }
    }
}

pub(crate) fn add_file<W: Write>(
    zip: &mut ZipWriter<W>,
    tree: &mut Tree,
    name: &str,
    content: impl Read,
) -> Result<FileDigest, SealError> {
    check_room(zip, name)?;
    tree.check_new(name)?;
    let digest = zip.add_file(name, content)?;
    tree.add_file(&digest)?;
    Ok(digest)
}

pub(crate) fn add_directory<W: Write>(zip: &mut ZipWriter<W>, tree: &mut Tree, path: &str) -> Result<(), SealError> {
    let path = path.strip_suffix('/').unwrap_or(path);
    check_room(zip, path)?;
    tree.add_directory(path)?;
    zip.add_directory(path).map_err(SealError::Write)
}

/// Refuses a file whose name would make the directory longer than a reader takes (A11).
fn check_room<W: Write>(zip: &ZipWriter<W>, name: &str) -> Result<(), TreeError> {
    // A central header's fixed part and zip64 field are below 128 bytes.
    let size = zip.directory_size().saturating_add(name.len() + 128);
    if size > MAX_DIRECTORY { Err(TreeError::TooMany) } else { Ok(()) }
}
