//! Why evidence was refused: one variant per reason, each with both sides.

use alloy_primitives::FixedBytes;
use iexec_protocol::{Timestamp, evidence::Tee, id::Sha256};
use thiserror::Error;

use crate::{Digest384, SnpProduct, TcbStatus, VlekProviders};

/// Evidence that proves nothing, or not what the policy asks for.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttestationError {
    /// Too long to be read.
    #[error("{what} of {bytes} bytes; at most {maximum} are read")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The largest one.
        maximum: usize,
    },
    /// Another kind of TEE than the policy allows.
    #[error("evidence is of {found}; the policy allows {}", listed(.allowed))]
    TeeNotAllowed {
        /// Who vouches.
        found: Tee,
        /// The policy's.
        allowed: Vec<Tee>,
    },
    /// The verifier was not told to believe in a simulation.
    #[error(
        "evidence is of the simulated TEE, which proves nothing about the machine; it is refused unless the verifier runs with --insecure-simulated-tee"
    )]
    SimulatedRefused,
    /// A trust anchor that is none.
    #[error("the simulated TEE's root certificate is refused: {cause}")]
    Anchor {
        /// Why.
        cause: String,
    },
    /// The quote is not of its TEE's form.
    #[error("the {tee} quote is malformed: {cause}")]
    Malformed {
        /// Who vouches.
        tee: Tee,
        /// What does not fit.
        cause: String,
    },
    /// The host may look inside.
    #[error("the {tee} enclave runs in debug mode ({what}): its host may read it")]
    Debug {
        /// Who vouches.
        tee: Tee,
        /// The attribute that says so.
        what: &'static str,
    },
    /// The host may move the enclave.
    #[error("the {tee} enclave may be migrated ({what}): its host may move it to a machine that was not attested")]
    Migratable {
        /// Who vouches.
        tee: Tee,
        /// The attribute that says so.
        what: &'static str,
    },
    /// A less privileged part of the guest asked for the report.
    #[error("the snp report was asked for at privilege level {found}; the enclave runs at 0")]
    PrivilegeLevel {
        /// The report's VMPL.
        found: u32,
    },
    /// A cloud provider's key signed the report, and the policy does not name it.
    #[error("the snp report is signed by the VLEK of {}; the policy allows {allowed}", .found.as_deref().unwrap_or("a cloud provider").escape_debug())]
    SigningKey {
        /// The provider, if the VLEK's certificate is there.
        found: Option<String>,
        /// The policy's.
        allowed: VlekProviders,
    },
    /// Another program.
    #[error("the enclave measures {found}; the policy allows {allowed}")]
    Reference {
        /// The enclave's measurements.
        found: String,
        /// The policy's reference values.
        allowed: String,
    },
    /// The quote was made for another key, signer, task, nonce or image.
    #[error("the quote binds report data {found}, expected {expected} for this key, signer, task, nonce and image")]
    ReportData {
        /// Of the evidence's key, signer and image, the task, and the verifier's nonce.
        expected: Box<FixedBytes<64>>,
        /// In the quote.
        found: Box<FixedBytes<64>>,
    },
    /// The enclave is about to start another image than the app's.
    #[error("the enclave starts image {found}, the app's checksum on chain is {expected}")]
    Image {
        /// The app's `checksum` on chain.
        expected: Sha256,
        /// In the evidence.
        found: Sha256,
    },
    /// RTMR3 does not hold the image alone.
    #[error("rtmr3 is {found}, expected {expected} for the app's image alone")]
    ImageRegister {
        /// Of the image.
        expected: Digest384,
        /// In the quote.
        found: Digest384,
    },
    /// Collateral of another kind.
    #[error("evidence of {tee} is verified with collateral of {needed}; that of {found} was given")]
    CollateralKind {
        /// Who vouches.
        tee: Tee,
        /// What it needs.
        needed: &'static str,
        /// What was given.
        found: &'static str,
    },
    /// Collateral that cannot be read.
    #[error("the collateral's {what} is malformed: {cause}")]
    CollateralMalformed {
        /// Which part.
        what: &'static str,
        /// What does not fit.
        cause: String,
    },
    /// Collateral that ended.
    #[error("the collateral's {what} expired at {expired}; it is {now}")]
    CollateralExpired {
        /// Which part.
        what: &'static str,
        /// Its end.
        expired: Timestamp,
        /// The verifier's clock.
        now: Timestamp,
    },
    /// Collateral that has not begun.
    #[error("the collateral's {what} is of {issued}, which is still to come; it is {now}")]
    CollateralFuture {
        /// Which part.
        what: &'static str,
        /// Its beginning.
        issued: Timestamp,
        /// The verifier's clock.
        now: Timestamp,
    },
    /// Collateral of another platform.
    #[error("the collateral is about {what} {found}; the quote is of {expected}")]
    CollateralPlatform {
        /// Which property.
        what: &'static str,
        /// The quote's.
        expected: String,
        /// The collateral's.
        found: String,
    },
    /// Collateral that is missing.
    #[error("the collateral has no {what}; it is asked for")]
    CollateralMissing {
        /// Which part.
        what: &'static str,
    },
    /// Collateral older than the policy allows.
    #[error("the collateral was issued {age} s ago; the policy allows {maximum} s")]
    CollateralAge {
        /// Seconds since its issue.
        age: u64,
        /// The policy's.
        maximum: u64,
    },
    /// A certificate that its authority took back.
    #[error("{what} {serial} was revoked")]
    Revoked {
        /// Which certificate.
        what: &'static str,
        /// Its serial number, hex.
        serial: String,
    },
    /// A signature or a chain that does not lead to the trust anchor.
    #[error("the {tee} quote is not authentic: {cause}")]
    NotAuthentic {
        /// Who vouches.
        tee: Tee,
        /// Which link does not hold.
        cause: String,
    },
    /// The platform is not kept as the policy asks.
    #[error("the platform's TCB is {found} ({}); the policy accepts {}", listed(.advisories), listed(.accepted))]
    TcbStatus {
        /// Intel's verdict.
        found: TcbStatus,
        /// Advisories that apply.
        advisories: Vec<String>,
        /// The policy's.
        accepted: Vec<TcbStatus>,
    },
    /// An advisory applies that the policy rejects, or does not allow.
    #[error("advisory {found} applies to the platform; the policy {rule}")]
    Advisory {
        /// The advisory.
        found: String,
        /// The policy's rule.
        rule: String,
    },
    /// Intel's verdict is of an older evaluation than the policy asks for.
    #[error("the collateral is of TCB evaluation {found}; the policy asks for {minimum}")]
    EvaluationNumber {
        /// The collateral's.
        found: u32,
        /// The policy's.
        minimum: u32,
    },
    /// Firmware below the policy's floor.
    #[error("the {product} platform's {kind} {part} is of version {found}; the policy asks for {minimum}")]
    TcbFloor {
        /// Generation of the processor.
        product: SnpProduct,
        /// Reported, committed, current or launch TCB.
        kind: &'static str,
        /// Part of the firmware.
        part: &'static str,
        /// Its version.
        found: u8,
        /// The policy's.
        minimum: u8,
    },
    /// A generation of processors that the policy has no floor for.
    #[error("the platform is of {found}; the policy has floors for {}", listed(.floors))]
    NoFloor {
        /// Generation of the processor.
        found: SnpProduct,
        /// The policy's.
        floors: Vec<SnpProduct>,
    },
}

