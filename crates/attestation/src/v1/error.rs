//! Why evidence was refused: one variant per check, each with both sides.

use iexec_protocol::{
    Address,
    evidence::{MAX_QUOTE, Tee},
    id::Sha256,
};
use thiserror::Error;

/// Evidence that proves nothing, or not what the policy asks for.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AttestationError {
    /// Longer than [`MAX_QUOTE`].
    #[error("a quote of {bytes} bytes; at most {MAX_QUOTE} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// No verifier for this TEE yet.
    #[error("evidence of {tee} cannot be verified by this version; it verifies: simulated")]
    Unsupported {
        /// Who vouches.
        tee: Tee,
    },
    /// The verifier was not told to believe in a simulation.
    #[error(
        "evidence is of the simulated TEE, which proves nothing about the machine; it is refused unless the verifier runs with --insecure-simulated-tee"
    )]
    SimulatedRefused,
    /// The quote is not of its TEE's form.
    #[error("the {tee} quote is malformed: {cause}")]
    Malformed {
        /// Who vouches.
        tee: Tee,
        /// What does not fit.
        cause: String,
    },
    /// The platform's certificate was not signed by the root that the verifier believes in.
    #[error("the platform {platform} must be certified by root {expected}, but the certificate is signed by {}", shown(*.found))]
    UntrustedPlatform {
        /// The platform's key.
        platform: Address,
        /// The trust anchor.
        expected: Address,
        /// Who signed the certificate.
        found: Option<Address>,
    },
    /// The quote was not signed by the platform.
    #[error("the quote must be signed by platform {expected}, but the signature is of {}", shown(*.found))]
    QuoteSignature {
        /// The certified platform key.
        expected: Address,
        /// Who signed the quote.
        found: Option<Address>,
    },
    /// Another kind of TEE than the policy allows.
    #[error("evidence is of {found}; the policy allows {}", listed(.allowed))]
    TeeNotAllowed {
        /// Who vouches.
        found: Tee,
        /// The policy's.
        allowed: Vec<Tee>,
    },
    /// The host may look inside.
    #[error("the {tee} enclave runs in debug mode: its host may read it")]
    Debug {
        /// Who vouches.
        tee: Tee,
    },
    /// Another program.
    #[error("the enclave measures {found}; the policy allows {}", listed(.allowed))]
    Measurement {
        /// The enclave's.
        found: Sha256,
        /// The policy's.
        allowed: Vec<Sha256>,
    },
    /// The quote was made for another key, task, nonce or image.
    #[error("the quote binds report data {}, expected {} for this key, task, nonce and image", const_hex::encode(.found.as_slice()), const_hex::encode(.expected.as_slice()))]
    ReportData {
        /// Of the evidence's key and image, the task, and the verifier's nonce.
        expected: Box<[u8; 64]>,
        /// In the quote.
        found: Box<[u8; 64]>,
    },
    /// The enclave is about to start another image than the app's.
    #[error("the enclave starts image {found}, the app's checksum on chain is {expected}")]
    Image {
        /// The app's `checksum` on chain.
        expected: Sha256,
        /// In the evidence.
        found: Sha256,
    },
}

fn shown(address: Option<Address>) -> String {
    address.map_or_else(|| "nobody".to_owned(), |address| address.to_string())
}

fn listed<T: ToString>(values: &[T]) -> String {
    if values.is_empty() {
        return "none".to_owned();
    }
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
