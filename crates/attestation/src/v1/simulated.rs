//! The simulated TEE's quote: authentic when a platform key signed it that the development root certified.
//!
//! Only the anchor and the format differ from hardware: claims and policy are the same.

use iexec_protocol::{
    Address,
    evidence::{
        Tee,
        simulated::{PlatformCertificate, SimulatedQuote},
    },
};

use super::{AttestationError, Claims};

/// Authenticates a quote under `root` (spec ATT-3).
pub(crate) fn appraise(quote: &[u8], root: Option<Address>) -> Result<Claims, AttestationError> {
    let root = root.ok_or(AttestationError::SimulatedRefused)?;
    let quote = parse(quote)?;
    check_platform(&quote.certificate, root)?;
    check_signature(&quote)?;
    // The simulation has no debug mode: what runs in it is bare to its host anyway, and `tee` says so.
    Ok(Claims { tee: Tee::Simulated, measurement: quote.measurement, report_data: quote.report_data, debug: false })
}

fn parse(quote: &[u8]) -> Result<SimulatedQuote, AttestationError> {
    serde_json::from_slice(quote)
        .map_err(|error| AttestationError::Malformed { tee: Tee::Simulated, cause: error.to_string() })
}

fn check_platform(certificate: &PlatformCertificate, root: Address) -> Result<(), AttestationError> {
    let platform = certificate.platform;
    let found = certificate.signature.signer_of_personal(PlatformCertificate::hash(platform));
    if found == Some(root) {
        return Ok(());
    }
    Err(AttestationError::UntrustedPlatform { platform, expected: root, found })
}

fn check_signature(quote: &SimulatedQuote) -> Result<(), AttestationError> {
    let expected = quote.certificate.platform;
    let hash = SimulatedQuote::hash(quote.measurement, &quote.report_data);
    let found = quote.signature.signer_of_personal(hash);
    if found == Some(expected) { Ok(()) } else { Err(AttestationError::QuoteSignature { expected, found }) }
}
