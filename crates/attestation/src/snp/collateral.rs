//! AMD's word on a platform: the certificate of the report's key and the revocation list, as the KDS gives them.

use alloy_primitives::FixedBytes;
use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA384, UnparsedPublicKey};
use iexec_protocol::Timestamp;
use sev::certs::snp::{Certificate, Verifiable as _, ca};
use x509_cert::{
    crl::CertificateList,
    der::{Decode as _, Encode as _},
};

use super::{SnpKey, SnpProduct, certificate::Endorsement, not_authentic, table};
use crate::{AttestationError, CollateralDates, MAX_COLLATERAL, SnpPolicy, SnpVersion};

/// Id of an AMD chip: 64 bytes, of which Turin uses the first 8.
pub type ChipId = FixedBytes<64>;

/// Which collateral speaks about a platform of AMD.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SnpId {
    /// Kind of the key that signed the report. AMD gives out VCEKs to anybody, VLEKs to their providers alone.
    pub key: SnpKey,
    /// Generations that it can be of, to be asked for in this order: an old report does not name its own.
    pub products: Vec<SnpProduct>,
    /// The chip.
    pub chip_id: FixedBytes<64>,
    /// The firmware that its key was derived from.
    pub reported: SnpVersion,
    /// Whether the evidence brings that key's certificate itself.
    pub has_certificate: bool,
}

/// Collateral of SNP. Nothing in it is believed before a report is authenticated with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnpCollateral {
    certificate: Option<Vec<u8>>,
    revocations: Option<Revocations>,
}

/// A revocation list of AMD's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocations {
    list: CertificateList,
    issued: Timestamp,
    expires: Timestamp,
}

impl SnpCollateral {
    /// `certificate`: of the report's key, a VCEK or VLEK, in DER; `None` if the evidence brings it. `revocations`: the
    /// list in DER (`/vcek/v1/{product}/crl` or `/vlek/v1/{product}/crl` of the KDS).
    pub fn new(certificate: Option<Vec<u8>>, revocations: Option<&[u8]>) -> Result<Self, AttestationError> {
        let bytes = certificate.as_ref().map_or(0, Vec::len) + revocations.map_or(0, <[u8]>::len);
        if bytes > MAX_COLLATERAL {
            return Err(AttestationError::TooLarge { what: "collateral", bytes, maximum: MAX_COLLATERAL });
        }
        Ok(Self { certificate, revocations: revocations.map(Revocations::parse).transpose()? })
    }

    /// Whether what is there, a VCEK or a list, is signed under AMD's roots of `product`, whatever report it is for and
    /// whatever the list names: for a cache, not for a decision.
    pub fn check_authentic(&self, product: SnpProduct) -> Result<(), AttestationError> {
        let unauthentic = |error: std::io::Error| not_authentic(error.to_string());
        let ca = product.authorities(SnpKey::Vcek).map_err(unauthentic)?;
        if let Some(list) = &self.revocations {
            list.check_signed(&ca.ark)?;
        }
        if let Some(vcek) = &self.certificate {
            let vek = Endorsement::parse(SnpKey::Vcek, vcek)?.certificate().clone();
            (&ca.ask, &vek).verify().map_err(unauthentic)?;
        }
        Ok(())
    }

    /// Whether the VCEK is this chip's, of this firmware, as it says itself: for a cache, not for a decision.
    pub fn check_vcek(
        &self,
        product: SnpProduct,
        chip_id: &FixedBytes<64>,
        version: SnpVersion,
    ) -> Result<(), AttestationError> {
        let vcek = self.certificate.as_deref().ok_or(AttestationError::CollateralMissing { what: "VCEK" })?;
        Endorsement::parse(SnpKey::Vcek, vcek)?.check_chip(product, chip_id, version)
    }

    /// When what is there was issued and until when it holds, as it says itself: for a cache, not for a decision.
    pub fn validity(&self) -> Result<CollateralDates, AttestationError> {
        let mut dates = CollateralDates { issued: Timestamp::MAX, expires: Timestamp::MAX };
        if let Some(certificate) = &self.certificate {
            let vek = Endorsement::parse(SnpKey::Vcek, certificate)?;
            dates = CollateralDates { issued: vek.valid_from(), expires: vek.valid_until() };
        }
        if let Some(list) = &self.revocations {
            dates.issued = dates.issued.min(list.issued());
            dates.expires = dates.expires.min(list.expires());
        }
        Ok(dates)
    }

