//! A quote of any TEE, parsed and not yet authentic. What it says is checked before signatures are, since that is cheap:
//! a refusal needs no proof.

use alloy_primitives::FixedBytes;
use iexec_protocol::evidence::{Evidence, Tee};

use crate::{AttestationError, Measurement, dcap::DcapQuote, snp::SnpReport};

/// A parsed quote.
pub(crate) enum Quote {
    /// Of SGX, TDX or the simulation.
    Dcap(Box<DcapQuote>),
    /// Of SEV-SNP.
    Snp(Box<SnpReport>),
}

impl Quote {
    /// Parses the quote as the evidence's TEE makes them. There is no second guess.
    pub(crate) fn parse(evidence: &Evidence) -> Result<Self, AttestationError> {
        match evidence.tee {
            tee @ (Tee::Simulated | Tee::Tdx | Tee::Sgx) => {
                DcapQuote::parse(tee, &evidence.quote).map(Box::new).map(Self::Dcap)
            }
            Tee::Snp => SnpReport::parse(&evidence.quote).map(Box::new).map(Self::Snp),
        }
    }

    pub(crate) fn measurement(&self) -> Measurement {
        match self {
            Self::Dcap(quote) => quote.measurement(),
            Self::Snp(report) => Measurement::Snp(report.measurement()),
        }
    }

    pub(crate) fn report_data(&self) -> FixedBytes<64> {
        match self {
            Self::Dcap(quote) => quote.report_data(),
            Self::Snp(report) => report.report_data(),
        }
    }

    pub(crate) fn debug(&self) -> Option<&'static str> {
        match self {
            Self::Dcap(quote) => quote.debug(),
            Self::Snp(report) => report.debug(),
        }
    }

    pub(crate) fn migratable(&self) -> Option<&'static str> {
        match self {
            Self::Dcap(quote) => quote.migratable(),
            Self::Snp(report) => report.migratable(),
        }
    }
}
