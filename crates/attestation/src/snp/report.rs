//! An attestation report (AMD 56860, table `ATTESTATION_REPORT`), parsed and not yet authentic.

use alloy_primitives::FixedBytes;
use iexec_protocol::evidence::Tee;
use sev::{
    Generation,
    firmware::{guest::AttestationReport, host::TcbVersion},
    parser::ByteParser as _,
};

use super::{ChipId, SnpId, SnpKey, SnpProduct, SnpSigner, certificate::Endorsement, table};
use crate::{AttestationError, SnpMeasurement, SnpTcb, SnpVersion};

/// Versions of the report that are read. Later ones may say things that must not be overlooked.
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=5;
/// ECDSA on P-384 with SHA-384.
const P384: u32 = 1;
/// A signature's scalars are 48 bytes, little-endian, in fields of 72.
const SCALAR: usize = 48;

/// A parsed report.
pub(crate) struct SnpReport {
    report: AttestationReport,
    key: SnpKey,
}

impl SnpReport {
    /// Parses a report. That its parts say the same when they are written again shows that nothing was overlooked.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, AttestationError> {
        let malformed = |cause: String| AttestationError::Malformed { tee: Tee::Snp, cause };
        let version = bytes.first_chunk().map(|version| u32::from_le_bytes(*version)).unwrap_or_default();
        if !VERSIONS.contains(&version) {
            return Err(malformed(format!("it is of version {version}; 2 to 5 are read")));
        }
        let report = AttestationReport::from_bytes(bytes).map_err(|error| malformed(error.to_string()))?;
        let again = report.to_bytes().map_err(|error| malformed(error.to_string()))?;
        if again != bytes {
            return Err(malformed("reserved bytes are not zero".to_owned()));
        }
        let key = check_signature_form(&report).map_err(malformed)?;
        Ok(Self { report, key })
    }

    pub(crate) fn inner(&self) -> &AttestationReport {
        &self.report
    }

    /// Kind of the key that is to have signed it.
    pub(crate) fn key(&self) -> SnpKey {
        self.key
    }

    /// The chip; zero where the host masks it.
    pub(crate) fn chip_id(&self) -> ChipId {
        FixedBytes(self.report.chip_id)
    }

    /// The firmware that its key is of.
    pub(crate) fn reported(&self) -> SnpVersion {
        version(self.report.reported_tcb)
    }

    /// Which collateral speaks about the platform. A report of version 2 does not say whether it is of Milan or Genoa; its
    /// key's certificate does.
    pub(crate) fn id(&self, certificates: &[u8]) -> SnpId {
        let certificate = table::certificate(certificates, self.key).ok().flatten();
        let named = certificate.and_then(|der| Endorsement::parse(self.key, der).ok()?.product().ok());
        let can_be =
            |product: &SnpProduct| self.check_product(*product).is_ok() && named.is_none_or(|of| of == *product);
        SnpId {
            key: self.key,
            products: SnpProduct::ALL.into_iter().filter(can_be).collect(),
            chip_id: self.chip_id(),
            reported: self.reported(),
            has_certificate: certificate.is_some(),
        }
    }

    /// Whether the report can be of `product`: version 3 and later name the processor.
    pub(crate) fn check_product(&self, product: SnpProduct) -> Result<(), AttestationError> {
        let report = &self.report;
        let found = match (report.cpuid_fam_id, report.cpuid_mod_id) {
            (Some(family), Some(model)) => {
                let cause =
                    |error: std::io::Error| AttestationError::Malformed { tee: Tee::Snp, cause: error.to_string() };
                SnpProduct::of(Generation::identify_cpu(family, model).map_err(cause)?)
            }
            _ if report.reported_tcb.fmc.is_some() => Some(SnpProduct::Turin),
            _ if product == SnpProduct::Turin => Some(SnpProduct::Genoa),
            _ => Some(product),
        };
        if found == Some(product) {
            return Ok(());
        }
        let expected =
            found.map_or_else(|| "a generation without a built-in root".to_owned(), |found| found.to_string());
        Err(AttestationError::CollateralPlatform { what: "generation", expected, found: product.to_string() })
    }

    pub(crate) fn measurement(&self) -> SnpMeasurement {
        let report = &self.report;
        SnpMeasurement {
            measurement: FixedBytes(report.measurement),
            host_data: FixedBytes(report.host_data),
            id_key_digest: FixedBytes(report.id_key_digest),
            author_key_digest: FixedBytes(report.author_key_digest),
            guest_svn: report.guest_svn,
            vmpl: report.vmpl,
            policy: u64::from(report.policy),
        }
    }

    pub(crate) fn report_data(&self) -> FixedBytes<64> {
        FixedBytes(self.report.report_data)
    }

    /// The policy bit by which the host may look inside.
    pub(crate) fn debug(&self) -> Option<&'static str> {
        self.report.policy.debug_allowed().then_some("POLICY.DEBUG")
    }

    /// The sign that the host may move the guest.
    pub(crate) fn migratable(&self) -> Option<&'static str> {
        let agent = self.report.report_id_ma;
        if self.report.policy.migrate_ma_allowed() {
            return Some("POLICY.MIGRATE_MA");
        }
        (agent != [0; 32] && agent != [0xff; 32]).then_some("REPORT_ID_MA")
    }

    /// Its versions, with what its key's certificate says.
    pub(crate) fn tcb(&self, product: SnpProduct, signer: SnpSigner) -> SnpTcb {
        let report = &self.report;
        SnpTcb {
            product,
            signer,
            chip_id: self.chip_id(),
            reported: self.reported(),
            committed: version(report.committed_tcb),
            current: version(report.current_tcb),
            launch: version(report.launch_tcb),
        }
    }
}

fn version(tcb: TcbVersion) -> SnpVersion {
    let TcbVersion { fmc, bootloader, tee, snp, microcode } = tcb;
    SnpVersion { fmc, bootloader, tee, snp, microcode }
}

/// A VCEK or VLEK signed it, in the one algorithm there is, and the scalars leave their fields' rest zero.
fn check_signature_form(report: &AttestationReport) -> Result<SnpKey, String> {
    if report.sig_algo != P384 {
        return Err(format!("its signature algorithm is {}; {P384}, ECDSA P-384, is read", report.sig_algo));
    }
    let number = report.key_info.signing_key();
    let key = SnpKey::of_report(number).filter(|_| !report.key_info.mask_chip_key());
    let key =
        key.ok_or_else(|| format!("it is signed by key {number}; 0, a VCEK, and 1, a VLEK, unmasked, are read"))?;
    let rest = [report.signature.r(), report.signature.s()];
    if rest.iter().any(|scalar| scalar[SCALAR..].iter().any(|byte| *byte != 0)) {
        return Err("its signature is longer than 96 bytes".to_owned());
    }
    Ok(key)
}