    /// The key's certificate and the revocation list in DER, empty where there is none.
    pub fn to_parts(&self) -> (Vec<u8>, Vec<u8>) {
        let list = self.revocations.as_ref().and_then(|revocations| revocations.list.to_der().ok());
        (self.certificate.clone().unwrap_or_default(), list.unwrap_or_default())
    }

    /// Until when the revocation list holds, as it says itself: for a cache, not for a decision.
    pub fn expires(&self) -> Option<Timestamp> {
        self.revocations.as_ref().map(Revocations::expires)
    }

    /// The certificate of a key of this kind: ours, else the one that the evidence brings.
    pub(crate) fn certificate(&self, key: SnpKey, table: &[u8]) -> Result<Vec<u8>, AttestationError> {
        let missing = AttestationError::CollateralMissing { what: key.name() };
        match &self.certificate {
            Some(certificate) => Ok(certificate.clone()),
            None => Ok(table::certificate(table, key)?.ok_or(missing)?.to_vec()),
        }
    }

    pub(crate) fn revocations(&self) -> Option<&Revocations> {
        self.revocations.as_ref()
    }

    pub(crate) fn check_present(&self, policy: &SnpPolicy) -> Result<(), AttestationError> {
        if policy.require_revocation_list && self.revocations.is_none() {
            return Err(AttestationError::CollateralMissing { what: "revocation list" });
        }
        Ok(())
    }

    pub(crate) fn check_dates(&self, now: Timestamp) -> Result<(), AttestationError> {
        let Some(Revocations { issued, expires: expired, .. }) = self.revocations else { return Ok(()) };
        let what = "revocation list";
        if now < issued {
            return Err(AttestationError::CollateralFuture { what, issued, now });
        }
        if now >= expired { Err(AttestationError::CollateralExpired { what, expired, now }) } else { Ok(()) }
    }
}

impl Revocations {
    fn parse(der: &[u8]) -> Result<Self, AttestationError> {
        let malformed = |cause: String| AttestationError::CollateralMalformed { what: "revocation list", cause };
        let list = CertificateList::from_der(der).map_err(|error| malformed(error.to_string()))?;
        let dates = &list.tbs_cert_list;
        let expires = dates.next_update.ok_or_else(|| malformed("it states no next update".to_owned()))?;
        let (issued, expires) = (dates.this_update.to_unix_duration(), expires.to_unix_duration());
        Ok(Self { issued: issued.as_secs(), expires: expires.as_secs(), list })
    }

    pub(crate) fn issued(&self) -> Timestamp {
        self.issued
    }

    pub(crate) fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Whether AMD's root signed the list, and whether the signing key is not on it. VCEKs and VLEKs have no serial numbers
    /// of their own (AMD 57230), so that the signing key is what AMD can take back.
    pub(crate) fn check(&self, authorities: &ca::Chain, key: SnpKey) -> Result<(), AttestationError> {
        self.check_signed(&authorities.ark)?;
        let ask = x509_cert::Certificate::from(authorities.ask.clone()).tbs_certificate;
        let revoked = self.list.tbs_cert_list.revoked_certificates.iter().flatten();
        match revoked.into_iter().find(|entry| entry.serial_number == ask.serial_number) {
            Some(entry) => {
                Err(AttestationError::Revoked { what: key.authority(), serial: entry.serial_number.to_string() })
            }
            None => Ok(()),
        }
    }

    /// Whether AMD's root signed the list, whatever it says.
    fn check_signed(&self, root: &Certificate) -> Result<(), AttestationError> {
        let root = x509_cert::Certificate::from(root.clone()).tbs_certificate;
        let message = self.list.tbs_cert_list.to_der().map_err(|error| not_authentic(error.to_string()))?;
        let key = UnparsedPublicKey::new(
            &RSA_PSS_2048_8192_SHA384,
            root.subject_public_key_info.subject_public_key.raw_bytes(),
        );
        if self.list.tbs_cert_list.issuer != root.subject
            || key.verify(&message, self.list.signature.raw_bytes()).is_err()
        {
            return Err(not_authentic("the revocation list is not signed by AMD's root of this generation".to_owned()));
        }
        Ok(())
    }
}
