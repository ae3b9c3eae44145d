//! Recipients and identities of age v1 (age-encryption.org/v1), through the `age` crate.

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
            parsed::<age::x25519::Recipient>(text)
        } else {
            Err(KeyError::Age("an age recipient starts with age1"))
        }
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

#[cfg(feature = "open")]
mod identity {
    use super::AgeRecipient;
    use crate::KeyError;
    use crate::open::{decrypt_failed, is_outer};
    use age::secrecy::ExposeSecret;
    use std::fmt;
    use std::io::{self, BufRead, BufReader, Read};
    use zeroize::Zeroizing;

    const BUFFER: usize = 64 * 1024;
    /// Longest key file, bytes.
    const MAX_TEXT: usize = 16 * 1024;

    /// A private key of age, X25519.
    #[derive(Clone)]
    pub struct AgeIdentity(age::x25519::Identity);

    impl AgeIdentity {
        /// Makes a key with the system's randomness.
        pub fn generate() -> Self {
            Self(age::x25519::Identity::generate())
        }

        /// Reads the one `AGE-SECRET-KEY-1…` line of a text of at most 16 KiB; lines that start with `#` are comments, as
        /// `age-keygen` writes them.
        pub fn from_text(text: &str) -> Result<Self, KeyError> {
            if text.len() > MAX_TEXT {
                return Err(KeyError::Age("an age key file has at most 16384 bytes"));
            }
            let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            match (lines.next(), lines.next()) {
                (Some(line), None) => line.parse().map(Self).map_err(KeyError::Age),
                (None, _) => Err(KeyError::Age("there is no AGE-SECRET-KEY-1… line")),
                (Some(_), Some(_)) => Err(KeyError::Age("there is more than one line that is not a comment")),
            }
        }

        /// The key file as `age-keygen` writes it, without a date.
        pub fn to_text(&self) -> Zeroizing<String> {
            let secret = self.0.to_string();
            Zeroizing::new(format!("# public key: {}\n{}\n", self.recipient(), secret.expose_secret()))
        }

        /// The public half.
        pub fn recipient(&self) -> AgeRecipient {
            AgeRecipient(self.0.to_public().to_string())
        }
    }

    impl fmt::Debug for AgeIdentity {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("AgeIdentity(..)")
        }
    }

    /// The plaintext of an age file; `Err(None)` where no identity opens it.
    pub(crate) fn reader<'a>(
        identities: &[AgeIdentity],
        input: impl Read + 'a,
    ) -> Result<Box<dyn BufRead + 'a>, Option<io::Error>> {
        let outer = |error| match error {
            age::DecryptError::Io(error) if is_outer(&error) => Some(error),
            _ => None,
        };
        let file = age::Decryptor::new_buffered(BufReader::with_capacity(BUFFER, input)).map_err(outer)?;
        let plain = file.decrypt(identities.iter().map(|identity| &identity.0 as _)).map_err(outer)?;
        Ok(Box::new(BufReader::with_capacity(BUFFER, Unsealed(plain))))
    }

    /// Names the library's own errors as what they are: failures of decryption (A7).
    struct Unsealed<R>(age::stream::StreamReader<R>);

    impl<R: Read> Read for Unsealed<R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer).map_err(|error| {
                let transient = error.kind() == io::ErrorKind::Interrupted;
                if transient || is_outer(&error) { error } else { decrypt_failed() }
            })
        }
    }
}

#[cfg(feature = "open")]
pub use identity::AgeIdentity;
#[cfg(feature = "open")]
pub(crate) use identity::reader;
