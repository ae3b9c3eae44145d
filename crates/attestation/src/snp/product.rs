//! Generations of EPYC processors, and AMD's certificates for each.

use std::fmt;

use sev::{
    Generation,
    certs::snp::{Certificate, builtin, ca},
};

use super::SnpKey;

/// Generations of EPYC processors whose roots are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SnpProduct {
    /// 7003.
    Milan,
    /// 9004, 8004.
    Genoa,
    /// 9005.
    Turin,
}

impl SnpProduct {
    /// As in the addresses of AMD's KDS.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    pub(crate) const ALL: [Self; 3] = [Self::Milan, Self::Genoa, Self::Turin];

    pub(super) fn of(generation: Generation) -> Option<Self> {
        match generation {
            Generation::Milan => Some(Self::Milan),
            Generation::Genoa => Some(Self::Genoa),
            Generation::Turin => Some(Self::Turin),
            Generation::Venice => None,
        }
    }

    /// AMD's root for this generation.
    pub(super) fn root(self) -> std::io::Result<Certificate> {
        match self {
            Self::Milan => builtin::milan::ark(),
            Self::Genoa => builtin::genoa::ark(),
            Self::Turin => builtin::turin::ark(),
        }
    }

    /// AMD's root and the key under it that certifies keys of this kind: ASK for VCEKs, ASVK for VLEKs. Crate `sev` has
    /// no ASVK; where these are from is in `vectors/attestation/README.md`.
    pub(super) fn authorities(self, key: SnpKey) -> std::io::Result<ca::Chain> {
        let ask = match (key, self) {
            (SnpKey::Vcek, Self::Milan) => builtin::milan::ask(),
            (SnpKey::Vcek, Self::Genoa) => builtin::genoa::ask(),
            (SnpKey::Vcek, Self::Turin) => builtin::turin::ask(),
            (SnpKey::Vlek, Self::Milan) => Certificate::from_der(include_bytes!("../anchors/amd-asvk-milan.der")),
            (SnpKey::Vlek, Self::Genoa) => Certificate::from_der(include_bytes!("../anchors/amd-asvk-genoa.der")),
            (SnpKey::Vlek, Self::Turin) => Certificate::from_der(include_bytes!("../anchors/amd-asvk-turin.der")),
        }?;
        Ok(ca::Chain { ark: self.root()?, ask })
    }
}

impl fmt::Display for SnpProduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
