//! The beneficiary's RSA private key: made, read, written, with a passphrase or without.
//! Not storage: files and their permissions belong to the caller.
//!
//! Private operations run in AWS-LC only, whose RSA is constant-time (A6).

use crate::key::{KeyError, PublicKey, label_error};
use crate::{pbes2, pem};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey,
};
use rand_core::CryptoRng;
use std::fmt;
use zeroize::Zeroizing;

const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// An RSA private key of 2048 to 8192 bits. AWS-LC zeroes its memory when it is dropped.
#[derive(Clone)]
pub struct PrivateKey(PrivateDecryptingKey);

impl PrivateKey {
    /// Reads a PKCS#8 (`BEGIN PRIVATE KEY`) or PKCS#1 (`BEGIN RSA PRIVATE KEY`) PEM of at most 16 KiB.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_pem_with(text, None)
    }

    /// Reads an encrypted PKCS#8 PEM (`BEGIN ENCRYPTED PRIVATE KEY`, PBES2) too; one that is not encrypted needs no
    /// passphrase and is read without (A25).
    pub fn from_encrypted_pem(text: &str, passphrase: &[u8]) -> Result<Self, KeyError> {
        Self::from_pem_with(text, Some(passphrase))
    }

    /// Whether the text is that of a private key under a passphrase.
    pub fn is_encrypted(text: &str) -> bool {
        pem::parse(text).is_ok_and(|block| block.label == ENCRYPTED)
    }

    fn from_pem_with(text: &str, passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        let block = pem::parse(text).map_err(KeyError::Pem)?;
        match block.label {
            "PRIVATE KEY" => Self::from_pkcs8(&block.der, "PKCS#8"),
            "RSA PRIVATE KEY" => Self::from_pkcs8(&pkcs8_of_pkcs1(&block.der), "PKCS#1"),
            ENCRYPTED => {
                let der = pbes2::decrypt(&block.der, passphrase.ok_or(KeyError::Passphrase)?)?;
                Self::from_pkcs8(&der, "encrypted PKCS#8")
            }
            other => Err(label_error("PRIVATE KEY, ENCRYPTED PRIVATE KEY or RSA PRIVATE KEY", other)),
        }
    }

    /// Makes a key of 2048, 3072, 4096 or 8192 bits, e = 65537, with AWS-LC's randomness.
    pub fn generate(bits: usize) -> Result<Self, KeyError> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            8192 => KeySize::Rsa8192,
            other => return Err(KeyError::Bits(other)),
        };
        PrivateDecryptingKey::generate(size).map(Self).map_err(|_| KeyError::Library("generate a key"))
    }

    /// Unencrypted PKCS#8 PEM, 64 columns, final newline.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let der: Pkcs8V1Der = self.0.as_der().map_err(|_| KeyError::Library("encode a private key"))?;
        Ok(pem::armour("PRIVATE KEY", der.as_ref()))
    }

    /// PKCS#8 PEM under a passphrase: PBES2 with scrypt and AES-256-CBC (A25), readable by `openssl pkey`.
    pub fn to_encrypted_pem(&self, passphrase: &[u8], rng: &mut impl CryptoRng) -> Result<Zeroizing<String>, KeyError> {
        let der: Pkcs8V1Der = self.0.as_der().map_err(|_| KeyError::Library("encode a private key"))?;
        Ok(pem::armour(ENCRYPTED, &pbes2::encrypt(der.as_ref(), passphrase, rng)?))
    }

    /// Size of the modulus in bits.
    pub fn bits(&self) -> usize {
        self.0.key_size_bits()
    }

    /// The public half.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        PublicKey::new(self.0.public_key())
    }

    /// RSAES-PKCS1-v1_5 decryption; `None` for any failure (A6).
    pub(crate) fn unwrap_pkcs1(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let cipher = Pkcs1PrivateDecryptingKey::new(self.0.clone()).ok()?;
        let mut plain = Zeroizing::new(vec![0; cipher.min_output_size()]);
        let size = cipher.decrypt(wrapped, &mut plain).ok()?.len();
        plain.truncate(size);
        Some(plain)
    }

    /// RSAES-OAEP decryption with SHA-1 and no label, as layout A has it; `None` for any failure (A6).
    pub(crate) fn unwrap_oaep(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let cipher = OaepPrivateDecryptingKey::new(self.0.clone()).ok()?;
        let mut plain = Zeroizing::new(vec![0; cipher.min_output_size()]);
        let size = cipher.decrypt(&OAEP_SHA1_MGF1SHA1, wrapped, &mut plain, None).ok()?.len();
        plain.truncate(size);
        Some(plain)
    }

    fn from_pkcs8(der: &[u8], form: &'static str) -> Result<Self, KeyError> {
        PrivateDecryptingKey::from_pkcs8(der).map(Self).map_err(|_| KeyError::Rsa(form))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// Puts an `RSAPrivateKey` (RFC 8017 A.1.2) into a `PrivateKeyInfo` (RFC 5208 5): version 0, rsaEncryption, octets.
fn pkcs8_of_pkcs1(pkcs1: &[u8]) -> Zeroizing<Vec<u8>> {
    const VERSION_AND_ALGORITHM: [u8; 18] =
        [0x02, 0x01, 0x00, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let octets = der_header(0x04, pkcs1.len());
    let inside = VERSION_AND_ALGORITHM.len() + octets.len() + pkcs1.len();
    let sequence = der_header(0x30, inside);
    let mut der = Zeroizing::new(Vec::with_capacity(sequence.len() + inside));
    for part in [&sequence[..], &VERSION_AND_ALGORITHM, &octets, pkcs1] {
        der.extend_from_slice(part);
    }
    der
}

/// Tag and length (X.690 8.1.3); lengths here are below 64 KiB.
fn der_header(tag: u8, length: usize) -> Vec<u8> {
    let [.., high, low] = length.to_be_bytes();
    match length {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    }
}
