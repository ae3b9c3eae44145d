//! Whether collateral is Intel's by itself, before there is a quote: for caches, so that nobody fills them with rubbish.
//!
//! It is no decision: names, dates and revocation are looked at when a quote is authenticated.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey, VerificationAlgorithm};
use dcap_qvl::QuoteCollateralV3;
use x509_cert::{
    Certificate,
    crl::CertificateList,
    der::{Decode as _, DecodePem as _, Encode as _},
};

use super::PckCa;

/// The end of a certificate in PEM (RFC 7468).
const END: &str = "-----END CERTIFICATE-----";
/// Most certificates in a chain.
const MAX_CHAIN: usize = 4;

/// What is not signed as it must be, and why; `None` if all of it is, under `root`.
pub(crate) fn fault(collateral: &QuoteCollateralV3, root: &[u8], ca: PckCa) -> Option<(&'static str, String)> {
    let told = |what: &'static str, checked: Result<(), String>| checked.err().map(|cause| (what, cause));
    let signed = |chain: &str, text: &str, signature: &[u8]| {
        leaf(chain, root).and_then(|signer| verify(&ECDSA_P256_SHA256_FIXED, &signer, text.as_bytes(), signature))
    };
    let tcb_info = signed(&collateral.tcb_info_issuer_chain, &collateral.tcb_info, &collateral.tcb_info_signature);
    let qe_identity =
        signed(&collateral.qe_identity_issuer_chain, &collateral.qe_identity, &collateral.qe_identity_signature);
    let pck_list = leaf(&collateral.pck_crl_issuer_chain, root).and_then(|signer| {
        check_authority(&signer, ca)?;
        list(&collateral.pck_crl, &signer)
    });
    let root_list = parse(root).and_then(|root| list(&collateral.root_ca_crl, &root));
    told("TCB info", tcb_info)
        .or_else(|| told("QE identity", qe_identity))
        .or_else(|| told("PCK revocation list", pck_list))
        .or_else(|| told("root revocation list", root_list))
}

/// The first certificate of a chain of which each is signed by the next, and the last is `root`.
fn leaf(pem: &str, root: &[u8]) -> Result<Certificate, String> {
    let blocks: Vec<_> = pem.split_inclusive(END).map(|block| block.trim_matches(['\0', ' ', '\r', '\n'])).collect();
    let blocks: Vec<_> = blocks.into_iter().filter(|block| !block.is_empty()).collect();
    if blocks.len() > MAX_CHAIN {
        return Err(format!("its chain has {} certificates; at most {MAX_CHAIN} are read", blocks.len()));
    }
    let chain = blocks.into_iter().map(Certificate::from_pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("its chain: {error}"))?;
    let last = chain.last().ok_or("its chain is empty")?.to_der().map_err(|error| error.to_string())?;
    if last != root {
        return Err("its chain ends in another root than Intel's".to_owned());
    }
    for pair in chain.windows(2) {
        let message = pair[0].tbs_certificate.to_der().map_err(|error| error.to_string())?;
        verify(&ECDSA_P256_SHA256_ASN1, &pair[1], &message, pair[0].signature.raw_bytes())?;
    }
    chain.into_iter().next().ok_or_else(|| "its chain is empty".to_owned())
}

/// Intel names its two authorities `Intel SGX PCK Platform CA` and `Intel SGX PCK Processor CA`.
fn check_authority(signer: &Certificate, ca: PckCa) -> Result<(), String> {
    let subject = signer.tbs_certificate.subject.to_string();
    let named = subject.to_ascii_lowercase().contains(&format!("pck {} ca", ca.name()));
    if named { Ok(()) } else { Err(format!("it is of {subject}, not of the {} authority", ca.name())) }
}

fn parse(der: &[u8]) -> Result<Certificate, String> {
    Certificate::from_der(der).map_err(|error| error.to_string())
}

fn list(der: &[u8], signer: &Certificate) -> Result<(), String> {
    let list = CertificateList::from_der(der).map_err(|error| error.to_string())?;
    let message = list.tbs_cert_list.to_der().map_err(|error| error.to_string())?;
    verify(&ECDSA_P256_SHA256_ASN1, signer, &message, list.signature.raw_bytes())
}

fn verify(
    algorithm: &'static dyn VerificationAlgorithm,
    signer: &Certificate,
    message: &[u8],
    signature: &[u8],
) -> Result<(), String> {
    let key = signer.tbs_certificate.subject_public_key_info.subject_public_key.raw_bytes();
    let verified = UnparsedPublicKey::new(algorithm, key).verify(message, signature);
    verified.map_err(|_| format!("it is not signed by {}", signer.tbs_certificate.subject))
}
