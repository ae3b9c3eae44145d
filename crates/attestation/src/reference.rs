//! Reference values (RATS): the programs that a verifier knows. Each has a name, so that a decision can say which one.

use std::fmt;

use alloy_primitives::B256;
use iexec_protocol::evidence::Tee;

use crate::{Digest384, Measurement, SgxMeasurement, SnpMeasurement, TdxMeasurement};

/// Reference values by kind of TEE. One list never counts for another kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// For TDX.
    pub tdx: Vec<TdxReference>,
    /// For SEV-SNP.
    pub snp: Vec<SnpReference>,
    /// For SGX.
    pub sgx: Vec<SgxReference>,
    /// For the simulation.
    pub simulated: Vec<SimulatedReference>,
}

/// A register's reference value: that it may be anything must be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// This value.
    Is(Digest384),
    /// Whatever it is.
    Any,
}

/// A TD. RTMR3 is not among the values: it holds the app's image (spec ATT-31).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxReference {
    /// What people call it.
    pub name: String,
    /// Build-time measurement.
    pub mrtd: Register,
    /// Run-time registers 0, 1 and 2.
    pub rtmr: [Register; 3],
}

/// A guest of SEV-SNP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpReference {
    /// What people call it.
    pub name: String,
    /// Launch measurement.
    pub measurement: Register,
    /// Digest of the id block's key; `None` asks for none in particular.
    pub id_key_digest: Option<Digest384>,
    /// Digest of the author's key; `None` asks for none in particular.
    pub author_key_digest: Option<Digest384>,
    /// Lowest security version of the guest.
    pub minimum_svn: u32,
}

/// An enclave of SGX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SgxReference {
    /// What people call it.
    pub name: String,
    /// Which one.
    pub identity: SgxIdentity,
}

/// How an enclave of SGX is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SgxIdentity {
    /// This very program.
    Enclave(B256),
    /// A product of this signer, from a security version on.
    Signer {
        /// Digest of the signer's key.
        mrsigner: B256,
        /// The signer's number of the product.
        product_id: u16,
        /// Lowest security version.
        minimum_svn: u16,
    },
}

/// A simulated TD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedReference {
    /// What people call it.
    pub name: String,
    /// SHA-384 of the enclave program's file.
    pub mrtd: Digest384,
}

impl References {
    /// Name of the first value of `tee`'s list that `measurement` meets.
    pub fn find(&self, tee: Tee, measurement: &Measurement) -> Option<&str> {
        match (tee, measurement) {
            (Tee::Tdx, Measurement::Tdx(found)) => name(&self.tdx, |value| value.admits(found), |value| &value.name),
            (Tee::Simulated, Measurement::Tdx(found)) => {
                name(&self.simulated, |value| value.mrtd == found.mrtd, |value| &value.name)
            }
            (Tee::Snp, Measurement::Snp(found)) => name(&self.snp, |value| value.admits(found), |value| &value.name),
            (Tee::Sgx, Measurement::Sgx(found)) => {
                name(&self.sgx, |value| value.identity.admits(found), |value| &value.name)
            }
            _ => None,
        }
    }

    /// `tee`'s values, for people.
    pub(crate) fn list(&self, tee: Tee) -> String {
        let values: Vec<String> = match tee {
            Tee::Tdx => self.tdx.iter().map(ToString::to_string).collect(),
            Tee::Snp => self.snp.iter().map(ToString::to_string).collect(),
            Tee::Sgx => self.sgx.iter().map(ToString::to_string).collect(),
            Tee::Simulated => self.simulated.iter().map(ToString::to_string).collect(),
        };
        if values.is_empty() { "none".to_owned() } else { values.join("; ") }
    }
}

fn name<T>(values: &[T], admits: impl Fn(&T) -> bool, name: impl Fn(&T) -> &String) -> Option<&str> {
    values.iter().find(|value| admits(value)).map(|value| name(value).as_str())
}

impl Register {
    fn admits(&self, found: &Digest384) -> bool {
        match self {
            Self::Is(value) => value == found,
            Self::Any => true,
        }
    }
}

impl TdxReference {
    fn admits(&self, found: &TdxMeasurement) -> bool {
        self.mrtd.admits(&found.mrtd) && self.rtmr.iter().zip(&found.rtmr).all(|(value, found)| value.admits(found))
    }
}

impl SnpReference {
    fn admits(&self, found: &SnpMeasurement) -> bool {
        self.measurement.admits(&found.measurement)
            && self.id_key_digest.is_none_or(|digest| digest == found.id_key_digest)
            && self.author_key_digest.is_none_or(|digest| digest == found.author_key_digest)
            && found.guest_svn >= self.minimum_svn
    }
}

impl SgxIdentity {
    fn admits(&self, found: &SgxMeasurement) -> bool {
        match self {
            Self::Enclave(mrenclave) => *mrenclave == found.mrenclave,
            Self::Signer { mrsigner, product_id, minimum_svn } => {
                *mrsigner == found.mrsigner && *product_id == found.product_id && found.svn >= *minimum_svn
            }
        }
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(value) => value.fmt(f),
            Self::Any => f.write_str("any"),
        }
    }
}

impl fmt::Display for TdxReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r0, r1, r2] = &self.rtmr;
        write!(f, "{}: mrtd {}, rtmr0 {r0}, rtmr1 {r1}, rtmr2 {r2}", self.name, self.mrtd)
    }
}

impl fmt::Display for SnpReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: measurement {}", self.name, self.measurement)?;
        for (what, digest) in [("id key", self.id_key_digest), ("author key", self.author_key_digest)] {
            if let Some(digest) = digest {
                write!(f, ", {what} {digest}")?;
            }
        }
        write!(f, ", guest svn from {}", self.minimum_svn)
    }
}

impl fmt::Display for SgxReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.identity {
            SgxIdentity::Enclave(mrenclave) => write!(f, "{}: mrenclave {mrenclave}", self.name),
            SgxIdentity::Signer { mrsigner, product_id, minimum_svn } => {
                write!(f, "{}: mrsigner {mrsigner}, product {product_id}, svn from {minimum_svn}", self.name)
            }
        }
    }
}

impl fmt::Display for SimulatedReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: mrtd {}", self.name, self.mrtd)
    }
}
