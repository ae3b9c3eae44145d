//! From a key to a readable plaintext. Every fault of decryption itself is [`Broken::Decrypt`], and nothing more (A7).

use super::error::Broken;
use super::{Archive, Layout, OpenError};
use crate::Identity;
use crate::body::BLOCK;
use crate::cipher::{BodyCipher, CipherReader};
use crate::private_key::PrivateKey;
use base64::{Engine, engine::general_purpose::STANDARD, read::DecoderReader};
use std::io::{self, BufRead, Read, Seek};
use zeroize::Zeroizing;

/// What opens a body.
pub(super) enum Unlocked {
    /// The data key, of a length that the layout allows.
    Aes(Zeroizing<Vec<u8>>),
    #[cfg(feature = "age")]
    Age(Vec<Identity>),
}

impl<R: Read + Seek> Archive<R> {
    /// Picks, of the keys at hand, the one that the archive is encrypted to.
    pub(super) fn unlock(&mut self, identities: &[Identity]) -> Result<Unlocked, OpenError> {
        #[cfg(feature = "age")]
        if self.layout == Layout::Age {
            return self.unlock_age(identities);
        }
        let size = self.wrapped_size();
        let fits = |key: &&PrivateKey| key.bits().div_ceil(8) == size;
        let keys: Vec<&PrivateKey> = identities.iter().filter_map(Identity::rsa).filter(fits).collect();
        if keys.is_empty() {
            return Err(self.other_key(identities)?);
        }
        // A key that is not the archive's passes the padding's and the length's check once in 2^24 or so.
        keys.into_iter().find_map(|key| self.unwrap_key(key)).map(Unlocked::Aes).ok_or(OpenError::Decrypt)
    }

    #[cfg(feature = "age")]
    fn unlock_age(&mut self, identities: &[Identity]) -> Result<Unlocked, OpenError> {
        // Holds the header to its limits before the library reads it.
        self.age_recipients()?;
        let keys: Vec<_> = identities.iter().filter(|key| key.age().is_some()).cloned().collect();
        if keys.is_empty() { Err(self.other_key(identities)?) } else { Ok(Unlocked::Age(keys)) }
    }

    /// Size of the wrapped key's ciphertext: that of the modulus, bytes.
    pub(super) fn wrapped_size(&self) -> usize {
        match self.layout {
            Layout::B => STANDARD.decode(&self.wrapped_key).map_or(0, |wrapped| wrapped.len()),
            _ => self.wrapped_key.len(),
        }
    }

    /// The data key, of the length that the layout allows; `None` for any failure (A7).
    fn unwrap_key(&self, key: &PrivateKey) -> Option<Zeroizing<Vec<u8>>> {
        match self.layout {
            Layout::A => key.unwrap_oaep(&self.wrapped_key).filter(|key| matches!(key.len(), 16 | 32)),
            Layout::B => {
                let text = key.unwrap_pkcs1(&STANDARD.decode(&self.wrapped_key).ok()?)?;
                STANDARD.decode(&*text).ok().map(Zeroizing::new).filter(|key| key.len() == 16)
            }
            Layout::C => key.unwrap_pkcs1(&self.wrapped_key).filter(|key| key.len() == 32),
            #[cfg(feature = "age")]
            Layout::Age => None,
            Layout::Plain => None,
        }
    }

    /// What anyone can see without a key: that none of these is the right one.
    fn other_key(&mut self, identities: &[Identity]) -> Result<OpenError, OpenError> {
        let wants: Vec<String> = self.recipients()?.iter().map(ToString::to_string).collect();
        let given: Vec<String> = identities.iter().map(Identity::kind).collect();
        let or_none = |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
        Ok(OpenError::OtherKey { wants: or_none(wants), given: or_none(given) })
    }
}

impl Unlocked {
    /// The plaintext of the body that `input` is. Errors of the reader are [`Broken`].
    pub(super) fn read<'a>(
        self,
        layout: Layout,
        mut input: impl Read + 'a,
    ) -> Result<Box<dyn BufRead + 'a>, OpenError> {
        match self {
            Self::Aes(key) if layout == Layout::B => {
                let cipher = BodyCipher::ecb(&key).ok_or(OpenError::Decrypt)?;
                Ok(Box::new(CipherReader::new(cipher, DecoderReader::new(input, &STANDARD))))
            }
            Self::Aes(key) => {
                let mut iv = [0; BLOCK];
                input.read_exact(&mut iv).map_err(|source| broken(source, io::ErrorKind::UnexpectedEof))?;
                let cipher = BodyCipher::cbc(&key, &iv).ok_or(OpenError::Decrypt)?;
                Ok(Box::new(CipherReader::new(cipher, input)))
            }
            #[cfg(feature = "age")]
            Self::Age(identities) => crate::age_identity::reader(&identities, input).map_err(|source| match source {
                Some(source) => broken(source, io::ErrorKind::UnexpectedEof),
                None => OpenError::Decrypt,
            }),
        }
    }
}

/// An error of the ciphertext's reader is what it says; an end too soon is a fault of decryption.
fn broken(source: io::Error, decrypt: io::ErrorKind) -> OpenError {
    if source.kind() == decrypt {
        return OpenError::Decrypt;
    }
    OpenError::Entry { name: String::new(), source }.settle()
}

/// Whether the ciphertext's own reader failed, rather than the decryption of what it gave.
#[cfg(feature = "age")]
pub(crate) fn is_outer(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.downcast_ref::<Broken>().is_some())
}

/// The one error of decryption, for a reader.
pub(crate) fn decrypt_failed() -> io::Error {
    Broken::Decrypt.io()
}
