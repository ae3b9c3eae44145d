//! The `tag` of an order: what an execution asks of the machine, as bits of 32 bytes (`PoCo` order structures).

use std::{fmt, str::FromStr};

use alloy_primitives::B256;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

const NAMES: [(&str, usize); 5] = [("tee", 0), ("scone", 1), ("gramine", 2), ("tdx", 3), ("gpu", 8)];

/// A set of execution requirements; bit 0 is the least significant bit of byte 31.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Tag(pub B256);

/// The trusted-execution framework that a tag names beside `tee`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Framework {
    /// Bit 1.
    Scone,
    /// Bit 2.
    Gramine,
    /// Bit 3.
    Tdx,
}

impl Tag {
    /// No requirement.
    pub const NONE: Self = Self(B256::ZERO);
    /// `tee` alone, the tutorial's tag: any framework.
    pub const TEE: Self = Self::bits(0b1);
    /// `tee,scone`.
    pub const TEE_SCONE: Self = Self::bits(0b11);
    /// `tee,gramine`.
    pub const TEE_GRAMINE: Self = Self::bits(0b101);
    /// `tee,tdx`.
    pub const TEE_TDX: Self = Self::bits(0b1001);

    const fn bits(low: u8) -> Self {
        let mut bytes = [0; 32];
        bytes[31] = low;
        Self(B256::new(bytes))
    }

    /// Whether the deal must be computed in a trusted execution environment (the only bit that the contracts read).
    pub const fn is_tee(self) -> bool {
        self.0.0[31] & 1 == 1
    }

    /// The framework, `None` for `tee` alone.
    ///
    /// # Errors
    /// [`TagError::Frameworks`] when more than one is named, or one without `tee`.
    pub fn framework(self) -> Result<Option<Framework>, TagError> {
        match self.0.0[31] & 0b1111 {
            0b0000 | 0b0001 => Ok(None),
            0b0011 => Ok(Some(Framework::Scone)),
            0b0101 => Ok(Some(Framework::Gramine)),
            0b1001 => Ok(Some(Framework::Tdx)),
            _ => Err(TagError::Frameworks(self.to_string())),
        }
    }

    /// Whether every requirement of `other` is among these.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The requirements of both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The names of the set bits, in bit order; unknown bits as `bit<n>`.
    pub fn names(self) -> Vec<String> {
        let set = |bit: usize| self.0.0[31 - bit / 8] >> (bit % 8) & 1 == 1;
        let name = |bit: usize| {
            NAMES
                .iter()
                .find(|(_, known)| *known == bit)
                .map_or_else(|| format!("bit{bit}"), |(name, _)| (*name).to_owned())
        };
        (0..256).filter(|bit| set(*bit)).map(name).collect()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        if names.is_empty() { f.write_str("none") } else { f.write_str(&names.join(",")) }
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}

impl FromStr for Tag {
    type Err = TagError;

    /// Reads comma-separated names (`tee,tdx`) or `0x` and 64 hex digits.
    fn from_str(text: &str) -> Result<Self, TagError> {
        if text.starts_with("0x") {
            let bytes = (text.len() == 66).then(|| B256::from_str(text).ok()).flatten();
            return bytes.map(Self).ok_or_else(|| TagError::Hex(text.chars().take(80).collect()));
        }
        text.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "none").try_fold(
            Self::NONE,
            |tag, name| {
                let (_, bit) = NAMES
                    .iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(name))
                    .ok_or_else(|| TagError::Name(name.chars().take(80).collect()))?;
                let mut bytes = tag.0.0;
                bytes[31 - bit / 8] |= 1 << (bit % 8);
                Ok(Self(B256::new(bytes)))
            },
        )
    }
}

impl<'de> Deserialize<'de> for Tag {
    /// Reads a `0x` string, names in a string, or (as in `iexec.json`) an array of names.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Names(Vec<String>),
        }
        let text = match Form::deserialize(deserializer)? {
            Form::Text(text) => text,
            Form::Names(names) => names.join(","),
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A tag that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TagError {
    /// Unknown name.
    #[error("unknown tag {0:?}; known: tee, scone, gramine, tdx, gpu")]
    Name(String),
    /// Not 32 bytes of hex.
    #[error("a tag in hex must be 0x and 64 hex digits, got {0:?}")]
    Hex(String),
    /// Several frameworks, or a framework without `tee`.
    #[error("tag {0} must name tee with at most one framework (scone, gramine or tdx)")]
    Frameworks(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bits_are_those_of_the_sdk() {
        for (names, last) in [("tee", 0x01), ("tee,scone", 0x03), ("tee,gramine", 0x05), ("tee,tdx", 0x09)] {
            let tag: Tag = names.parse().unwrap();
            assert_eq!(tag.0.0[31], last);
            assert_eq!(tag.to_string(), names);
        }
        assert_eq!("gpu".parse::<Tag>().unwrap().0.0[30], 1);
        assert_eq!("".parse::<Tag>().unwrap(), Tag::NONE);
    }

    #[test]
    fn mixed_frameworks_are_refused() {
        assert!("tee,scone,tdx".parse::<Tag>().unwrap().framework().is_err());
        assert!("scone".parse::<Tag>().unwrap().framework().is_err());
        assert_eq!(Tag::TEE.framework(), Ok(None));
    }

    #[test]
    fn malformed_tags_say_why() {
        assert_eq!(
            "sgx".parse::<Tag>().unwrap_err().to_string(),
            "unknown tag \"sgx\"; known: tee, scone, gramine, tdx, gpu"
        );
        assert!(matches!("0x01".parse::<Tag>(), Err(TagError::Hex(_))));
    }
}
