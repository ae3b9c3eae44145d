//! X.509 (RFC 5280): root, PCK authority, TCB signer, PCK certificate, and the revocation lists of the two authorities.
//! The names say what they are; the dates are fixed, so that the same keys give the same bytes.

use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName, DnType,
    IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, RevocationReason,
    RevokedCertParams, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::{PkiError, extension};
use crate::WARNING;

/// A key, as the certificate library asks for one.
pub(super) struct Key {
    signing: SigningKey,
    point: Vec<u8>,
}

impl Key {
    pub(super) fn new(signing: SigningKey) -> Self {
        let point = signing.verifying_key().to_encoded_point(false).as_bytes().to_vec();
        Self { signing, point }
    }

    pub(super) fn inner(&self) -> &SigningKey {
        &self.signing
    }

    pub(super) fn into_inner(self) -> SigningKey {
        self.signing
    }

    /// 20 bytes, as serial number and key identifier.
    fn identifier(&self) -> Vec<u8> {
        let mut id = Sha256::digest(&self.point)[..20].to_vec();
        // A serial number is positive and has no leading zero.
        id[0] = id[0] & 0x3f | 0x40;
        id
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = self.signing.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

/// Certificates that a PKI has once.
pub(super) struct Chains {
    /// DER.
    pub(super) root: Vec<u8>,
    /// PEM: authority, root.
    pub(super) pck_authority: String,
    /// PEM: signer, root.
    pub(super) tcb_signer: String,
}

impl Chains {
    pub(super) fn issue(root: &Key, pck_authority: &Key, tcb_signer: &Key) -> Result<Self, PkiError> {
        let top = params(root, "Root CA", Some(1));
        let issuer = Issuer::from_params(&top, root);
        let root = top.self_signed(root)?;
        let authority = params(pck_authority, AUTHORITY, Some(0)).signed_by(pck_authority, &issuer)?;
        let signer = params(tcb_signer, "TCB Signing", None).signed_by(tcb_signer, &issuer)?;
        Ok(Self {
            pck_authority: authority.pem() + &root.pem(),
            tcb_signer: signer.pem() + &root.pem(),
            root: root.der().to_vec(),
        })
    }

    /// PEM: PCK certificate, authority, root.
    pub(super) fn pck(&self, pck: &Key, authority: &Key, fmspc: [u8; 6]) -> Result<String, PkiError> {
        let above = params(authority, AUTHORITY, Some(0));
        let mut leaf = params(pck, "PCK Certificate", None);
        leaf.custom_extensions = vec![CustomExtension::from_oid_content(extension::SGX, extension::of(fmspc))];
        Ok(leaf.signed_by(pck, &Issuer::from_params(&above, authority))?.pem() + &self.pck_authority)
    }
}

/// The root's revocation list: nobody.
pub(super) fn root_crl(root: &Key, issued: u64, next_update: u64) -> Result<Vec<u8>, PkiError> {
    crl(root, &params(root, "Root CA", Some(1)), issued, next_update, Vec::new())
}

/// The PCK authority's: nobody, or the one machine.
pub(super) fn pck_crl(
    authority: &Key,
    revoked: Option<&Key>,
    issued: u64,
    next_update: u64,
) -> Result<Vec<u8>, PkiError> {
    let revocation_time = time(issued)?;
    let revoked = revoked.map(|pck| RevokedCertParams {
        serial_number: SerialNumber::from(pck.identifier()),
        revocation_time,
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    });
    let above = params(authority, AUTHORITY, Some(0));
    crl(authority, &above, issued, next_update, revoked.into_iter().collect())
}

fn crl(
    key: &Key,
    params: &CertificateParams,
    issued: u64,
    next_update: u64,
    revoked_certs: Vec<RevokedCertParams>,
) -> Result<Vec<u8>, PkiError> {
    let list = CertificateRevocationListParams {
        this_update: time(issued)?,
        next_update: time(next_update)?,
        // Grows with each renewal, and fits the 32 bits that verifiers read.
        crl_number: SerialNumber::from((issued / 60).to_be_bytes()[4..].to_vec()),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::PreSpecified(key.identifier()),
    };
    Ok(list.signed_by(&Issuer::from_params(params, key))?.der().to_vec())
}

/// «Platform» is how verifiers tell this authority from the one for single processors.
const AUTHORITY: &str = "PCK Platform CA";

fn params(key: &Key, name: &str, authority: Option<u8>) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, format!("SIMULATED {name}"));
    subject.push(DnType::OrganizationName, WARNING);
    params.distinguished_name = subject;
    (params.not_before, params.not_after) = (date_time_ymd(2024, 1, 1), date_time_ymd(2049, 12, 31));
    params.serial_number = Some(SerialNumber::from(key.identifier()));
    params.key_identifier_method = KeyIdMethod::PreSpecified(key.identifier());
    params.use_authority_key_identifier_extension = true;
    (params.is_ca, params.key_usages) = match authority {
        Some(below) => (
            IsCa::Ca(BasicConstraints::Constrained(below)),
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign],
        ),
        None => (IsCa::ExplicitNoCa, vec![KeyUsagePurpose::DigitalSignature]),
    };
    params
}

pub(super) fn time(seconds: u64) -> Result<OffsetDateTime, PkiError> {
    let of = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    of.ok_or(PkiError::Time(seconds))
}
