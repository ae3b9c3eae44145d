//! Which layout an archive has: told from the names of its entries, and for B and C from the look of the wrapped key.

use super::OpenError;
use crate::zip::{Entry, ZipReader};
use crate::{BODY_ENTRY, BODY_ENTRY_A, KEY_ENTRY, KEY_ENTRY_A};
use std::fmt;
use std::io::{Read, Seek};

/// Which of the archive layouts this is (A1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `iexec_out/encrypted_key` and `iexec_out/result.zip.aes`: AES-CBC, RSA-OAEP (2019–2020).
    A,
    /// `aes-key.rsa` and `iexec_out.zip.aes` in base64: AES-128-ECB, RSA PKCS#1 v1.5 (2020–2025).
    B,
    /// `aes-key.rsa` and `iexec_out.zip.aes` in bytes: AES-256-CBC, RSA PKCS#1 v1.5 (since 2025).
    C,
    /// `iexec_out.zip.age`: an age v1 file, one or several recipients.
    #[cfg(feature = "age")]
    Age,
    /// Not encrypted: the zip of `/iexec_out` itself.
    Plain,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A (AES-CBC, RSA-OAEP)",
            Self::B => "B (AES-128-ECB in base64, RSA PKCS#1 v1.5)",
            Self::C => "C (AES-256-CBC, RSA PKCS#1 v1.5)",
            #[cfg(feature = "age")]
            Self::Age => "age (age-encryption.org/v1)",
            Self::Plain => "plain (not encrypted)",
        })
    }
}

/// What the names of the entries alone say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    BOrC,
    #[cfg(feature = "age")]
    Age,
    Plain,
}

impl Kind {
    const ENCRYPTED: &[Self] = &[
        Self::A,
        Self::BOrC,
        #[cfg(feature = "age")]
        Self::Age,
    ];

    pub(super) fn of<R: Read + Seek>(zip: &ZipReader<R>) -> Result<Self, OpenError> {
        let mut found = None;
        for kind in Self::ENCRYPTED {
            match (kind.is_whole(zip)?, found) {
                (false, _) => {}
                (true, None) => found = Some(*kind),
                (true, Some(other)) => return Err(OpenError::MixedLayouts(other.name(), kind.name())),
            }
        }
        match found {
            Some(kind) => Ok(kind),
            None if ["computed.json", "iexec_out/computed.json"].iter().any(|name| zip.find(name).is_some()) => {
                Ok(Self::Plain)
            }
            None => Err(OpenError::UnknownLayout(listing(zip.entries()))),
        }
    }

    /// Name of the key's entry; an age file holds its keys itself.
    pub(super) fn key_entry(self) -> Option<&'static str> {
        match self {
            Self::A => Some(KEY_ENTRY_A),
            Self::BOrC => Some(KEY_ENTRY),
            #[cfg(feature = "age")]
            Self::Age => None,
            Self::Plain => None,
        }
    }

    fn body_entry(self) -> &'static str {
        match self {
            Self::A => BODY_ENTRY_A,
            Self::BOrC => BODY_ENTRY,
            #[cfg(feature = "age")]
            Self::Age => crate::AGE_ENTRY,
            Self::Plain => "",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::BOrC => "B or C",
            #[cfg(feature = "age")]
            Self::Age => "age",
            Self::Plain => "plain",
        }
    }

    /// All entries there, or none; one of two is an error.
    fn is_whole<R: Read + Seek>(self, zip: &ZipReader<R>) -> Result<bool, OpenError> {
        let body = self.body_entry();
        let has_body = zip.find(body).is_some();
        let Some(key) = self.key_entry() else { return Ok(has_body) };
        match (zip.find(key).is_some(), has_body) {
            (true, true) => Ok(true),
            (false, false) => Ok(false),
            (true, false) => Err(OpenError::MissingEntry { found: key, missing: body }),
            (false, true) => Err(OpenError::MissingEntry { found: body, missing: key }),
        }
    }
}

/// The first few names, for an error's line.
fn listing(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "no entry".to_owned();
    }
    let shown: Vec<String> = entries.iter().take(5).map(|e| format!("{:?}", crate::name::shorten(&e.name))).collect();
    let more = if entries.len() > 5 { format!(" and {} more", entries.len() - 5) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Raw RSA output of 256 bytes or more is base64 text by chance once in 2^512 (A2).
pub(super) fn is_base64(bytes: &[u8]) -> bool {
    let symbol = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    !bytes.is_empty() && bytes.iter().all(symbol)
}
