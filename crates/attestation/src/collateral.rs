//! What others say about the platform that made a quote: fetched and cached by the verifier's owner, believed only as far
//! as it is signed.

use iexec_protocol::evidence::{Evidence, Tee};

pub use crate::dcap::{DcapCollateral, DcapId, DcapParts, PckCa};
pub use crate::snp::{SnpCollateral, SnpId};
use crate::{AttestationError, quote::Quote};

/// Largest collateral read, in bytes.
pub const MAX_COLLATERAL: usize = 512 * 1024;

/// Collateral for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collateral {
    /// For SGX, TDX and the simulation.
    Dcap(DcapCollateral),
    /// For SEV-SNP.
    Snp(SnpCollateral),
}

impl Collateral {
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Dcap(_) => "dcap",
            Self::Snp(_) => "snp",
        }
    }
}

/// Which collateral evidence needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CollateralId {
    /// Intel's, from a PCS.
    Dcap(DcapId),
    /// AMD's, from its KDS or from the evidence itself.
    Snp(SnpId),
    /// The development PKI's: a file beside its root.
    Simulated,
}

/// Which collateral `evidence` needs, from its bytes alone: nothing is believed, and what is too large or malformed is
/// refused as [`crate::verify`] does.
pub fn needs(evidence: &Evidence) -> Result<CollateralId, AttestationError> {
    crate::checks::size(evidence)?;
    Ok(of(evidence, &Quote::parse(evidence)?))
}

/// Which collateral evidence with this quote needs.
pub(crate) fn of(evidence: &Evidence, quote: &Quote) -> CollateralId {
    match (evidence.tee, quote) {
        (Tee::Simulated, _) => CollateralId::Simulated,
        (_, Quote::Dcap(quote)) => CollateralId::Dcap(quote.id()),
        (_, Quote::Snp(report)) => CollateralId::Snp(report.id(&evidence.certificates)),
    }
}
