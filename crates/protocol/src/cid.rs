//! The one form of content identifier that this storage uses: CIDv1, codec raw, SHA-256, base32 (multiformats).

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use thiserror::Error;

use crate::id::Sha256;

/// CIDv1, raw (0x55), multihash SHA-256 (0x12) of 32 bytes (0x20).
const PREFIX: [u8; 4] = [0x01, 0x55, 0x12, 0x20];

/// A content identifier: the SHA-256 of the bytes themselves, whatever their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cid(Sha256);

impl Cid {
    /// The identifier of bytes with this digest.
    pub const fn new(digest: Sha256) -> Self {
        Self(digest)
    }

    /// The digest.
    pub const fn digest(self) -> Sha256 {
        self.0
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = BASE32_NOPAD.encode(&[PREFIX.as_slice(), self.0.as_bytes()].concat());
        write!(f, "b{}", text.to_ascii_lowercase())
    }
}

impl FromStr for Cid {
    type Err = CidError;

    fn from_str(text: &str) -> Result<Self, CidError> {
        let error = || CidError(text.chars().take(80).collect());
        let base32 =
            text.strip_prefix('b').filter(|rest| rest.len() == 58 && !rest.bytes().any(|b| b.is_ascii_uppercase()));
        let bytes =
            base32.and_then(|rest| BASE32_NOPAD.decode(rest.to_ascii_uppercase().as_bytes()).ok()).ok_or_else(error)?;
        let digest: [u8; 32] =
            bytes.strip_prefix(&PREFIX).and_then(|digest| digest.try_into().ok()).ok_or_else(error)?;
        Ok(Self(Sha256(digest.into())))
    }
}

/// Not an identifier of the form that this storage gives.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is not a CIDv1 of raw bytes with SHA-256 (bafkrei…)")]
pub struct CidError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cid_of_hello_world_is_that_of_ipfs() {
        let cid = Cid::new(Sha256::of("hello world\n"));
        let expected = "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4";
        assert_eq!(cid.to_string(), expected);
        assert_eq!(expected.parse(), Ok(cid));
    }

    #[test]
    fn other_forms_are_refused() {
        for bad in
            ["", "b", "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o", "../etc/passwd", "bafkrei", &"b".repeat(59)]
        {
            assert!(bad.parse::<Cid>().is_err(), "{bad}");
        }
    }
}
