//! The two kinds of keys that sign SNP reports (AMD 57230), and who answers for one.

use std::fmt;

/// Kind of the key that signed a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SnpKey {
    /// Versioned Chip Endorsement Key: derived from a secret of one chip.
    Vcek,
    /// Versioned Loaded Endorsement Key: one that AMD gave to a cloud provider, which loads it into many chips.
    Vlek,
}

impl SnpKey {
    /// As AMD calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vcek => "VCEK",
            Self::Vlek => "VLEK",
        }
    }

    /// Name of AMD's key that certifies keys of this kind.
    pub(super) const fn authority(self) -> &'static str {
        match self {
            Self::Vcek => "ASK",
            Self::Vlek => "ASVK",
        }
    }

    /// The report's `SIGNING_KEY`.
    pub(super) const fn of_report(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Vcek),
            1 => Some(Self::Vlek),
            _ => None,
        }
    }
}

impl fmt::Display for SnpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose key signed a report, by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnpSigner {
    /// The chip's own VCEK.
    Chip,
    /// A cloud provider's VLEK: the provider as the certificate's `cspID` names it, such as
    /// `CN=cc-us-east-2.amazonaws.com`.
    Provider(String),
}

impl fmt::Display for SnpSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chip => f.write_str("the chip's VCEK"),
            Self::Provider(provider) => write!(f, "the VLEK of {provider:?}"),
        }
    }
}
