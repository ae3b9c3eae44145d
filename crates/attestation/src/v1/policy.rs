//! What an enclave must be to receive a secret. Values, given by the verifier's operator and by the deal's app.

use iexec_protocol::{evidence::Tee, id::Sha256};

/// Reference values. An empty list allows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Kinds of TEE that count.
    pub tees: Vec<Tee>,
    /// Measurements of the enclave program.
    pub measurements: Vec<Sha256>,
    /// Digest of the app's image manifest: the app's `checksum` on chain.
    pub image: Sha256,
}
