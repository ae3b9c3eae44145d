//! To whom an archive is encrypted, and who opens it: RSA or age. The text of the key decides, nothing else does.

use crate::key::{KeyError, PublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::fmt;
#[cfg(feature = "open")]
use zeroize::Zeroizing;

/// Longest value that the SMS keeps, bytes.
const MAX_SMS_VALUE: usize = 4096;

/// A public key that an archive can be encrypted to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recipient {
    /// Layout C; alone.
    Rsa(PublicKey),
    /// An age file; several at once.
    #[cfg(feature = "age")]
    Age(crate::AgeRecipient),
}

impl Recipient {
    /// Reads the value kept by the SMS for `iexec-result-encryption-public-key`: a PEM text or an `age1…` key, either
    /// plain or in base64 (A5).
    pub fn from_sms_value(value: &str) -> Result<Self, KeyError> {
        let value = value.trim();
        if is_age(value) {
            return Self::from_age(value);
        }
        match STANDARD.decode(value).ok().and_then(|text| String::from_utf8(text).ok()) {
            Some(text) if is_age(text.trim()) => Self::from_age(text.trim()),
            _ => PublicKey::from_sms_value(value).map(Self::Rsa),
        }
    }

    /// Reads the same value where it may name several keys of age, one a line (A5). Whatever could not share an archive is
    /// refused here, before there is one.
    pub fn list_from_sms_value(value: &str) -> Result<Vec<Self>, KeyError> {
        if value.len() > MAX_SMS_VALUE {
            return Err(KeyError::SmsValue);
        }
        let decoded = STANDARD.decode(value.trim()).ok().and_then(|text| String::from_utf8(text).ok());
        let text = decoded.as_deref().filter(|text| is_age(text.trim())).unwrap_or(value).trim();
        if !is_age(text) {
            return Self::from_sms_value(text).map(|key| vec![key]);
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = lines.map(Self::from_age).collect::<Result<Vec<_>, _>>()?;
        Self::check_list(&keys).map(|()| keys)
    }

    /// The value to push to the SMS for these recipients: [`Self::to_sms_value`] of one, or one key of age a line.
    pub fn list_to_sms_value(recipients: &[Self]) -> Result<String, KeyError> {
        Self::check_list(recipients)?;
        let value = recipients.iter().map(Self::to_sms_value).collect::<Vec<_>>().join("\n");
        if value.len() > MAX_SMS_VALUE {
            Err(KeyError::Recipients("they are longer than 4096 bytes"))
        } else {
            Ok(value)
        }
    }

    /// Whether an archive can be encrypted to all of them at once (A3).
    fn check_list(recipients: &[Self]) -> Result<(), KeyError> {
        let several = recipients.len() > 1;
        if recipients.is_empty() {
            return Err(KeyError::Recipients("there is none"));
        }
        if recipients.len() > crate::MAX_RECIPIENTS {
            return Err(KeyError::Recipients("there are more than 32"));
        }
        if several && recipients.iter().any(|key| matches!(key, Self::Rsa(_))) {
            return Err(KeyError::Recipients("an RSA key is an archive's only recipient"));
        }
        if recipients.windows(2).any(|pair| pair[0].is_post_quantum() != pair[1].is_post_quantum()) {
            return Err(KeyError::Recipients("post-quantum recipients go with their like only"));
        }
        Ok(())
    }

    fn is_post_quantum(&self) -> bool {
        match self {
            Self::Rsa(_) => false,
            #[cfg(feature = "age")]
            Self::Age(key) => key.is_post_quantum(),
        }
    }

    /// The value to push to the SMS (A5).
    pub fn to_sms_value(&self) -> String {
        match self {
            Self::Rsa(key) => key.to_sms_value(),
            #[cfg(feature = "age")]
            Self::Age(key) => key.to_string(),
        }
    }

    /// SHA-256 of the key: of its `SubjectPublicKeyInfo`, or of its `age1…` text.
    pub fn key_id(&self) -> [u8; 32] {
        match self {
            Self::Rsa(key) => key.key_id(),
            #[cfg(feature = "age")]
            Self::Age(key) => key.key_id(),
        }
    }

    #[cfg(feature = "age")]
    fn from_age(text: &str) -> Result<Self, KeyError> {
        text.parse().map(Self::Age)
    }

    #[cfg(not(feature = "age"))]
    fn from_age(_: &str) -> Result<Self, KeyError> {
        Err(KeyError::Age("this program was built without age"))
    }
}

fn is_age(text: &str) -> bool {
    text.starts_with("age1")
}

impl fmt::Display for Recipient {
    /// `RSA-4096`, or the `age1…` key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(key) => write!(f, "RSA-{}", key.bits()),
            #[cfg(feature = "age")]
            Self::Age(key) => key.fmt(f),
        }
    }
}

impl From<PublicKey> for Recipient {
    fn from(key: PublicKey) -> Self {
        Self::Rsa(key)
    }
}

#[cfg(feature = "age")]
impl From<crate::AgeRecipient> for Recipient {
    fn from(key: crate::AgeRecipient) -> Self {
        Self::Age(key)
    }
}

