//! Certificate of a VCEK or VLEK (AMD 57230): which chip or cloud provider, and which firmware, its key belongs to.

use alloy_primitives::FixedBytes;
use sev::certs::snp::Certificate;
use x509_cert::der::{Decode as _, asn1::OctetString, oid::ObjectIdentifier};

use super::{SnpKey, SnpProduct, SnpReport, SnpSigner};
use crate::{AttestationError, SnpVersion};

const PRODUCT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.2");
const BOOTLOADER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.1");
const TEE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.2");
const SNP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.3");
const MICROCODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.8");
const FMC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.9");
const CHIP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.4");
const PROVIDER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.5");

/// Bytes of a chip's id that count: Turin's is shorter, and zeros follow it in the report.
const TURIN_CHIP: usize = 8;
/// Longest name of a cloud provider, in bytes.
const MAX_PROVIDER: usize = 256;

/// A parsed certificate of a VCEK or VLEK, not believed before AMD's chain is verified.
pub(crate) struct Endorsement {
    key: SnpKey,
    certificate: Certificate,
    parsed: x509_cert::Certificate,
}

impl Endorsement {
    pub(crate) fn parse(key: SnpKey, der: &[u8]) -> Result<Self, AttestationError> {
        let malformed = |cause: String| malformed(key, cause);
        let parsed = x509_cert::Certificate::from_der(der).map_err(|error| malformed(error.to_string()))?;
        // RFC 5280, 4.1.1.2: the algorithm outside of what is signed is the one inside.
        if parsed.signature_algorithm != parsed.tbs_certificate.signature {
            return Err(malformed("it states two signature algorithms".to_owned()));
        }
        Ok(Self { key, certificate: parsed.clone().into(), parsed })
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
        let name = self.text(PRODUCT)?;
        let stem = name.split('-').next().unwrap_or_default();
        SnpProduct::ALL
            .into_iter()
            .find(|product| product.name() == stem)
            .ok_or_else(|| self.malformed(format_args!("it is of {name:?}, of which no root is built in")))
    }

    /// The cloud provider that AMD gave the key to. A VLEK names one and no chip.
    pub(crate) fn provider(&self) -> Result<String, AttestationError> {
        if self.all(CHIP).next().is_some() {
            return Err(self.malformed("it names a chip, as a VLEK does not"));
        }
        let name = self.text(PROVIDER)?;
        if name.is_empty() || name.len() > MAX_PROVIDER {
            let bytes = name.len();
            return Err(self.malformed(format_args!("its provider's name has {bytes} bytes, not 1 to {MAX_PROVIDER}")));
        }
        Ok(name.to_owned())
    }

    /// Whose key it is.
    pub(crate) fn signer(&self) -> Result<SnpSigner, AttestationError> {
        match self.key {
            SnpKey::Vcek => Ok(SnpSigner::Chip),
            SnpKey::Vlek => self.provider().map(SnpSigner::Provider),
        }
    }

    /// Whether its key is of the firmware that the report states, and of the report's chip or of some provider.
    pub(crate) fn check_platform(&self, report: &SnpReport, product: SnpProduct) -> Result<(), AttestationError> {
        match self.key {
            SnpKey::Vcek => self.check_chip(product, &report.chip_id(), report.reported()),
            SnpKey::Vlek => {
                self.provider()?;
                self.check_firmware(product, report.reported())
            }
        }
    }

    /// Whether its key is of this chip and of this firmware.
    pub(crate) fn check_chip(
        &self,
        product: SnpProduct,
        chip_id: &FixedBytes<64>,
        reported: SnpVersion,
    ) -> Result<(), AttestationError> {
        if self.all(PROVIDER).next().is_some() {
            return Err(self.malformed("it names a cloud provider, as a VCEK does not"));
        }
        let chip = self.extension(CHIP)?;
        let chip = OctetString::from_der(chip).map_or_else(|_| chip.to_vec(), |octets| octets.as_bytes().to_vec());
        let stated = chip_id.as_slice();
        let (known, rest) = stated.split_at(if product == SnpProduct::Turin { TURIN_CHIP } else { stated.len() });
        if chip != known || rest.iter().any(|byte| *byte != 0) {
            let (expected, found) = (const_hex::encode(stated), const_hex::encode(chip));
            return Err(AttestationError::CollateralPlatform { what: "chip", expected, found });
        }
        self.check_firmware(product, reported)
    }

    fn check_firmware(&self, product: SnpProduct, reported: SnpVersion) -> Result<(), AttestationError> {
        let certified = self.version(product)?;
        if certified == reported {
            return Ok(());
        }
        let (expected, found) = (reported.to_string(), certified.to_string());
        Err(AttestationError::CollateralPlatform { what: "firmware", expected, found })
    }

    fn version(&self, product: SnpProduct) -> Result<SnpVersion, AttestationError> {
        let number = |oid| u8::from_der(self.extension(oid)?).map_err(|error| self.malformed(error));
        Ok(SnpVersion {
            fmc: if product == SnpProduct::Turin { Some(number(FMC)?) } else { None },
            bootloader: number(BOOTLOADER)?,
            tee: number(TEE)?,
            snp: number(SNP)?,
            microcode: number(MICROCODE)?,
        })
    }

    /// The text (`IA5String`) of the one extension of this name.
    fn text(&self, oid: ObjectIdentifier) -> Result<&str, AttestationError> {
        let value = self.extension(oid)?;
        let text = x509_cert::der::asn1::Ia5StringRef::from_der(value).map_err(|error| self.malformed(error))?;
        Ok(text.as_str())
    }

    /// The value of the one extension of this name.
    fn extension(&self, oid: ObjectIdentifier) -> Result<&[u8], AttestationError> {
        let mut found = self.all(oid);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(self.malformed(format_args!("it has no extension {oid}"))),
            (Some(_), Some(_)) => Err(self.malformed(format_args!("it has extension {oid} twice"))),
        }
    }

    fn all(&self, oid: ObjectIdentifier) -> impl Iterator<Item = &[u8]> {
        let all = self.parsed.tbs_certificate.extensions.as_deref().unwrap_or_default();
        all.iter().filter(move |extension| extension.extn_id == oid).map(|extension| extension.extn_value.as_bytes())
    }

    fn malformed(&self, cause: impl std::fmt::Display) -> AttestationError {
        malformed(self.key, cause.to_string())
    }
}

fn malformed(key: SnpKey, cause: String) -> AttestationError {
    AttestationError::CollateralMalformed { what: key.name(), cause }
}
