//! Values as the policy file writes them: each parses itself, so that a fault has the line of its value.

use std::fmt::{self, Display};

use iexec_attestation::{Digest384, Register, SnpProduct, TcbStatus, VlekProviders};
use iexec_protocol::{Address, B256, evidence::Tee, id::parse_address};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Unexpected, Visitor},
};

/// A value that is written as a text.
pub(super) trait Written: Sized {
    fn read(text: &str) -> Result<Self, String>;
}

/// Serde form of anything [`Written`].
#[derive(Clone, Debug)]
pub(super) struct As<T>(pub(super) T);

impl<'de, T: Written> Deserialize<'de> for As<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        T::read(&text).map(Self).map_err(D::Error::custom)
    }
}

/// Cloud providers: a list of names, or "any".
#[derive(Clone, Debug)]
pub(super) struct Providers(pub(super) VlekProviders);

impl<'de> Deserialize<'de> for Providers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadProviders)
    }
}

struct ReadProviders;

impl<'de> Visitor<'de> for ReadProviders {
    type Value = Providers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of cloud providers, or \"any\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Providers, E> {
        if text == "any" {
            Ok(Providers(VlekProviders::Any))
        } else {
            Err(E::invalid_value(Unexpected::Str(text), &self))
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Providers, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element::<String>()? {
            if name.is_empty() {
                return Err(A::Error::custom("a cloud provider without a name"));
            }
            names.push(name);
        }
        Ok(Providers(VlekProviders::These(names)))
    }
}

/// The values of a list.
pub(super) fn plain<T>(list: Vec<As<T>>) -> Vec<T> {
    list.into_iter().map(|As(value)| value).collect()
}

impl Written for Tee {
    fn read(text: &str) -> Result<Self, String> {
        one_of(text, "a TEE", &[Self::Tdx, Self::Snp, Self::Sgx, Self::Simulated].map(|tee| (tee.name(), tee)))
    }
}

impl Written for TcbStatus {
    /// `Revoked` is no value: a platform that Intel revoked never counts.
    fn read(text: &str) -> Result<Self, String> {
        let known = [
            ("UpToDate", Self::UpToDate),
            ("SWHardeningNeeded", Self::SWHardeningNeeded),
            ("ConfigurationNeeded", Self::ConfigurationNeeded),
            ("ConfigurationAndSWHardeningNeeded", Self::ConfigurationAndSWHardeningNeeded),
            ("OutOfDate", Self::OutOfDate),
            ("OutOfDateConfigurationNeeded", Self::OutOfDateConfigurationNeeded),
            ("TDRelaunchAdvised", Self::TDRelaunchAdvised),
            ("TDRelaunchAdvisedConfigurationNeeded", Self::TDRelaunchAdvisedConfigurationNeeded),
        ];
        one_of(text, "a TCB status that can count", &known)
    }
}

impl Written for SnpProduct {
    fn read(text: &str) -> Result<Self, String> {
        one_of(
            text,
            "a generation of processors",
            &[("milan", Self::Milan), ("genoa", Self::Genoa), ("turin", Self::Turin)],
        )
    }
}

impl Written for Digest384 {
    fn read(text: &str) -> Result<Self, String> {
        hex(text).map(Into::into)
    }
}

impl Written for B256 {
    fn read(text: &str) -> Result<Self, String> {
        hex::<32>(text).map(Into::into)
    }
}

impl Written for Register {
    fn read(text: &str) -> Result<Self, String> {
        if text == "any" { Ok(Self::Any) } else { Digest384::read(text).map(Self::Is).map_err(|e| e + ", or \"any\"") }
    }
}

impl Written for Address {
    fn read(text: &str) -> Result<Self, String> {
        parse_address(text).map_err(|error| error.to_string())
    }
}

/// A length of time, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age(pub(super) u64);

impl Written for Age {
    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a length of time like \"30d\", \"12h\" or \"90m\", found {text:?}");
        let unit = match text.chars().last() {
            Some('d') => 86_400,
            Some('h') => 3_600,
            Some('m') => 60,
            _ => return Err(wrong()),
        };
        let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        number.checked_mul(unit).filter(|seconds| *seconds > 0).map(Self).ok_or_else(wrong)
    }
}

fn hex<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    let read = const_hex::decode_to_slice(text, &mut bytes);
    read.map(|()| bytes).map_err(|_| format!("expected {} hexadecimal digits, found {text:?}", 2 * N))
}

fn one_of<T: Copy>(text: &str, what: &str, known: &[(impl AsRef<str> + Display, T)]) -> Result<T, String> {
    known.iter().find(|(name, _)| name.as_ref() == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| name.as_ref()).collect();
        format!("expected {what} ({}), found {text:?}", names.join(", "))
    })
}
