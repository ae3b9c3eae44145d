//! What a verifier expects, and the proof that it was met.

use iexec_protocol::{
    Address, Timestamp,
    evidence::{Evidence, Nonce},
    id::{Sha256, TaskId},
};

use crate::Claims;

/// What evidence must have been made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The task that the enclave is to work on.
    pub task: TaskId,
    /// The nonce that the verifier gave out for this session.
    pub nonce: Nonce,
    /// Digest of the app image's manifest: the app's `checksum` on chain.
    pub image: Sha256,
}

/// Proof that an enclave, holding the secret halves of [`Attested::key`] and [`Attested::signer`], is a program that the
/// policy allows. Only [`crate::verify`] makes one.
#[derive(Debug)]
pub struct Attested {
    claims: Claims,
    key: [u8; 32],
    signer: Address,
    expected: Expected,
    reference: String,
    at: Timestamp,
}

impl Attested {
    pub(crate) fn new(
        claims: Claims,
        evidence: &Evidence,
        expected: Expected,
        reference: String,
        at: Timestamp,
    ) -> Self {
        Self { claims, key: evidence.key.0, signer: evidence.signer, expected, reference, at }
    }

    /// What the TEE vouched for.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The enclave's ephemeral HPKE public key (X25519).
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Address of the enclave's ephemeral signing key (secp256k1).
    pub fn signer(&self) -> Address {
        self.signer
    }

    /// The app image that the enclave is about to start.
    pub fn image(&self) -> Sha256 {
        self.expected.image
    }

    /// The task that it was attested for.
    pub fn task(&self) -> TaskId {
        self.expected.task
    }

    /// Name of the policy's reference value that the measurement met.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// When it was verified, in seconds since the Unix epoch.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}
