//! The encrypted result archive: write it, read it.
//!
//! It knows no chain, no network, no path, no clock: only `Read`, `Write` and `Seek`, and memory that does not grow with
//! the size of a result. It does not know what a receipt says either; `receipt.json` is opaque bytes here.
//! Formats and rules (A1, A2, …): `docs/spec/archive.md`.
//!
//! * Seal: [`Encryptor`] for a [`Recipient`], [`PlainWriter`] for nobody.
//! * Open: [`Archive::decrypt_verified`] decrypts, and compares with a receipt's list, in one pass; [`Archive::extract`]
//!   shows the files instead; [`Archive::inspect`] tells what can be told without a key.
//! * Keys: [`PublicKey`] and [`PrivateKey`] are RSA's, `AgeRecipient` and `AgeIdentity` age's.
//!
//! What is written before a call says yes is worthless: write to a temporary place, rename after.
//!
//! Features: `open` (default) is everything that needs a private key; without it the crate only seals. `age` adds age v1;
//! `plugin` the identities of age that another program holds, which it starts.
//!
//! ```
//! # #[cfg(feature = "open")] {
//! use iexec_archive::{Archive, Encryptor, EntryDigest, PrivateKey, Sealed};
//! use std::io::Cursor;
//!
//! let beneficiary = PrivateKey::generate(2048)?;
//! let mut writer = Encryptor::new(&beneficiary.public_key()?, &mut rand::rng(), Cursor::new(Vec::new()))?;
//! writer.add_file("my-result.txt", &b"Hello, world!"[..])?;
//! let mut list: Vec<EntryDigest> = Vec::new();
//! let sealed = writer.finish(|sealed: &Sealed| {
//!     list = sealed.entries.clone();
//!     b"what the list says, signed".to_vec()
//! })?;
//!
//! let mut archive = Archive::open(sealed)?;
//! assert_eq!(archive.receipt(), Some(&b"what the list says, signed"[..]));
//! let mut results_zip = Vec::new();
//! archive.decrypt_verified(&[beneficiary.into()], &list, &mut results_zip)?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

#[cfg(all(feature = "open", feature = "age"))]
mod age_identity;
#[cfg(feature = "age")]
mod age_key;
#[cfg(all(feature = "open", feature = "age"))]
mod age_passphrase;
#[cfg(all(feature = "open", feature = "age"))]
mod age_payload;
#[cfg(feature = "plugin")]
mod age_plugin;
mod body;
#[cfg(feature = "open")]
mod chunks;
#[cfg(feature = "open")]
mod cipher;
mod digest;
mod key;
mod name;
#[cfg(feature = "open")]
mod open;
#[cfg(feature = "open")]
mod pbes2;
mod pem;
mod plain;
#[cfg(feature = "open")]
mod private_key;
mod recipient;
mod seal;
mod tree;
mod zip;

#[cfg(all(feature = "open", feature = "age"))]
pub use age_identity::AgeIdentity;
#[cfg(feature = "age")]
pub use age_key::AgeRecipient;
#[cfg(feature = "plugin")]
pub use age_plugin::{PluginDialogue, PluginIdentity};
pub use digest::{EntryDigest, FileDigest};
pub use key::{KeyError, PublicKey};
pub use name::NameError;
#[cfg(feature = "open")]
pub use open::{
    Archive, EntryFacts, Extracted, Inspection, Kind, Layout, Limits, OpenError, Opened, PipedArchive, RecipientFacts,
    Unpacked, Visit, tree_of_zip, unpack, unpack_stream,
};
pub use plain::{PlainWriter, write_plain};
#[cfg(feature = "open")]
pub use private_key::PrivateKey;
#[cfg(feature = "open")]
pub use recipient::Identity;
pub use recipient::Recipient;
pub use seal::{ArchiveWriter, Encryptor, SealError, Sealed};
pub use tree::{Tree, TreeError, TreeHash};
pub use zip::ZipError;

/// Largest receipt, in bytes (A14).
pub const MAX_RECEIPT_SIZE: usize = 64 * 1024;
/// Largest wrapped-key entry, in bytes (A11).
pub const MAX_KEY_ENTRY_SIZE: usize = 4096;
/// Most entries, at the outer level, of an encrypted archive (A11).
pub const MAX_SEALED_ENTRIES: usize = 64;
/// Most files and folders in one result, and most entries in a plain archive (A11).
pub const MAX_FILES: usize = 100_000;
/// Most recipients of an age file, written or read (A11).
pub const MAX_RECIPIENTS: usize = 32;
/// Longest header of an age file, in bytes (A11).
pub const MAX_AGE_HEADER: usize = 64 * 1024;
/// Largest central directory of a zip, in bytes: what bounds the sum of all names (A11).
pub const MAX_DIRECTORY: usize = 16 * 1024 * 1024;
/// Longest name of an entry, in bytes of UTF-8 (A12).
pub const MAX_NAME_SIZE: usize = 1024;

/// The encrypted body, layouts B and C.
pub const BODY_ENTRY: &str = "iexec_out.zip.aes";
/// The wrapped data key, layouts B and C.
pub const KEY_ENTRY: &str = "aes-key.rsa";
/// The encrypted body, an age v1 file.
pub const AGE_ENTRY: &str = "iexec_out.zip.age";
/// The receipt, any layout.
pub const RECEIPT_ENTRY: &str = "receipt.json";
/// The encrypted body, layout A.
pub(crate) const BODY_ENTRY_A: &str = "iexec_out/result.zip.aes";
/// The wrapped data key, layout A.
pub(crate) const KEY_ENTRY_A: &str = "iexec_out/encrypted_key";
