//! Recipients of age v1 (age-encryption.org/v1), through the `age` crate. Identities are in `age_identity`.

use crate::KeyError;
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

/// Longest text of a recipient, bytes: a post-quantum one has 2,015.
const MAX_RECIPIENT: usize = 4096;

/// A public key of age: `age1…` (X25519), `age1tag1…` (P-256, for hardware keys) or `age1tagpq1…` (ML-KEM-768 with P-256).
#[derive(Clone, PartialEq, Eq)]
pub struct AgeRecipient(String);

impl AgeRecipient {
    /// Whether this key asks for ciphertexts that outlive a quantum computer; such a one goes with its like only.
    pub fn is_post_quantum(&self) -> bool {
        self.0.starts_with("age1tagpq1")
    }

    /// SHA-256 of the key's text, in lower case.
    pub fn key_id(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    fn key(text: &str) -> Result<Box<dyn age::Recipient>, KeyError> {
        fn parsed<R: age::Recipient + FromStr<Err = &'static str> + 'static>(
            text: &str,
        ) -> Result<Box<dyn age::Recipient>, KeyError> {
            text.parse::<R>().map(|key| Box::new(key) as _).map_err(KeyError::Age)
        }
        if text.starts_with("age1tagpq1") {
            parsed::<age::tagpq::Recipient>(text)
        } else if text.starts_with("age1tag1") {
            parsed::<age::tag::Recipient>(text)
        } else if text.starts_with("age1") {
            refuse_foreign(text)?;
            parsed::<age::x25519::Recipient>(text)
        } else {
            Err(KeyError::Age("an age recipient starts with age1"))
        }
    }

    /// The key whose text is this, without a look at it.
    #[cfg(feature = "open")]
    pub(crate) fn of_x25519(key: &age::x25519::Recipient) -> Self {
        Self(key.to_string())
    }
}

/// Names the recipients that nothing here can encrypt to: those of plugins, which are programs, and `age1pq1…`.
fn refuse_foreign(text: &str) -> Result<(), KeyError> {
    // What is before the last `1` says what kind of key it is: `1` is no digit of Bech32.
    match text.rsplit_once('1').map(|(kind, _)| kind) {
        Some("age1pq") => Err(KeyError::Age(
            "no maintained library writes age1pq1… yet; a post-quantum recipient that can be used is age1tagpq1…",
        )),
        Some(kind) if kind.starts_with("age1") => Err(KeyError::Age(
            "this is a plugin's recipient, and no plugin runs in an enclave; use the key's tag recipient, age1tag1… or age1tagpq1…",
        )),
        _ => Ok(()),
    }
}

impl FromStr for AgeRecipient {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.len() > MAX_RECIPIENT {
            return Err(KeyError::Age("an age recipient has at most 4096 bytes"));
        }
        Self::key(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AgeRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AgeRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgeRecipient({})", self.0)
    }
}

/// An age file being written.
pub(crate) type AgeWriter<W> = age::stream::StreamWriter<W>;

/// Writes the header of a file to these recipients, and gives the writer of its payload. Randomness is the system's.
pub(crate) fn writer<W: Write>(recipients: &[&AgeRecipient], out: W) -> Result<io::Result<AgeWriter<W>>, KeyError> {
    let keys = recipients.iter().map(|recipient| AgeRecipient::key(&recipient.0)).collect::<Result<Vec<_>, _>>()?;
    let encryptor = age::Encryptor::with_recipients(keys.iter().map(Box::as_ref)).map_err(|error| match error {
        age::EncryptError::IncompatibleRecipients { .. } => {
            KeyError::Age("post-quantum recipients go with their like only")
        }
        _ => KeyError::Library("encrypt to these age recipients"),
    })?;
    Ok(encryptor.wrap_output(out))
}
