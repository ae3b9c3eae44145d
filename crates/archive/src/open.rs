//! Reads an archive of any layout that iExec ever wrote (A1), and decrypts it.
//! Not trust: that a receipt is genuine, and that its digests are those of [`Archive::entries`], is the caller's to check.

use crate::body::{BLOCK, BodyCipher, BodyError};
use crate::digest::digest_of;
use crate::key::PrivateKey;
use crate::tree::{Tree, TreeError, TreeHash};
use crate::zip::{Entry, ZipError, ZipReader};
use crate::{
    BODY_ENTRY, BODY_ENTRY_A, EntryDigest, KEY_ENTRY, KEY_ENTRY_A, MAX_KEY_ENTRY_SIZE, MAX_RECEIPT_SIZE,
    MAX_SEALED_ENTRIES, RECEIPT_ENTRY,
};
use base64::{Engine, engine::general_purpose::STANDARD, read::DecoderReader};
use std::fmt;
use std::io::{self, Read, Seek, Write};
use zeroize::Zeroizing;

/// Which of iExec's archive layouts this is (A1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `iexec_out/encrypted_key` and `iexec_out/result.zip.aes`: AES-CBC, RSA-OAEP (2019–2020).
    A,
    /// `aes-key.rsa` and `iexec_out.zip.aes` in base64: AES-128-ECB, RSA PKCS#1 v1.5 (2020–2025).
    B,
    /// `aes-key.rsa` and `iexec_out.zip.aes` in bytes: AES-256-CBC, RSA PKCS#1 v1.5 (since 2025).
    C,
    /// Not encrypted: the zip of `/iexec_out` itself.
    Plain,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A (AES-CBC, RSA-OAEP)",
            Self::B => "B (AES-128-ECB in base64, RSA PKCS#1 v1.5)",
            Self::C => "C (AES-256-CBC, RSA PKCS#1 v1.5)",
            Self::Plain => "plain (not encrypted)",
        })
    }
}

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
    #[error("archive: entries of layout A and of layouts B and C at once")]
    MixedLayouts,
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
    /// An entry could not be read, or is not what the zip's directory says.
    #[error("archive: reading entry {name:?}: {source}")]
    Entry {
        /// The entry.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// Two files of one path, or a malformed path, inside.
    #[error("archive: {0}")]
    Tree(#[from] TreeError),
    /// There is nothing to decrypt.
    #[error("archive: it is not encrypted")]
    NotEncrypted,
    /// The one error of decryption itself, whatever its cause (A7).
    #[error("archive: it does not open with this key; the key is another one, or the archive was altered")]
    Decrypt,
    /// The plaintext could not be written.
    #[error("archive: writing the decrypted result: {0}")]
    Write(#[source] io::Error),
}

/// An open archive: structure known, nothing decrypted.
pub struct Archive<R> {
    zip: ZipReader<R>,
    layout: Layout,
    /// Empty for [`Layout::Plain`].
    wrapped_key: Vec<u8>,
    receipt: Option<Vec<u8>>,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the directory, the wrapped key and the receipt: a few kilobytes, whatever the archive's size.
    pub fn open(input: R) -> Result<Self, OpenError> {
        let mut zip = ZipReader::open(input)?;
        let kind = Kind::of(&zip)?;
        if kind == Kind::Plain {
            return Ok(Self { zip, layout: Layout::Plain, wrapped_key: Vec::new(), receipt: None });
        }
        if zip.entries().len() > MAX_SEALED_ENTRIES {
            return Err(OpenError::TooMany(zip.entries().len()));
        }
        let (key_name, _) = kind.names();
        let wrapped_key = read_small(&mut zip, key_name, MAX_KEY_ENTRY_SIZE)?.unwrap_or_default();
        let receipt = read_small(&mut zip, RECEIPT_ENTRY, MAX_RECEIPT_SIZE)?;
        let layout = match kind {
            Kind::A => Layout::A,
            _ if is_base64(&wrapped_key) => Layout::B,
            _ => Layout::C,
        };
        Ok(Self { zip, layout, wrapped_key, receipt })
    }

    /// Which layout it has.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The bytes of `receipt.json`, if there; at most 64 KiB.
    pub fn receipt(&self) -> Option<&[u8]> {
        self.receipt.as_deref()
    }

    /// Size in bytes of the encrypted body's entry; `None` for a plain archive.
    pub fn body_size(&self) -> Option<u64> {
        self.body_entry().map(|entry| entry.size)
    }

    /// Names of all entries, the receipt's too, in the order of their bytes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.zip.entries().iter().map(|entry| entry.name.as_str())
    }

    /// Digests of all entries but the receipt, in the order of their bytes. Reads the whole archive.
    pub fn entries(&mut self) -> Result<Vec<EntryDigest>, OpenError> {
        let receipt = self.receipt.as_ref().map(|_| RECEIPT_ENTRY);
        let entries: Vec<Entry> =
            self.zip.entries().iter().filter(|entry| Some(entry.name.as_str()) != receipt).cloned().collect();
        entries.iter().map(|entry| digest_entry(&mut self.zip, entry)).collect()
    }

    /// Decrypts the body to `out`, and returns the number of bytes written: the zip of `/iexec_out`.
    ///
    /// On an error, what was written to `out` already is worthless and must be thrown away.
    pub fn decrypt(&mut self, key: &PrivateKey, out: &mut impl Write) -> Result<u64, OpenError> {
        let entry = self.body_entry().cloned().ok_or(OpenError::NotEncrypted)?;
        let data_key = self.unwrap_key(key).ok_or(OpenError::Decrypt)?;
        let unreadable = |source| OpenError::Entry { name: entry.name.clone(), source };
        let mut body = self.zip.content(&entry).map_err(unreadable)?;
        let result = if self.layout == Layout::B {
            let cipher = BodyCipher::ecb(&data_key).ok_or(OpenError::Decrypt)?;
            cipher.decrypt(DecoderReader::new(&mut body, &STANDARD), out)
        } else {
            let mut iv = [0; BLOCK];
            body.read_exact(&mut iv).map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => OpenError::Decrypt,
                _ => unreadable(source),
            })?;
            let cipher = BodyCipher::cbc(&data_key, &iv).ok_or(OpenError::Decrypt)?;
            cipher.decrypt(body, out)
        };
        result.map_err(|error| match error {
            BodyError::Read(source) => unreadable(source),
            BodyError::Write(source) => OpenError::Write(source),
            BodyError::Decrypt => OpenError::Decrypt,
        })
    }

    /// The data key, of the length that the layout allows; `None` for any failure (A7).
    fn unwrap_key(&self, key: &PrivateKey) -> Option<Zeroizing<Vec<u8>>> {
        match self.layout {
            Layout::A => key.unwrap_oaep(&self.wrapped_key).filter(|key| matches!(key.len(), 16 | 32)),
            Layout::B => {
                let text = key.unwrap_pkcs1(&STANDARD.decode(&self.wrapped_key).ok()?)?;
                STANDARD.decode(&*text).ok().map(Zeroizing::new).filter(|key| key.len() == 16)
            }
            Layout::C => key.unwrap_pkcs1(&self.wrapped_key).filter(|key| key.len() == 32),
            Layout::Plain => None,
        }
    }

    fn body_entry(&self) -> Option<&Entry> {
        match self.layout {
            Layout::A => self.zip.find(BODY_ENTRY_A),
            Layout::B | Layout::C => self.zip.find(BODY_ENTRY),
            Layout::Plain => None,
        }
    }
}

