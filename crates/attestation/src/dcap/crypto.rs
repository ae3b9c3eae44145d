//! The cryptography that `dcap-qvl` verifies with: aws-lc, which TLS uses too, instead of a second provider. Certificates
//! and signatures are parsed by `dcap-qvl`'s own code.

use std::sync::LazyLock;

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, digest};
use dcap_qvl::{
    config::{Config, CryptoProvider},
    signature::DerSigEncoder,
    x509::X509CertBackend,
};
use rustls_pki_types::SignatureVerificationAlgorithm;

use super::verified::Verified;

/// Of this process.
static VERIFIED: LazyLock<Verified> = LazyLock::new(Verified::new);

/// Verification by aws-lc.
pub(crate) struct AwsLc;

impl Config for AwsLc {
    type X509 = X509CertBackend;
    type SigEncoder = DerSigEncoder;
    type Crypto = Self;
}

impl CryptoProvider for AwsLc {
    fn sig_algo() -> &'static dyn SignatureVerificationAlgorithm {
        &*VERIFIED
    }

    fn sha256(data: &[u8]) -> [u8; 32] {
        hash(&SHA256, data)
    }

    fn sha384(data: &[u8]) -> [u8; 48] {
        hash(&SHA384, data)
    }
}

fn hash<const N: usize>(algorithm: &'static Algorithm, data: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(digest(algorithm, data).as_ref());
    bytes
}
