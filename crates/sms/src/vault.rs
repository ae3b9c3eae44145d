//! Encryption at rest: AES-256-GCM, each value bound to the row that it belongs to (spec SMS-20).
//!
//! It knows no table and no SQL: a [`Row`] is a name for a place, a [`Vault`] is one key. Which key seals what is told
//! by the store's key ring.

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use hmac::{Hmac, Mac as _};
use rand::TryRngCore as _;
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

/// 96 bits, random for each value (SP 800-38D 8.2.2).
const NONCE: usize = 12;

/// 32 secret bytes: a key-encryption key or a data key.
#[derive(Clone)]
pub(crate) struct Key(pub(crate) Zeroizing<[u8; 32]>);

impl Key {
    /// A fresh one.
    pub(crate) fn random() -> Result<Self, VaultError> {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::rngs::OsRng.try_fill_bytes(bytes.as_mut()).map_err(|_| VaultError::Random)?;
        Ok(Self(bytes))
    }

    /// The key in `bytes`, if there are 32.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// Another key, for this purpose alone (SP 800-108: a single block in counter mode needs no counter).
    pub(crate) fn derive(&self, purpose: &[u8]) -> Self {
        Self(Zeroizing::new(hmac(&self.0, purpose)))
    }
}

/// Seals and opens values under one key.
pub(crate) struct Vault {
    cipher: Aes256Gcm,
}

/// The place of a value: its table and its key, unambiguous as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row(Vec<u8>);

impl Row {
    /// A row of `table` with this key, part by part.
    pub(crate) fn new(table: &str, key: &[&[u8]]) -> Self {
        let parts = std::iter::once(table.as_bytes()).chain(key.iter().copied());
        Self(parts.flat_map(|part| [&(part.len() as u64).to_be_bytes(), part].concat()).collect())
    }
}

impl Vault {
    /// A vault under this key.
    pub(crate) fn new(key: &Key) -> Self {
        Self { cipher: Aes256Gcm::new((&*key.0).into()) }
    }

    /// `nonce ‖ ciphertext ‖ tag`.
    pub(crate) fn seal(&self, row: &Row, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE];
        rand::rngs::OsRng.try_fill_bytes(&mut nonce).map_err(|_| VaultError::Random)?;
        let payload = Payload { msg: plain, aad: &row.0 };
        let sealed = self.cipher.encrypt(Nonce::from_slice(&nonce), payload).map_err(|_| VaultError::Seal)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// The value, if it was sealed here, under this key, for this row.
    pub(crate) fn open(&self, row: &Row, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or(VaultError::Open)?;
        let payload = Payload { msg: sealed, aad: &row.0 };
        self.cipher.decrypt(Nonce::from_slice(nonce), payload).map(Zeroizing::new).map_err(|_| VaultError::Open)
    }
}

/// A value's mark: tells whether a row had it before, and nothing to who lacks the key (HMAC-SHA-256).
pub(crate) fn mark(key: &Key, row: &Row, plain: &[u8]) -> Vec<u8> {
    let parts = Zeroizing::new([&(row.0.len() as u64).to_be_bytes(), row.0.as_slice(), plain].concat());
    hmac(&key.0, &parts).to_vec()
}

fn hmac(key: &[u8; 32], bytes: &[u8]) -> [u8; 32] {
    // RFC 2104 pads a short key with zeros to the block of 64 bytes.
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    let mut mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new((&*block).into());
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// A value that cannot be kept or had. It is not said where decryption failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum VaultError {
    /// Another key, another row, or changed bytes.
    #[error("a stored value does not open: it was sealed under another key or for another row, or was changed")]
    Open,
    /// The cipher refuses.
    #[error("a value cannot be sealed")]
    Seal,
    /// No randomness.
    #[error("the system gives no random bytes")]
    Random,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: u8) -> Vault {
        Vault::new(&key(byte))
    }

    fn key(byte: u8) -> Key {
        Key(Zeroizing::new([byte; 32]))
    }

    fn row(key: &[&[u8]]) -> Row {
        Row::new("secret", key)
    }

    #[test]
    fn a_value_opens_in_its_own_row_under_its_own_key_alone() {
        let (vault, place) = (vault(1), row(&[b"a", b"b"]));
        let sealed = vault.seal(&place, b"value").unwrap();
        assert_eq!(vault.open(&place, &sealed).unwrap().as_slice(), b"value");
        assert_eq!(vault.open(&row(&[b"a", b"c"]), &sealed), Err(VaultError::Open));
        assert_eq!(vault.open(&row(&[b"ab", b""]), &sealed), Err(VaultError::Open));
        assert_eq!(vault.open(&Row::new("challenge", &[b"a", b"b"]), &sealed), Err(VaultError::Open));
        assert_eq!(self::vault(2).open(&place, &sealed), Err(VaultError::Open));
    }

    #[test]
    fn a_changed_or_cut_value_does_not_open() {
        let (vault, place) = (vault(1), row(&[b"a"]));
        let sealed = vault.seal(&place, b"value").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(vault.open(&place, &changed), Err(VaultError::Open), "byte {index}");
            assert_eq!(vault.open(&place, &sealed[..index]), Err(VaultError::Open), "cut at {index}");
        }
    }

    #[test]
    fn equal_values_look_different_and_have_equal_marks_only_in_one_row() {
        let (vault, place) = (vault(1), row(&[b"a"]));
        assert_ne!(vault.seal(&place, b"v").unwrap(), vault.seal(&place, b"v").unwrap());
        assert_eq!(mark(&key(1), &place, b"v"), mark(&key(1), &place, b"v"));
        assert_ne!(mark(&key(1), &place, b"v"), mark(&key(1), &row(&[b"b"]), b"v"));
        assert_ne!(mark(&key(1), &place, b"v"), mark(&key(2), &place, b"v"));
    }
}