/// A private key that opens archives.
#[cfg(feature = "open")]
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Identity {
    /// Layouts A, B and C.
    Rsa(crate::PrivateKey),
    /// Age files.
    #[cfg(feature = "age")]
    Age(crate::AgeIdentity),
    /// Age files, by a program that holds the key.
    #[cfg(feature = "plugin")]
    Plugin(crate::PluginIdentity),
}

#[cfg(feature = "open")]
impl Identity {
    /// Reads a key file, text or not: what [`Self::from_text`] reads, or an age file around that under a passphrase (A25).
    pub fn from_file(file: &[u8], passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        #[cfg(feature = "age")]
        if crate::age_passphrase::is_encrypted(file) {
            let text = crate::age_passphrase::decrypt(file, passphrase.ok_or(KeyError::Passphrase)?)?;
            return Self::from_text(&text, None);
        }
        Self::from_text(std::str::from_utf8(file).map_err(|_| KeyError::Pem("text is not UTF-8"))?, passphrase)
    }

    /// Whether a key file asks for a passphrase.
    pub fn is_encrypted(file: &[u8]) -> bool {
        #[cfg(feature = "age")]
        if crate::age_passphrase::is_encrypted(file) {
            return true;
        }
        std::str::from_utf8(file).is_ok_and(crate::PrivateKey::is_encrypted)
    }

    /// Reads a key file: PEM, or age's. The passphrase is for an encrypted PEM alone.
    pub fn from_text(text: &str, passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        #[cfg(feature = "age")]
        if has_line(text, "AGE-SECRET-KEY-") {
            return crate::AgeIdentity::from_text(text).map(Self::Age);
        }
        if has_line(text, "AGE-PLUGIN-") {
            #[cfg(feature = "plugin")]
            return crate::PluginIdentity::from_text(text).map(Self::Plugin);
            #[cfg(not(feature = "plugin"))]
            return Err(KeyError::Age("this program was built without plugins of age"));
        }
        match passphrase {
            Some(passphrase) => crate::PrivateKey::from_encrypted_pem(text, passphrase).map(Self::Rsa),
            None => crate::PrivateKey::from_pem(text).map(Self::Rsa),
        }
    }

    /// The public half.
    pub fn recipient(&self) -> Result<Recipient, KeyError> {
        match self {
            Self::Rsa(key) => key.public_key().map(Recipient::Rsa),
            #[cfg(feature = "age")]
            Self::Age(key) => Ok(Recipient::Age(key.recipient())),
            #[cfg(feature = "plugin")]
            Self::Plugin(key) => key.recipient().map(Recipient::Age),
        }
    }

    /// The key's file, without a passphrase: PKCS#8 PEM, or age's.
    pub fn to_text(&self) -> Result<Zeroizing<String>, KeyError> {
        match self {
            Self::Rsa(key) => key.to_pkcs8_pem(),
            #[cfg(feature = "age")]
            Self::Age(key) => Ok(key.to_text()),
            #[cfg(feature = "plugin")]
            Self::Plugin(key) => Ok(key.to_text()),
        }
    }

    /// The key's file under a passphrase (A25): encrypted PKCS#8 PEM, or an armored age file.
    pub fn to_encrypted_text(
        &self,
        passphrase: &[u8],
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Zeroizing<String>, KeyError> {
        match self {
            Self::Rsa(key) => key.to_encrypted_pem(passphrase, rng),
            #[cfg(feature = "age")]
            Self::Age(key) => key.to_encrypted_text(passphrase),
            #[cfg(feature = "plugin")]
            Self::Plugin(key) => crate::age_passphrase::encrypt(&key.to_text(), passphrase),
        }
    }

    #[cfg_attr(not(feature = "age"), expect(clippy::unnecessary_wraps, reason = "with age there are others"))]
    pub(crate) fn rsa(&self) -> Option<&crate::PrivateKey> {
        match self {
            Self::Rsa(key) => Some(key),
            #[cfg(feature = "age")]
            Self::Age(_) => None,
            #[cfg(feature = "plugin")]
            Self::Plugin(_) => None,
        }
    }

    #[cfg(feature = "age")]
    pub(crate) fn age(&self) -> Option<&dyn age::Identity> {
        match self {
            Self::Rsa(_) => None,
            Self::Age(key) => Some(&key.0),
            #[cfg(feature = "plugin")]
            Self::Plugin(key) => Some(key),
        }
    }

    /// What kind of key this is, for an error's line: nothing secret.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Rsa(key) => format!("RSA-{}", key.bits()),
            #[cfg(feature = "age")]
            Self::Age(_) => "age X25519".to_owned(),
            #[cfg(feature = "plugin")]
            Self::Plugin(key) => format!("age plugin {:?}", key.plugin_name()),
        }
    }
}

#[cfg(feature = "open")]
fn has_line(text: &str, start: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with(start))
}

#[cfg(feature = "open")]
impl From<crate::PrivateKey> for Identity {
    fn from(key: crate::PrivateKey) -> Self {
        Self::Rsa(key)
    }
}

#[cfg(all(feature = "open", feature = "age"))]
impl From<crate::AgeIdentity> for Identity {
    fn from(key: crate::AgeIdentity) -> Self {
        Self::Age(key)
    }
}
