//! An attestation report (AMD 56860, table `ATTESTATION_REPORT`), parsed and not yet authentic.

use alloy_primitives::FixedBytes;
use iexec_protocol::evidence::Tee;
use sev::{
    Generation,
    firmware::{guest::AttestationReport, host::TcbVersion},
    parser::ByteParser as _,
};

use super::{SnpId, SnpProduct, table};
use crate::{AttestationError, SnpMeasurement, SnpTcb, SnpVersion};

/// Versions of the report that are read. Later ones may say things that must not be overlooked.
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=5;
/// ECDSA on P-384 with SHA-384.
const P384: u32 = 1;
/// `SIGNING_KEY`: the VCEK.
const VCEK: u32 = 0;
/// A signature's scalars are 48 bytes, little-endian, in fields of 72.
const SCALAR: usize = 48;

/// A parsed report.
pub(crate) struct SnpReport(AttestationReport);

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
        check_signature_form(&report).map_err(malformed)?;
        Ok(Self(report))
    }

    pub(crate) fn inner(&self) -> &AttestationReport {
        &self.0
    }

    /// Which collateral speaks about the platform. A report of version 2 does not say whether it is of Milan or Genoa.
    pub(crate) fn id(&self, certificates: &[u8]) -> SnpId {
        let report = &self.0;
        SnpId {
            products: SnpProduct::ALL.into_iter().filter(|product| self.check_product(*product).is_ok()).collect(),
            chip_id: FixedBytes(report.chip_id),
            reported: version(report.reported_tcb),
            has_vcek: table::vcek(certificates).is_ok_and(|vcek| vcek.is_some()),
        }
    }

    /// Whether the report can be of `product`: version 3 and later name the processor.
    pub(crate) fn check_product(&self, product: SnpProduct) -> Result<(), AttestationError> {
        let report = &self.0;
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
        let report = &self.0;
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
        FixedBytes(self.0.report_data)
    }

    /// The policy bit by which the host may look inside.
    pub(crate) fn debug(&self) -> Option<&'static str> {
        self.0.policy.debug_allowed().then_some("POLICY.DEBUG")
    }

    /// The sign that the host may move the guest.
    pub(crate) fn migratable(&self) -> Option<&'static str> {
        let agent = self.0.report_id_ma;
        if self.0.policy.migrate_ma_allowed() {
            return Some("POLICY.MIGRATE_MA");
        }
        (agent != [0; 32] && agent != [0xff; 32]).then_some("REPORT_ID_MA")
    }

    pub(crate) fn tcb(&self, product: SnpProduct) -> SnpTcb {
        let report = &self.0;
        SnpTcb {
            product,
            chip_id: FixedBytes(report.chip_id),
            reported: version(report.reported_tcb),
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

/// A VCEK signed it, in the one algorithm there is, and the scalars leave their fields' rest zero.
fn check_signature_form(report: &AttestationReport) -> Result<(), String> {
    let key = report.key_info.signing_key();
    if report.sig_algo != P384 {
        return Err(format!("its signature algorithm is {}; {P384}, ECDSA P-384, is read", report.sig_algo));
    }
    if key != VCEK || report.key_info.mask_chip_key() {
        return Err(format!("it is signed by key {key}; {VCEK}, an unmasked VCEK, is read"));
    }
    let rest = [report.signature.r(), report.signature.s()];
    if rest.iter().any(|scalar| scalar[SCALAR..].iter().any(|byte| *byte != 0)) {
        return Err("its signature is longer than 96 bytes".to_owned());
    }
    Ok(())
}
