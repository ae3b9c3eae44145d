//! Signatures that were verified once. What Intel signed about a platform comes with each of its quotes and is the same
//! every time: of a dozen signatures, only the quote's own is new.
//!
//! What is remembered is that a signature is good: a fact of mathematics about key, message and signature, which no time,
//! policy or revocation changes. Those are looked at every time, by `dcap-qvl` and `webpki`. A bad one is never
//! remembered.

use std::{
    collections::HashSet,
    sync::{PoisonError, RwLock},
};

use aws_lc_rs::digest::{Context, SHA256};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use webpki::aws_lc_rs::ECDSA_P256_SHA256;

/// Most signatures remembered, 32 bytes each; then it begins anew. A dozen are of a kind of platform, three more of each
/// platform, one of each quote.
const MANY: usize = 4096;

/// ECDSA P-256 with SHA-256 by aws-lc, which verifies no signature twice.
#[derive(Debug)]
pub(super) struct Verified(RwLock<HashSet<Fingerprint>>);

/// SHA-256 of key, message and signature, each after its length.
type Fingerprint = [u8; 32];

impl Verified {
    /// With nothing verified yet.
    pub(super) fn new() -> Self {
        Self(RwLock::default())
    }

    fn knows(&self, fingerprint: &Fingerprint) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(fingerprint)
    }

    fn remember(&self, fingerprint: Fingerprint) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MANY {
            known.clear();
        }
        known.insert(fingerprint);
    }
}

impl SignatureVerificationAlgorithm for Verified {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let fingerprint = fingerprint([key, message, signature]);
        if self.knows(&fingerprint) {
            return Ok(());
        }
        ECDSA_P256_SHA256.verify_signature(key, message, signature)?;
        self.remember(fingerprint);
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        ECDSA_P256_SHA256.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        ECDSA_P256_SHA256.signature_alg_id()
    }
}

fn fingerprint(parts: [&[u8]; 3]) -> Fingerprint {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
    };

    use super::*;

    fn signed(message: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let signature = key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec();
        (key.public_key().as_ref().to_vec(), signature)
    }

    #[test]
    fn a_good_signature_is_good_again_and_makes_no_other_good() {
        let verified = Verified::new();
        let (key, signature) = signed(b"message");
        for _ in 0..2 {
            assert!(verified.verify_signature(&key, b"message", &signature).is_ok());
            assert_eq!(verified.0.read().unwrap().len(), 1);
        }
        let (other, _) = signed(b"message");
        for (key, message, signature) in [
            (key.as_slice(), b"messagf".as_slice(), signature.as_slice()),
            (&other, b"message", &signature),
            (&key, b"message", &signature[1..]),
            (&key[1..], b"message", &signature),
            // The same bytes, cut elsewhere.
            (&key, &[b"message", &signature[..1]].concat(), &signature[1..]),
            (&key[..64], &[&key[64..], b"message"].concat(), &signature),
        ] {
            assert!(verified.verify_signature(key, message, signature).is_err());
            assert_eq!(verified.0.read().unwrap().len(), 1, "a bad one is not remembered");
        }
    }

    #[test]
    fn there_are_never_more_than_a_fixed_number() {
        let verified = Verified::new();
        for number in 0..=MANY as u64 {
            verified.remember(fingerprint([&number.to_be_bytes(), b"", b""]));
            assert!(verified.0.read().unwrap().len() <= MANY);
        }
        let (key, signature) = signed(b"message");
        assert!(verified.verify_signature(&key, b"message", &signature).is_ok());
        assert!(verified.verify_signature(&key, b"other", &signature).is_err());
    }
}
