//! AMD's word on a platform: the VCEK's certificate and the revocation list, as the KDS gives them.

use alloy_primitives::FixedBytes;
use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA384, UnparsedPublicKey};
use iexec_protocol::Timestamp;
use sev::certs::snp::{Verifiable as _, ca};
use x509_cert::{
    crl::CertificateList,
    der::{Decode as _, Encode as _},
};

use super::{SnpProduct, certificate::Endorsement, not_authentic, table};
use crate::{AttestationError, CollateralDates, MAX_COLLATERAL, SnpPolicy, SnpVersion};

/// Id of an AMD chip: 64 bytes, of which Turin uses the first 8.
pub type ChipId = FixedBytes<64>;

/// Which collateral speaks about a platform of AMD.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SnpId {
    /// Generations that it can be of, to be asked for in this order: an old report does not name its own.
    pub products: Vec<SnpProduct>,
    /// The chip.
    pub chip_id: FixedBytes<64>,
    /// The firmware that its key was derived from.
    pub reported: SnpVersion,
    /// Whether the evidence brings the VCEK itself.
    pub has_vcek: bool,
}

/// Collateral of SNP. Nothing in it is believed before a report is authenticated with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnpCollateral {
    vcek: Option<Vec<u8>>,
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
    /// `vcek`: the certificate in DER, or `None` if the evidence brings it. `revocations`: the list in DER
    /// (`/vcek/v1/{product}/crl` of the KDS).
    pub fn new(vcek: Option<Vec<u8>>, revocations: Option<&[u8]>) -> Result<Self, AttestationError> {
        let bytes = vcek.as_ref().map_or(0, Vec::len) + revocations.map_or(0, <[u8]>::len);
        if bytes > MAX_COLLATERAL {
            return Err(AttestationError::TooLarge { what: "collateral", bytes, maximum: MAX_COLLATERAL });
        }
        Ok(Self { vcek, revocations: revocations.map(Revocations::parse).transpose()? })
    }

    /// Whether what is there is signed under AMD's roots of `product`, whatever report it is for: for a cache, not for a
    /// decision.
    pub fn check_authentic(&self, product: SnpProduct) -> Result<(), AttestationError> {
        let unauthentic = |error: std::io::Error| not_authentic(error.to_string());
        let ca = product.authorities().map_err(unauthentic)?;
        if let Some(list) = &self.revocations {
            list.check(&ca)?;
        }
        if let Some(vcek) = &self.vcek {
            let vek = Endorsement::parse(vcek)?.certificate().clone();
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
        let vcek = self.vcek.as_deref().ok_or(AttestationError::CollateralMissing { what: "VCEK" })?;
        Endorsement::parse(vcek)?.check_chip(product, chip_id, version)
    }

    /// When what is there was issued and until when it holds, as it says itself: for a cache, not for a decision.
    pub fn validity(&self) -> Result<CollateralDates, AttestationError> {
        let mut dates = CollateralDates { issued: Timestamp::MAX, expires: Timestamp::MAX };
        if let Some(vcek) = &self.vcek {
            let vcek = Endorsement::parse(vcek)?;
            dates = CollateralDates { issued: vcek.valid_from(), expires: vcek.valid_until() };
        }
        if let Some(list) = &self.revocations {
            dates.issued = dates.issued.min(list.issued());
            dates.expires = dates.expires.min(list.expires());
        }
        Ok(dates)
    }

    /// VCEK and revocation list in DER, empty where there is none.
    pub fn to_parts(&self) -> (Vec<u8>, Vec<u8>) {
        let list = self.revocations.as_ref().and_then(|revocations| revocations.list.to_der().ok());
        (self.vcek.clone().unwrap_or_default(), list.unwrap_or_default())
    }

    /// Until when the revocation list holds, as it says itself: for a cache, not for a decision.
    pub fn expires(&self) -> Option<Timestamp> {
        self.revocations.as_ref().map(Revocations::expires)
    }

    pub(crate) fn vcek(&self, table: &[u8]) -> Result<Vec<u8>, AttestationError> {
        match &self.vcek {
            Some(vcek) => Ok(vcek.clone()),
            None => Ok(table::vcek(table)?.ok_or(AttestationError::CollateralMissing { what: "VCEK" })?.to_vec()),
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

    /// Whether AMD's root signed the list, and whether the signing key is not on it. VCEKs have no serial numbers of their
    /// own (AMD 57230), so that the signing key is what AMD can take back.
    pub(crate) fn check(&self, authorities: &ca::Chain) -> Result<(), AttestationError> {
        let root = x509_cert::Certificate::from(authorities.ark.clone()).tbs_certificate;
        let ask = x509_cert::Certificate::from(authorities.ask.clone()).tbs_certificate;
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
        let revoked = self.list.tbs_cert_list.revoked_certificates.iter().flatten();
        match revoked.into_iter().find(|entry| entry.serial_number == ask.serial_number) {
            Some(entry) => Err(AttestationError::Revoked { what: "ASK", serial: entry.serial_number.to_string() }),
            None => Ok(()),
        }
    }
}
