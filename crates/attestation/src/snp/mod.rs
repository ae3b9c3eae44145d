//! AMD SEV-SNP by the `sev` crate: a report, signed by a chip's VCEK or a cloud provider's VLEK, which AMD's roots
//! certified.

mod certificate;
mod collateral;
mod key;
mod product;
mod report;
mod table;

pub use collateral::{ChipId, SnpCollateral, SnpId};
pub use key::{SnpKey, SnpSigner};
pub use product::SnpProduct;
pub(crate) use report::SnpReport;

use iexec_protocol::{Timestamp, evidence::Tee};
use sev::certs::snp::{Certificate, Chain, Verifiable as _, ca};

use self::certificate::Endorsement;
use crate::{AttestationError, Claims, CollateralDates, SnpPolicy, TcbClaims};

/// Authenticates a report: AMD's built-in root and signing key certify the key of the report's kind, which is of the
/// report's platform and signed it; nothing of it is revoked, and all hold at `now`.
pub(crate) fn authenticate(
    report: &SnpReport,
    table: &[u8],
    collateral: &SnpCollateral,
    now: Timestamp,
) -> Result<Claims, AttestationError> {
    authenticate_under(SnpProduct::authorities, report, table, collateral, now)
}

/// As [`authenticate`], under the root and signing key that `authorities` gives for a generation and kind of key.
fn authenticate_under(
    authorities: impl FnOnce(SnpProduct, SnpKey) -> std::io::Result<ca::Chain>,
    report: &SnpReport,
    table: &[u8],
    collateral: &SnpCollateral,
    now: Timestamp,
) -> Result<Claims, AttestationError> {
    let (vek, product) = endorsement(report, table, collateral)?;
    let unauthentic = |error: std::io::Error| not_authentic(error.to_string());
    let ca = authorities(product, report.key()).map_err(unauthentic)?;
    let chain = Chain { ca, vek: vek.certificate().clone() };
    (&chain, report.inner()).verify().map_err(unauthentic)?;
    vek.check_platform(report, product)?;
    let mut expires = check_validity(&chain, report.key(), now)?;
    let mut issued = vek.valid_from();
    if let Some(list) = collateral.revocations() {
        list.check(&chain.ca, report.key())?;
        (issued, expires) = (list.issued(), expires.min(list.expires()));
    }
    Ok(Claims {
        tee: Tee::Snp,
        measurement: crate::Measurement::Snp(report.measurement()),
        report_data: report.report_data(),
        debug: report.debug().is_some(),
        migratable: report.migratable().is_some(),
        tcb: TcbClaims::Snp(report.tcb(product, vek.signer()?)),
        collateral: CollateralDates { issued, expires },
    })
}

/// The certificate of the key that is to have signed the report, and the generation that both are of.
fn endorsement(
    report: &SnpReport,
    table: &[u8],
    collateral: &SnpCollateral,
) -> Result<(Endorsement, SnpProduct), AttestationError> {
    let vek = Endorsement::parse(report.key(), &collateral.certificate(report.key(), table)?)?;
    let product = vek.product()?;
    report.check_product(product)?;
    Ok((vek, product))
}

/// Whether the policy admits whose key signed the report: cheap, and no proof. Where no certificate says whose VLEK it is,
/// it is [`check_collateral`] that refuses.
pub(crate) fn check_signer(
    report: &SnpReport,
    table: &[u8],
    collateral: &SnpCollateral,
    policy: &SnpPolicy,
) -> Result<(), AttestationError> {
    if report.key() == SnpKey::Vcek {
        return Ok(());
    }
    let certificate = collateral.certificate(SnpKey::Vlek, table);
    let named = certificate.and_then(|certificate| Endorsement::parse(SnpKey::Vlek, &certificate)?.provider());
    let found = named.ok();
    if policy.vlek_providers.admits(found.as_deref()) {
        return Ok(());
    }
    Err(AttestationError::SigningKey { found, allowed: policy.vlek_providers.clone() })
}

/// Whether the collateral speaks about the report's platform: cheap, and no proof.
pub(crate) fn check_collateral(
    report: &SnpReport,
    table: &[u8],
    collateral: &SnpCollateral,
    policy: &SnpPolicy,
) -> Result<(), AttestationError> {
    collateral.check_present(policy)?;
    let (vek, product) = endorsement(report, table, collateral)?;
    vek.check_platform(report, product)
}

/// Whether revocation list and certificates hold at `now`: cheap, and no proof.
pub(crate) fn check_dates(
    report: &SnpReport,
    table: &[u8],
    collateral: &SnpCollateral,
    now: Timestamp,
) -> Result<(), AttestationError> {
    collateral.check_dates(now)?;
    let (vek, product) = endorsement(report, table, collateral)?;
    let ca = product.authorities(report.key()).map_err(|error| not_authentic(error.to_string()))?;
    check_validity(&Chain { ca, vek: vek.certificate().clone() }, report.key(), now).map(drop)
}

/// Whether root, signing key and the report's key hold at `now`; the first end among them.
fn check_validity(chain: &Chain, key: SnpKey, now: Timestamp) -> Result<Timestamp, AttestationError> {
    let mut first = Timestamp::MAX;
    let certificates: [(&'static str, &Certificate); 3] =
        [("ARK", &chain.ca.ark), (key.authority(), &chain.ca.ask), (key.name(), &chain.vek)];
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
