//! The JSON quotes of the simulated TEE, until its makers make TDX quotes. Goes away with them.
//!
//! [`verify`] is the whole of it: a decision as a list of one-line checks, whose proof is [`Attested`]. One file per
//! TEE turns that TEE's quote into [`Claims`]; all that follows is the same for every TEE.
//!
//! What this crate is not: it makes no evidence, and it has no clock, no files, no network and no log.

mod anchors;
mod claims;
mod error;
mod policy;
mod simulated;

pub use anchors::TrustAnchors;
pub use claims::Claims;
pub use error::AttestationError;
pub use policy::Policy;

use iexec_protocol::{
    Timestamp,
    evidence::{Evidence, MAX_QUOTE, Nonce, Tee, report_data},
    id::{Sha256, TaskId},
};

/// Decides whether `evidence` comes from an enclave that may work on `task`.
///
/// `nonce` is the one that the verifier gave out for this session, `now` the verifier's time. Nothing is read that
/// exceeds [`MAX_QUOTE`]. The proof says what was verified, and is what a secret's release asks for.
pub fn verify(
    evidence: &Evidence,
    task: TaskId,
    nonce: Nonce,
    anchors: &TrustAnchors,
    policy: &Policy,
    now: Timestamp,
) -> Result<Attested, AttestationError> {
    check_size(evidence)?;
    let claims = appraise(evidence, anchors)?;
    check_tee(&claims, policy)?;
    check_debug(&claims)?;
    check_measurement(&claims, policy)?;
    check_report_data(&claims, evidence, task, nonce)?;
    check_image(evidence, policy)?;
    Ok(Attested { claims, key: evidence.key.0, image: evidence.image, task, at: now })
}

/// Proof that an enclave, holding the secret half of [`Attested::key`], is the program that the policy allows.
#[derive(Debug)]
pub struct Attested {
    claims: Claims,
    key: [u8; 32],
    image: Sha256,
    task: TaskId,
    at: Timestamp,
}

impl Attested {
    /// What the TEE vouched for.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The enclave's ephemeral HPKE public key (X25519).
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The app image that the enclave is about to start.
    pub fn image(&self) -> Sha256 {
        self.image
    }

    /// The task that it was attested for.
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// When it was verified, in seconds since the Unix epoch.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

/// The quote, authenticated by its TEE's verifier (spec ATT-2, ATT-3).
fn appraise(evidence: &Evidence, anchors: &TrustAnchors) -> Result<Claims, AttestationError> {
    match evidence.tee {
        Tee::Simulated => simulated::appraise(&evidence.quote, anchors.simulated_root()),
        tee @ (Tee::Tdx | Tee::Snp | Tee::Sgx) => Err(AttestationError::Unsupported { tee }),
    }
}

/// Spec ATT-1.
fn check_size(evidence: &Evidence) -> Result<(), AttestationError> {
    let bytes = evidence.quote.len();
    if bytes <= MAX_QUOTE { Ok(()) } else { Err(AttestationError::TooLarge { bytes }) }
}

/// Spec ATT-4.
fn check_tee(claims: &Claims, policy: &Policy) -> Result<(), AttestationError> {
    if policy.tees.contains(&claims.tee) {
        return Ok(());
    }
    Err(AttestationError::TeeNotAllowed { found: claims.tee, allowed: policy.tees.clone() })
}

/// Spec ATT-5.
fn check_debug(claims: &Claims) -> Result<(), AttestationError> {
    if claims.debug { Err(AttestationError::Debug { tee: claims.tee }) } else { Ok(()) }
}

/// Spec ATT-6.
fn check_measurement(claims: &Claims, policy: &Policy) -> Result<(), AttestationError> {
    if policy.measurements.contains(&claims.measurement) {
        return Ok(());
    }
    Err(AttestationError::Measurement { found: claims.measurement, allowed: policy.measurements.clone() })
}

/// Spec ATT-7.
fn check_report_data(claims: &Claims, evidence: &Evidence, task: TaskId, nonce: Nonce) -> Result<(), AttestationError> {
    let expected = report_data(&evidence.key.0, evidence.signer, task, nonce, evidence.image);
    if claims.report_data == expected {
        return Ok(());
    }
    Err(AttestationError::ReportData { expected: Box::new(expected), found: Box::new(claims.report_data) })
}

/// Spec ATT-8.
fn check_image(evidence: &Evidence, policy: &Policy) -> Result<(), AttestationError> {
    if evidence.image == policy.image {
        return Ok(());
    }
    Err(AttestationError::Image { expected: policy.image, found: evidence.image })
}
