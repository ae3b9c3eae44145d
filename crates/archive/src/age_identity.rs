//! Identities of age v1, through the `age` crate: X25519 keys in the files that `age-keygen` writes, and with the feature
//! `plugin` those that a program holds, on hardware say. Under a passphrase: `age_passphrase`.

use crate::{AgeRecipient, KeyError};
use age::secrecy::ExposeSecret;
use std::fmt;
use zeroize::Zeroizing;

/// Longest key file, bytes.
pub(crate) const MAX_TEXT: usize = 16 * 1024;

/// A private key of age, X25519.
#[derive(Clone)]
pub struct AgeIdentity(pub(crate) age::x25519::Identity);

impl AgeIdentity {
    /// Makes a key with the system's randomness.
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// Reads the one `AGE-SECRET-KEY-1…` line of a text of at most 16 KiB; lines that start with `#` are comments, as
    /// `age-keygen` writes them.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        only_line(text)?.parse().map(Self).map_err(KeyError::Age)
    }

    /// The key file as `age-keygen` writes it, without a date.
    pub fn to_text(&self) -> Zeroizing<String> {
        let secret = self.0.to_string();
        Zeroizing::new(format!("# public key: {}\n{}\n", self.recipient(), secret.expose_secret()))
    }

    /// The same under a passphrase, as `age -p -a` writes it (A25): readable by `age -d -i`.
    pub fn to_encrypted_text(&self, passphrase: &[u8]) -> Result<Zeroizing<String>, KeyError> {
        crate::age_passphrase::encrypt(&self.to_text(), passphrase)
    }

    /// The public half.
    pub fn recipient(&self) -> AgeRecipient {
        AgeRecipient::of_x25519(&self.0.to_public())
    }
}

impl fmt::Debug for AgeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgeIdentity(..)")
    }
}

/// The one line of a key file that is no comment.
pub(crate) fn only_line(text: &str) -> Result<&str, KeyError> {
    if text.len() > MAX_TEXT {
        return Err(KeyError::Age("an age key file has at most 16384 bytes"));
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match (lines.next(), lines.next()) {
        (Some(line), None) => Ok(line),
        (None, _) => Err(KeyError::Age("there is no AGE-SECRET-KEY-1… line")),
        (Some(_), Some(_)) => Err(KeyError::Age("there is more than one line that is not a comment")),
    }
}
