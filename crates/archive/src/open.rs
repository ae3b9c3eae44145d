//! Reads an archive of any layout (A1), and decrypts it.
//! Not trust: that a receipt is genuine is the caller's to check. What the receipt lists is held against the archive by
//! [`Archive::decrypt_verified`], in the one pass that decrypts.

#[cfg(feature = "age")]
mod age_header;
mod error;
mod inspect;
mod layout;
mod meter;
mod pass;
mod pipe;
mod portable;
mod unlock;
mod unpack;

pub use error::OpenError;
pub use inspect::{EntryFacts, Inspection, RecipientFacts};
pub use layout::Layout;
pub use pass::{Extracted, Opened};
pub use pipe::PipedArchive;
pub(crate) use unlock::decrypt_failed;
#[cfg(feature = "age")]
pub(crate) use unlock::is_outer;
pub use unpack::{Kind, Limits, Unpacked, Visit, unpack, unpack_stream};

use crate::digest::{Running, digest_of};
use crate::tree::{Tree, TreeHash};
use crate::zip::{Entry, ZipReader};
use crate::{
    BODY_ENTRY, BODY_ENTRY_A, EntryDigest, FileDigest, KEY_ENTRY, MAX_KEY_ENTRY_SIZE, MAX_RECEIPT_SIZE,
    MAX_SEALED_ENTRIES, RECEIPT_ENTRY,
};
use sha2::Sha256;
use std::io::{Read, Seek};

/// An open archive: structure known, nothing decrypted.
pub struct Archive<R> {
    zip: ZipReader<R>,
    layout: Layout,
    /// Empty where there is none: plain, and age.
    wrapped_key: Vec<u8>,
    receipt: Option<Vec<u8>>,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the directory, the wrapped key and the receipt: a few kilobytes, whatever the archive's size.
    ///
    /// An archive with a receipt must be, headers and all, what a writer of receipts writes (A18).
    pub fn open(input: R) -> Result<Self, OpenError> {
        let mut zip = ZipReader::open(input)?;
        let kind = layout::Kind::of(&zip)?;
        if kind == layout::Kind::Plain {
            return Ok(Self { zip, layout: Layout::Plain, wrapped_key: Vec::new(), receipt: None });
        }
        if zip.entries().len() > MAX_SEALED_ENTRIES {
            return Err(OpenError::TooMany(zip.entries().len()));
        }
        let wrapped_key = match kind.key_entry() {
            Some(name) => read_small(&mut zip, name, MAX_KEY_ENTRY_SIZE)?.unwrap_or_default(),
            None => Vec::new(),
        };
        let receipt = read_small(&mut zip, RECEIPT_ENTRY, MAX_RECEIPT_SIZE)?;
        let layout = match kind {
            layout::Kind::A => Layout::A,
            #[cfg(feature = "age")]
            layout::Kind::Age => Layout::Age,
            _ if layout::is_base64(&wrapped_key) => Layout::B,
            _ => Layout::C,
        };
        if receipt.is_some() {
            require_canonical(&mut zip, layout)?;
        }
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
        self.signed_entries().iter().map(|entry| digest_entry(&mut self.zip, entry)).collect()
    }

    /// The entries that a receipt lists: all but itself.
    fn signed_entries(&self) -> Vec<Entry> {
        let receipt = self.receipt.as_ref().map(|_| RECEIPT_ENTRY);
        self.zip.entries().iter().filter(|entry| Some(entry.name.as_str()) != receipt).cloned().collect()
    }

    fn body_entry(&self) -> Option<&Entry> {
        match self.layout {
            Layout::A => self.zip.find(BODY_ENTRY_A),
            Layout::B | Layout::C => self.zip.find(BODY_ENTRY),
            #[cfg(feature = "age")]
            Layout::Age => self.zip.find(crate::AGE_ENTRY),
            Layout::Plain => None,
        }
    }
}

/// Tree hash of a result's zip: a plain archive, or what [`Archive::decrypt`] wrote (A20).
pub fn tree_of_zip(input: impl Read + Seek) -> Result<TreeHash, OpenError> {
    let mut zip = ZipReader::open(input)?;
    let mut tree = Tree::default();
    for index in 0..zip.entries().len() {
        let Some(entry) = zip.entries().get(index).cloned() else { break };
        if let Some(path) = entry.name.strip_suffix('/') {
            tree.add_directory(path)?;
        } else {
            let (size, blake3) = digest_content::<blake3::Hasher, _>(&mut zip, &entry)?;
            tree.add_file(&FileDigest { name: entry.name, size, blake3 })?;
        }
    }
    Ok(tree.hash())
}

/// An archive with a receipt has these entries in this order, stored, and each byte between them is fixed (A18).
fn require_canonical<R: Read + Seek>(zip: &mut ZipReader<R>, layout: Layout) -> Result<(), OpenError> {
    let (names, body): (&[&str], _) = match layout {
        Layout::C => (&[KEY_ENTRY, BODY_ENTRY, RECEIPT_ENTRY], BODY_ENTRY),
        #[cfg(feature = "age")]
        Layout::Age => (&[crate::AGE_ENTRY, RECEIPT_ENTRY], crate::AGE_ENTRY),
        // No writer of receipts writes another layout.
        Layout::A | Layout::B | Layout::Plain => (&[], ""),
    };
    let found = zip.entries();
    let same = found.iter().zip(names).take_while(|(entry, name)| entry.name == **name).count();
    if same < found.len() || same < names.len() {
        let at = found.get(same).or(found.last()).map_or(0, Entry::offset);
        return Err(OpenError::NotCanonical { at });
    }
    match zip.first_foreign_byte(body) {
        Ok(None) => Ok(()),
        Ok(Some(at)) => Err(OpenError::NotCanonical { at }),
        Err(source) => Err(OpenError::Zip(source.into())),
    }
}

fn digest_entry<R: Read + Seek>(zip: &mut ZipReader<R>, entry: &Entry) -> Result<EntryDigest, OpenError> {
    let (size, sha256) = digest_content::<Sha256, _>(zip, entry)?;
    Ok(EntryDigest { name: entry.name.clone(), size, sha256 })
}

fn digest_content<H: Running, R: Read + Seek>(
    zip: &mut ZipReader<R>,
    entry: &Entry,
) -> Result<(u64, [u8; 32]), OpenError> {
    zip.content(entry).and_then(digest_of::<H>).map_err(|source| OpenError::Entry { name: entry.name.clone(), source })
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
