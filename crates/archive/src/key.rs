//! The beneficiary's RSA keys: the PEM forms that iExec and OpenSSL use, and the wrapping of a data key.
//! Not storage: files and their permissions belong to the caller.
//!
//! Private operations run in AWS-LC only, whose RSA is constant-time (A6).

use crate::pem;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// Why a key was refused or could not be made. Never holds a byte of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not one PEM block.
    #[error("key: PEM {0}")]
    Pem(&'static str),
    /// The PEM block holds something else.
    #[error("key: expected a PEM block {expected}, found {found:?}")]
    Label {
        /// The labels that are taken.
        expected: &'static str,
        /// The label that is there, cut at 80 characters.
        found: String,
    },
    /// A private key under a passphrase.
    #[error("key: the private key is encrypted with a passphrase, which is not supported")]
    Passphrase,
    /// The value kept by the SMS is neither PEM nor base64 of PEM.
    #[error("key: expected a PEM text or its base64, found neither")]
    SmsValue,
    /// The DER is not an RSA key of 2048 to 8192 bits (A4).
    #[error("key: not an RSA key of 2048 to 8192 bits in {0}")]
    Rsa(&'static str),
    /// A size that is not offered.
    #[error("key: RSA keys are made with 2048, 3072, 4096 or 8192 bits, not {0}")]
    Bits(usize),
    /// The cryptographic library failed.
    #[error("key: the cryptographic library could not {0}")]
    Library(&'static str),
}

/// An RSA public key of 2048 to 8192 bits: the one an archive is encrypted to.
#[derive(Clone)]
pub struct PublicKey {
    key: PublicEncryptingKey,
    spki: Vec<u8>,
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo` PEM (`BEGIN PUBLIC KEY`, RFC 7468 13) of at most 16 KiB.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let block = pem::parse(text).map_err(KeyError::Pem)?;
        match block.label {
            "PUBLIC KEY" => Self::from_spki(&block.der),
            other => Err(label_error("PUBLIC KEY", other)),
        }
    }

    /// Reads the value kept by the SMS for `iexec-result-encryption-public-key`: base64 of the PEM text, or the PEM (A5).
    pub fn from_sms_value(value: &str) -> Result<Self, KeyError> {
        let value = value.trim();
        if value.starts_with("-----BEGIN ") {
            return Self::from_pem(value);
        }
        if value.len() > pem::MAX_PEM_SIZE * 2 {
            return Err(KeyError::SmsValue);
        }
        let text = STANDARD.decode(value).map_err(|_| KeyError::SmsValue)?;
        Self::from_pem(std::str::from_utf8(&text).map_err(|_| KeyError::SmsValue)?)
    }

    /// The value to push to the SMS: base64, on one line, of [`Self::to_pem`] (A5).
    pub fn to_sms_value(&self) -> String {
        STANDARD.encode(self.to_pem())
    }

    /// SPKI PEM, 64 columns, final newline.
    pub fn to_pem(&self) -> String {
        pem::armour("PUBLIC KEY", &self.spki).to_string()
    }

    /// SHA-256 of the `SubjectPublicKeyInfo` DER.
    pub fn key_id(&self) -> [u8; 32] {
        Sha256::digest(&self.spki).into()
    }

    /// Size of the modulus in bits.
    pub fn bits(&self) -> usize {
        self.key.key_size_bits()
    }

    /// RSAES-PKCS1-v1_5 (RFC 8017 7.2) of a data key; as long as the modulus (A3). The padding's randomness is AWS-LC's.
    pub(crate) fn wrap(&self, data_key: &[u8; 32]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Library("encrypt to this key");
        let cipher = Pkcs1PublicEncryptingKey::new(self.key.clone()).map_err(failed)?;
        let mut wrapped = vec![0; cipher.ciphertext_size()];
        let size = cipher.encrypt(data_key, &mut wrapped).map_err(failed)?.len();
        wrapped.truncate(size);
        Ok(wrapped)
    }

    /// Takes only the one DER form of a key, so that a key has one id.
    fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let refused = KeyError::Rsa("a SubjectPublicKeyInfo");
        let key = PublicEncryptingKey::from_der(der).map_err(|_| refused.clone())?;
        let public = Self::new(key)?;
        if public.spki == der { Ok(public) } else { Err(refused) }
    }

    fn new(key: PublicEncryptingKey) -> Result<Self, KeyError> {
        let spki: PublicKeyX509Der = key.as_der().map_err(|_| KeyError::Library("encode a public key"))?;
        let spki = spki.as_ref().to_vec();
        Ok(Self { key, spki })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey(RSA-{})", self.bits())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

/// An RSA private key of 2048 to 8192 bits. AWS-LC zeroes its memory when it is dropped.
#[derive(Clone)]
pub struct PrivateKey(PrivateDecryptingKey);

impl PrivateKey {
    /// Reads a PKCS#8 (`BEGIN PRIVATE KEY`) or PKCS#1 (`BEGIN RSA PRIVATE KEY`) PEM of at most 16 KiB.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let block = pem::parse(text).map_err(KeyError::Pem)?;
        match block.label {
            "PRIVATE KEY" => Self::from_pkcs8(&block.der, "PKCS#8"),
            "RSA PRIVATE KEY" => Self::from_pkcs8(&pkcs8_of_pkcs1(&block.der), "PKCS#1"),
            "ENCRYPTED PRIVATE KEY" => Err(KeyError::Passphrase),
            other => Err(label_error("PRIVATE KEY or RSA PRIVATE KEY", other)),
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

fn label_error(expected: &'static str, found: &str) -> KeyError {
    KeyError::Label { expected, found: found.chars().take(80).collect() }
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
