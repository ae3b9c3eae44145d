//! From a key to a readable plaintext. Every fault of decryption itself is [`Broken::Decrypt`], and nothing more (A7).

use super::error::Broken;
use super::{Layout, OpenError, RecipientFacts};
use crate::Identity;
use crate::body::BLOCK;
use crate::cipher::{Body, BodyCipher};
use crate::private_key::PrivateKey;
use base64::{Engine, engine::general_purpose::STANDARD, read::DecoderReader};
use std::io::{self, BufRead, Read};
use zeroize::Zeroizing;

/// What opens a body.
pub(super) enum Unlocked {
    /// The data key, of a length that the layout allows.
    Aes(Zeroizing<Vec<u8>>),
    #[cfg(feature = "age")]
    Age(Vec<Identity>),
}

/// What a key must open: as much as an archive shows of it.
pub(super) struct Lock<'a> {
    layout: Layout,
    wrapped_key: &'a [u8],
    recipients: Vec<RecipientFacts>,
}

impl<'a> Lock<'a> {
    /// Of an age file, the header is in `start`, the body's beginning: it is held to its limits before the library that
    /// decrypts gets to see it.
    #[cfg_attr(not(feature = "age"), expect(clippy::unnecessary_wraps, reason = "an age header may be malformed"))]
    pub(super) fn of(layout: Layout, wrapped_key: &'a [u8], start: &[u8]) -> Result<Self, OpenError> {
        let recipients = match layout {
            Layout::Plain => Vec::new(),
            #[cfg(feature = "age")]
            Layout::Age => {
                let kinds = super::age_header::recipients(start).map_err(OpenError::AgeHeader)?;
                kinds.into_iter().map(|kind| RecipientFacts::Age { kind }).collect()
            }
            Layout::A | Layout::B | Layout::C => {
                let _ = start;
                vec![RecipientFacts::Rsa { bits: 8 * wrapped_size(layout, wrapped_key) }]
            }
        };
        Ok(Self { layout, wrapped_key, recipients })
    }

    /// Who can open it.
    pub(super) fn recipients(self) -> Vec<RecipientFacts> {
        self.recipients
    }

    /// Picks, of the keys at hand, the one that the archive is encrypted to.
    pub(super) fn unlock(&self, identities: &[Identity]) -> Result<Unlocked, OpenError> {
        #[cfg(feature = "age")]
        if self.layout == Layout::Age {
            let keys: Vec<_> = identities.iter().filter(|key| key.age().is_some()).cloned().collect();
            return if keys.is_empty() { Err(self.other_key(identities)) } else { Ok(Unlocked::Age(keys)) };
        }
        let size = wrapped_size(self.layout, self.wrapped_key);
        let fits = |key: &&PrivateKey| key.bits().div_ceil(8) == size;
        let keys: Vec<&PrivateKey> = identities.iter().filter_map(Identity::rsa).filter(fits).collect();
        if keys.is_empty() {
            return Err(self.other_key(identities));
        }
        // A key that is not the archive's passes the padding's and the length's check once in 2^24 or so.
        keys.into_iter().find_map(|key| self.unwrap_key(key)).map(Unlocked::Aes).ok_or(OpenError::Decrypt)
    }

    /// The data key, of the length that the layout allows; `None` for any failure (A7).
    fn unwrap_key(&self, key: &PrivateKey) -> Option<Zeroizing<Vec<u8>>> {
        match self.layout {
            Layout::A => key.unwrap_oaep(self.wrapped_key).filter(|key| matches!(key.len(), 16 | 32)),
            Layout::B => {
                let text = key.unwrap_pkcs1(&STANDARD.decode(self.wrapped_key).ok()?)?;
                STANDARD.decode(&*text).ok().map(Zeroizing::new).filter(|key| key.len() == 16)
            }
            Layout::C => key.unwrap_pkcs1(self.wrapped_key).filter(|key| key.len() == 32),
            #[cfg(feature = "age")]
            Layout::Age => None,
            Layout::Plain => None,
        }
    }

    /// What anyone can see without a key: that none of these is the right one.
    fn other_key(&self, identities: &[Identity]) -> OpenError {
        let wants: Vec<String> = self.recipients.iter().map(ToString::to_string).collect();
        let given: Vec<String> = identities.iter().map(Identity::kind).collect();
        let or_none = |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
        OpenError::OtherKey { wants: or_none(wants), given: or_none(given) }
    }
}

/// Size of the wrapped key's ciphertext: that of the modulus, bytes.
fn wrapped_size(layout: Layout, wrapped_key: &[u8]) -> usize {
    match layout {
        Layout::B => STANDARD.decode(wrapped_key).map_or(0, |wrapped| wrapped.len()),
        _ => wrapped_key.len(),
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
                Ok(Box::new(Body::reader(cipher, DecoderReader::new(input, &STANDARD))))
            }
            Self::Aes(key) => {
                let mut iv = [0; BLOCK];
                input.read_exact(&mut iv).map_err(|source| broken(source, io::ErrorKind::UnexpectedEof))?;
                let cipher = BodyCipher::cbc(&key, &iv).ok_or(OpenError::Decrypt)?;
                Ok(Box::new(Body::reader(cipher, input)))
            }
            #[cfg(feature = "age")]
            Self::Age(identities) => crate::age_payload::reader(&identities, input).map_err(|source| match source {
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
