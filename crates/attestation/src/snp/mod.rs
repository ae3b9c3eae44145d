//! AMD SEV-SNP by the `sev` crate: a report, signed by a chip's VCEK, which AMD's roots certified.

mod certificate;
mod collateral;
mod report;
mod table;

pub use collateral::{ChipId, SnpCollateral, SnpId};
pub(crate) use report::SnpReport;

use std::fmt;

use iexec_protocol::{Timestamp, evidence::Tee};
use sev::{
    Generation,
    certs::snp::{Certificate, Chain, Verifiable as _, builtin, ca},
};

use self::certificate::Endorsement;
use crate::{AttestationError, Claims, CollateralDates, SnpPolicy, TcbClaims};

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

    fn of(generation: Generation) -> Option<Self> {
        match generation {
            Generation::Milan => Some(Self::Milan),
            Generation::Genoa => Some(Self::Genoa),
            Generation::Turin => Some(Self::Turin),
            Generation::Venice => None,
        }
    }

    /// AMD's root and signing key for this generation.
    fn authorities(self) -> std::io::Result<ca::Chain> {
        let (ark, ask) = match self {
            Self::Milan => (builtin::milan::ark()?, builtin::milan::ask()?),
            Self::Genoa => (builtin::genoa::ark()?, builtin::genoa::ask()?),
            Self::Turin => (builtin::turin::ark()?, builtin::turin::ask()?),
        };
        Ok(ca::Chain { ark, ask })
    }
}

impl fmt::Display for SnpProduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Authenticates a report: AMD's built-in root and signing key certify the VCEK, the VCEK is of the report's chip and
/// firmware and signed the report, nothing of it is revoked, and all hold at `now`.
pub(crate) fn authenticate(
    report: &SnpReport,
    table: &[u8],
    collateral: &SnpCollateral,
    now: Timestamp,
) -> Result<Claims, AttestationError> {
    authenticate_under(SnpProduct::authorities, report, table, collateral, now)
}

/// As [`authenticate`], under the root and signing key that `authorities` gives for a generation.
fn authenticate_under(
    authorities: impl FnOnce(SnpProduct) -> std::io::Result<ca::Chain>,
    report: &SnpReport,
    table: &[u8],
    collateral: &SnpCollateral,
    now: Timestamp,
) -> Result<Claims, AttestationError> {
    let (vcek, product) = endorsement(report, table, collateral)?;
    let unauthentic = |error: std::io::Error| not_authentic(error.to_string());
    let chain = Chain { ca: authorities(product).map_err(unauthentic)?, vek: vcek.certificate().clone() };
    (&chain, report.inner()).verify().map_err(unauthentic)?;
    vcek.check_platform(report, product)?;
    let mut expires = check_validity(&chain, now)?;
    let mut issued = vcek.valid_from();
    if let Some(list) = collateral.revocations() {
        list.check(&chain.ca)?;
        (issued, expires) = (list.issued(), expires.min(list.expires()));
    }
    Ok(Claims {
        tee: Tee::Snp,
        measurement: crate::Measurement::Snp(report.measurement()),
        report_data: report.report_data(),
        debug: report.debug().is_some(),
        migratable: report.migratable().is_some(),
        tcb: TcbClaims::Snp(report.tcb(product)),
        collateral: CollateralDates { issued, expires },
    })
}

/// The VCEK that is to have signed the report, and the generation that both are of.
fn endorsement(
    report: &SnpReport,
    table: &[u8],
    collateral: &SnpCollateral,
) -> Result<(Endorsement, SnpProduct), AttestationError> {
    let vcek = Endorsement::parse(&collateral.vcek(table)?)?;
    let product = vcek.product()?;
    report.check_product(product)?;
    Ok((vcek, product))
}

/// Whether the collateral speaks about the report's platform: cheap, and no proof.
pub(crate) fn check_collateral(
    report: &SnpReport,
    table: &[u8],
    collateral: &SnpCollateral,
    policy: &SnpPolicy,
) -> Result<(), AttestationError> {
    collateral.check_present(policy)?;
    let (vcek, product) = endorsement(report, table, collateral)?;
    vcek.check_platform(report, product)
}

/// Whether revocation list and certificates hold at `now`: cheap, and no proof.
pub(crate) fn check_dates(
    report: &SnpReport,
    table: &[u8],
    collateral: &SnpCollateral,
    now: Timestamp,
) -> Result<(), AttestationError> {
    collateral.check_dates(now)?;
    let (vcek, product) = endorsement(report, table, collateral)?;
    let ca = product.authorities().map_err(|error| not_authentic(error.to_string()))?;
    check_validity(&Chain { ca, vek: vcek.certificate().clone() }, now).map(drop)
}

/// Whether ARK, ASK and VCEK hold at `now`; the first end among them.
fn check_validity(chain: &Chain, now: Timestamp) -> Result<Timestamp, AttestationError> {
    let mut first = Timestamp::MAX;
    let certificates: [(&'static str, &Certificate); 3] =
        [("ARK", &chain.ca.ark), ("ASK", &chain.ca.ask), ("VCEK", &chain.vek)];
    for (what, certificate) in certificates {
        let validity = x509_cert::Certificate::from(certificate.clone()).tbs_certificate.validity;
        let issued = validity.not_before.to_unix_duration().as_secs();
        let expired = validity.not_after.to_unix_duration().as_secs();
        if now < issued {
            return Err(AttestationError::CollateralFuture { what, issued, now });
        }
        if now > expired {
            return Err(AttestationError::CollateralExpired { what, expired, now });
        }
        first = first.min(expired);
    }
    Ok(first)
}

fn not_authentic(cause: String) -> AttestationError {
    AttestationError::NotAuthentic { tee: Tee::Snp, cause }
}

#[cfg(test)]
mod tests;
