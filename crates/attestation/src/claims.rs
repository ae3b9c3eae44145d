//! What a TEE vouched for, once its quote is authentic. Types only: what is good enough is the policy's part.

use std::fmt;

use alloy_primitives::{B256, FixedBytes};
use iexec_protocol::{Timestamp, evidence::Tee};

pub use dcap_qvl::TcbStatus;

use crate::snp::{SnpProduct, SnpSigner};

/// A SHA-384 digest: a measurement or a register.
pub type Digest384 = FixedBytes<48>;

/// Claims of an authentic quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who vouched.
    pub tee: Tee,
    /// The measured program.
    pub measurement: Measurement,
    /// 64 bytes that the program chose.
    pub report_data: FixedBytes<64>,
    /// Whether the host may look inside.
    pub debug: bool,
    /// Whether the host may move the enclave to another machine.
    pub migratable: bool,
    /// How well the platform is kept.
    pub tcb: TcbClaims,
    /// How old the word about the platform is.
    pub collateral: CollateralDates,
}

/// When the collateral was issued and until when it holds, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollateralDates {
    /// The oldest of the statements about the platform that are renewed each month: TCB info, QE identity and the PCK
    /// revocation list (DCAP); the revocation list if there is one, else the first day of the report's key (SNP).
    pub issued: Timestamp,
    /// The first of all dates, certificates' too, at which a part of it ends.
    pub expires: Timestamp,
}

impl CollateralDates {
    /// Seconds since it was issued; 0 if that is still to come.
    pub fn age(&self, now: Timestamp) -> u64 {
        now.saturating_sub(self.issued)
    }
}

/// What was measured, by kind of TEE.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "few live at a time, and a box would be in every pattern")]
pub enum Measurement {
    /// A TD of Intel TDX, or the simulation of one.
    Tdx(TdxMeasurement),
    /// A guest of AMD SEV-SNP.
    Snp(SnpMeasurement),
    /// An enclave of Intel SGX.
    Sgx(SgxMeasurement),
}

/// Measurements of a TD (Intel TDX module, TDINFO).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxMeasurement {
    /// Build-time measurement.
    pub mrtd: Digest384,
    /// Run-time registers 0 to 3.
    pub rtmr: [Digest384; 4],
    /// Configuration that the host named at launch.
    pub mr_config_id: Digest384,
    /// Owner that the host named at launch.
    pub mr_owner: Digest384,
    /// Owner's configuration that the host named at launch.
    pub mr_owner_config: Digest384,
    /// The TDX module.
    pub mr_seam: Digest384,
    /// TD attributes.
    pub attributes: FixedBytes<8>,
    /// Extended features.
    pub xfam: FixedBytes<8>,
}

/// Measurements of a guest (AMD 56860, `ATTESTATION_REPORT`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpMeasurement {
    /// Launch measurement.
    pub measurement: Digest384,
    /// Data that the host gave at launch.
    pub host_data: B256,
    /// Digest of the key that signed the guest's id block; zero without one.
    pub id_key_digest: Digest384,
    /// Digest of the key that certified the id key; zero without one.
    pub author_key_digest: Digest384,
    /// Security version of the guest, from its id block.
    pub guest_svn: u32,
    /// Privilege level that asked for the report: 0 is the highest.
    pub vmpl: u32,
    /// The guest's policy bits.
    pub policy: u64,
}

/// Measurements of an enclave (Intel SDM 3D, REPORT).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SgxMeasurement {
    /// The enclave's measurement.
    pub mrenclave: B256,
    /// Digest of its signer's key.
    pub mrsigner: B256,
    /// The signer's number of the product.
    pub product_id: u16,
    /// The signer's security version.
    pub svn: u16,
}

/// The platform's trusted computing base, as its vendor states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcbClaims {
    /// Intel (SGX, TDX), or the simulation.
    Dcap(DcapTcb),
    /// AMD SEV-SNP.
    Snp(SnpTcb),
}

/// Intel's verdict on a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DcapTcb {
    /// Platform, quoting enclave and TDX module together.
    pub status: TcbStatus,
    /// Advisories that apply to this platform, sorted.
    pub advisories: Vec<String>,
    /// Lower of the evaluation data numbers of TCB info and QE identity.
    pub evaluation_number: u32,
    /// Date of the platform's TCB level, in seconds since the Unix epoch.
    pub level_date: Timestamp,
    /// Family, model, stepping, platform and custom SKU.
    pub fmspc: FixedBytes<6>,
}

/// Versions of a platform's firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpTcb {
    /// Generation of the processor.
    pub product: SnpProduct,
    /// Whose key signed the report.
    pub signer: SnpSigner,
    /// The chip; zero where the host masks it.
    pub chip_id: FixedBytes<64>,
    /// Versions that the report's key was derived from: what AMD certified.
    pub reported: SnpVersion,
    /// Versions below which the host cannot go back.
    pub committed: SnpVersion,
    /// Versions that run now.
    pub current: SnpVersion,
    /// Versions at the guest's launch.
    pub launch: SnpVersion,
}

/// Security versions of an AMD platform's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SnpVersion {
    /// FMC firmware: Turin and later only.
    pub fmc: Option<u8>,
    /// PSP boot loader.
    pub bootloader: u8,
    /// PSP operating system.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Lowest microcode of all cores.
    pub microcode: u8,
}

impl SnpVersion {
    /// The first part that is below `floor`: its name, its version, the floor's.
    pub fn below(&self, floor: &Self) -> Option<(&'static str, u8, u8)> {
        [
            ("fmc", self.fmc.unwrap_or(0), floor.fmc.unwrap_or(0)),
            ("bootloader", self.bootloader, floor.bootloader),
            ("tee", self.tee, floor.tee),
            ("snp", self.snp, floor.snp),
            ("microcode", self.microcode, floor.microcode),
        ]
        .into_iter()
        .find(|(_, found, minimum)| found < minimum)
    }
}

impl fmt::Display for SnpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fmc) = self.fmc {
            write!(f, "fmc {fmc}, ")?;
        }
        let Self { bootloader, tee, snp, microcode, .. } = self;
        write!(f, "bootloader {bootloader}, tee {tee}, snp {snp}, microcode {microcode}")
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tdx(TdxMeasurement { mrtd, rtmr, .. }) => {
                write!(f, "mrtd {mrtd}")?;
                // A register that nothing was extended into, as all of a simulation's, says nothing.
                let mut used = rtmr[..3].iter().enumerate().filter(|(_, register)| !register.is_zero());
                used.try_for_each(|(number, register)| write!(f, ", rtmr{number} {register}"))
            }
            Self::Snp(SnpMeasurement { measurement, id_key_digest, author_key_digest, guest_svn, .. }) => write!(
                f,
                "measurement {measurement}, id key {id_key_digest}, author key {author_key_digest}, guest svn {guest_svn}"
            ),
            Self::Sgx(SgxMeasurement { mrenclave, mrsigner, product_id, svn }) => {
                write!(f, "mrenclave {mrenclave}, mrsigner {mrsigner}, product {product_id}, svn {svn}")
            }
        }
    }
}