impl AttestationError {
    /// Name of the check that failed: stable, for metrics, audit and [`crate::explain`].
    pub const fn check(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "size",
            Self::TeeNotAllowed { .. } => "tee",
            Self::SimulatedRefused | Self::Anchor { .. } => "anchor",
            Self::Malformed { .. } => "format",
            Self::Image { .. } => "image",
            Self::ReportData { .. } => "report-data",
            Self::ImageRegister { .. } => "image-register",
            Self::Debug { .. } => "debug",
            Self::Migratable { .. } => "migration",
            Self::PrivilegeLevel { .. } => "privilege-level",
            Self::SigningKey { .. } => "signing-key",
            Self::Reference { .. } => "reference",
            Self::CollateralKind { .. }
            | Self::CollateralMalformed { .. }
            | Self::CollateralMissing { .. }
            | Self::CollateralPlatform { .. } => "collateral",
            Self::CollateralExpired { .. } | Self::CollateralFuture { .. } => "collateral-dates",
            Self::NotAuthentic { .. } | Self::Revoked { .. } => "authenticity",
            Self::CollateralAge { .. } => "collateral-age",
            Self::TcbStatus { .. } => "tcb-status",
            Self::Advisory { .. } => "tcb-advisories",
            Self::EvaluationNumber { .. } => "tcb-evaluation",
            Self::TcbFloor { .. } | Self::NoFloor { .. } => "tcb-floor",
        }
    }
}

fn listed<T: ToString>(values: &[T]) -> String {
    if values.is_empty() {
        return "none".to_owned();
    }
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
