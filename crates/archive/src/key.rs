//! The beneficiary's RSA public key: the PEM and SMS forms that iExec and OpenSSL use, and the wrapping of a data key.

use crate::pem;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use std::fmt;

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
    /// A private key under a passphrase, and no passphrase.
    #[error("key: the private key is encrypted, its passphrase is needed")]
    Passphrase,
    /// The passphrase does not open the private key, or the key's file is damaged.
    #[error("key: the passphrase does not open the private key")]
    WrongPassphrase,
    /// A private key encrypted in a way that is not read (A25).
    #[error("key: the private key is encrypted with {0}")]
    Encryption(&'static str),
    /// Not a recipient or an identity of age.
    #[error("key: {0}")]
    Age(&'static str),
    /// The program that holds the key is not there.
    #[cfg(feature = "plugin")]
    #[error("key: the identity is held by the program age-plugin-{0}, which is not in the PATH")]
    Plugin(String),
    /// Recipients that cannot share an archive (A3).
    #[error("key: the recipients: {0}")]
    Recipients(&'static str),
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

    pub(crate) fn new(key: PublicEncryptingKey) -> Result<Self, KeyError> {
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

pub(crate) fn label_error(expected: &'static str, found: &str) -> KeyError {
    KeyError::Label { expected, found: found.chars().take(80).collect() }
}
