//! A VCEK's certificate (AMD 57230): which chip and which firmware its key belongs to.

use alloy_primitives::FixedBytes;
use sev::certs::snp::Certificate;
use x509_cert::der::{Decode as _, asn1::OctetString, oid::ObjectIdentifier};

use super::{SnpProduct, SnpReport};
use crate::{AttestationError, SnpVersion};

const PRODUCT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.2");
const BOOTLOADER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.1");
const TEE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.2");
const SNP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.3");
const MICROCODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.8");
const FMC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.9");
const CHIP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.4");

/// Bytes of a chip's id that count: Turin's is shorter, and zeros follow it in the report.
const TURIN_CHIP: usize = 8;

/// A parsed VCEK, not believed before AMD's chain is verified.
pub(crate) struct Endorsement {
    certificate: Certificate,
    parsed: x509_cert::Certificate,
}

impl Endorsement {
    pub(crate) fn parse(der: &[u8]) -> Result<Self, AttestationError> {
        let parsed = x509_cert::Certificate::from_der(der).map_err(malformed)?;
        // RFC 5280, 4.1.1.2: the algorithm outside of what is signed is the one inside.
        if parsed.signature_algorithm != parsed.tbs_certificate.signature {
            return Err(malformed("it states two signature algorithms"));
        }
        Ok(Self { certificate: parsed.clone().into(), parsed })
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(crate) fn valid_from(&self) -> u64 {
        self.parsed.tbs_certificate.validity.not_before.to_unix_duration().as_secs()
    }

    pub(crate) fn valid_until(&self) -> u64 {
        self.parsed.tbs_certificate.validity.not_after.to_unix_duration().as_secs()
    }

    /// The generation, by the certificate's `productName`: `Milan-B0`, `Genoa-B1`, `Turin`…
    pub(crate) fn product(&self) -> Result<SnpProduct, AttestationError> {
        let value = self.extension(PRODUCT)?;
        let name = x509_cert::der::asn1::Ia5StringRef::from_der(value).map_err(malformed)?;
        let stem = name.as_str().split('-').next().unwrap_or_default();
        SnpProduct::ALL
            .into_iter()
            .find(|product| product.name() == stem)
            .ok_or_else(|| malformed(format_args!("it is of {}, of which no root is built in", name.as_str())))
    }

    /// Whether its key is of the report's chip and of the firmware that the report states.
    pub(crate) fn check_platform(&self, report: &SnpReport, product: SnpProduct) -> Result<(), AttestationError> {
        let tcb = report.tcb(product);
        self.check_chip(product, &tcb.chip_id, tcb.reported)
    }

    /// Whether its key is of this chip and of this firmware.
    pub(crate) fn check_chip(
        &self,
        product: SnpProduct,
        chip_id: &FixedBytes<64>,
        reported: SnpVersion,
    ) -> Result<(), AttestationError> {
        let chip = self.extension(CHIP)?;
        let chip = OctetString::from_der(chip).map_or_else(|_| chip.to_vec(), |octets| octets.as_bytes().to_vec());
        let stated = chip_id.as_slice();
        let (known, rest) = stated.split_at(if product == SnpProduct::Turin { TURIN_CHIP } else { stated.len() });
        if chip != known || rest.iter().any(|byte| *byte != 0) {
            let (expected, found) = (const_hex::encode(stated), const_hex::encode(chip));
            return Err(AttestationError::CollateralPlatform { what: "chip", expected, found });
        }
        let certified = self.version(product)?;
        if certified == reported {
            return Ok(());
        }
        let (expected, found) = (reported.to_string(), certified.to_string());
        Err(AttestationError::CollateralPlatform { what: "firmware", expected, found })
    }

    fn version(&self, product: SnpProduct) -> Result<SnpVersion, AttestationError> {
        let number = |oid| u8::from_der(self.extension(oid)?).map_err(malformed);
        Ok(SnpVersion {
            fmc: if product == SnpProduct::Turin { Some(number(FMC)?) } else { None },
            bootloader: number(BOOTLOADER)?,
            tee: number(TEE)?,
            snp: number(SNP)?,
            microcode: number(MICROCODE)?,
        })
    }

    /// The value of the one extension of this name.
    fn extension(&self, oid: ObjectIdentifier) -> Result<&[u8], AttestationError> {
        let all = self.parsed.tbs_certificate.extensions.as_deref().unwrap_or_default();
        let mut found = all.iter().filter(|extension| extension.extn_id == oid);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.extn_value.as_bytes()),
            (None, _) => Err(malformed(format_args!("it has no extension {oid}"))),
            (Some(_), Some(_)) => Err(malformed(format_args!("it has extension {oid} twice"))),
        }
    }
}

fn malformed(cause: impl std::fmt::Display) -> AttestationError {
    AttestationError::CollateralMalformed { what: "VCEK", cause: cause.to_string() }
}