/// Tree hash of a result's zip: a plain archive, or what [`Archive::decrypt`] wrote (A20).
pub fn tree_of_zip(input: impl Read + Seek) -> Result<TreeHash, OpenError> {
    let mut zip = ZipReader::open(input)?;
    let mut tree = Tree::default();
    for entry in zip.entries().to_vec() {
        match entry.name.strip_suffix('/') {
            Some(path) => tree.add_directory(path)?,
            None => tree.add_file(&digest_entry(&mut zip, &entry)?)?,
        }
    }
    Ok(tree.hash())
}

/// What the names of the entries alone say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    A,
    BOrC,
    Plain,
}

impl Kind {
    fn of<R: Read + Seek>(zip: &ZipReader<R>) -> Result<Self, OpenError> {
        let a = Self::A.is_whole(zip)?;
        let b_or_c = Self::BOrC.is_whole(zip)?;
        match (a, b_or_c) {
            (true, true) => Err(OpenError::MixedLayouts),
            (true, false) => Ok(Self::A),
            (false, true) => Ok(Self::BOrC),
            (false, false) if ["computed.json", "iexec_out/computed.json"].iter().any(|n| zip.find(n).is_some()) => {
                Ok(Self::Plain)
            }
            (false, false) => Err(OpenError::UnknownLayout(listing(zip.entries()))),
        }
    }

    /// Names of the key's and the body's entry.
    fn names(self) -> (&'static str, &'static str) {
        if self == Self::A { (KEY_ENTRY_A, BODY_ENTRY_A) } else { (KEY_ENTRY, BODY_ENTRY) }
    }

    /// Both entries there, or neither; one of the two is an error.
    fn is_whole<R: Read + Seek>(self, zip: &ZipReader<R>) -> Result<bool, OpenError> {
        let (key, body) = self.names();
        match (zip.find(key).is_some(), zip.find(body).is_some()) {
            (true, true) => Ok(true),
            (false, false) => Ok(false),
            (true, false) => Err(OpenError::MissingEntry { found: key, missing: body }),
            (false, true) => Err(OpenError::MissingEntry { found: body, missing: key }),
        }
    }
}

/// The first few names, for an error's line.
fn listing(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "no entry".to_owned();
    }
    let shown: Vec<String> = entries.iter().take(5).map(|e| format!("{:?}", crate::name::shorten(&e.name))).collect();
    let more = if entries.len() > 5 { format!(" and {} more", entries.len() - 5) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Raw RSA output of 256 bytes or more is base64 text by chance once in 2^512 (A2).
fn is_base64(bytes: &[u8]) -> bool {
    let symbol = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    !bytes.is_empty() && bytes.iter().all(symbol)
}

fn digest_entry<R: Read + Seek>(zip: &mut ZipReader<R>, entry: &Entry) -> Result<EntryDigest, OpenError> {
    zip.content(entry)
        .and_then(|content| digest_of(&entry.name, content))
        .map_err(|source| OpenError::Entry { name: entry.name.clone(), source })
}

/// A whole entry of at most `limit` bytes, `None` if it is not there. Memory follows the bytes read, not those declared.
fn read_small<R: Read + Seek>(
    zip: &mut ZipReader<R>,
    name: &'static str,
    limit: usize,
) -> Result<Option<Vec<u8>>, OpenError> {
    let Some(entry) = zip.find(name).cloned() else { return Ok(None) };
    if entry.size > limit as u64 {
        return Err(OpenError::TooLarge { name, size: entry.size, limit });
    }
    let unreadable = |source| OpenError::Entry { name: name.to_owned(), source };
    let mut bytes = Vec::new();
    // The content refuses to be longer than declared.
    zip.content(&entry).map_err(unreadable)?.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(Some(bytes))
}
