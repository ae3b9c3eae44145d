//! A TDX quote, byte for byte: header, TD report, the attestation key's signature, the quoting enclave's report, the PCK
//! chain (Intel TDX DCAP Quoting Library API, appendix A.3 "Version 4 quote format"; numbers are little-endian).

use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use sha2::{Digest as _, Sha256, Sha384};

use crate::{Platform, WARNING};

/// Intel's quoting enclaves name themselves by this; verifiers refuse others.
const QE_VENDOR: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
const VERSION: u16 = 4;
const ECDSA_P256: u16 = 2;
const TEE_TDX: u32 = 0x81;
/// Certification data: the quoting enclave's report, and inside it a PCK chain in PEM.
const QE_REPORT_DATA: u16 = 6;
const PCK_CHAIN: u16 = 5;
/// x87, SSE, AVX, AVX-512, PKRU, CET, AMX.
const XFAM: u64 = 0x0006_02e7;

/// Versions of the simulated machine's parts; [`crate::pki`] says which of them are up to date.
pub(crate) mod svn {
    /// TDX module: its version (byte 1) 1 with SVN 5, and the late microcode's 2.
    pub(crate) const TEE_TCB: [u8; 16] = [5, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    #[cfg(feature = "pki")]
    pub(crate) const CPU: [u8; 16] = [2, 2, 2, 2, 3, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
    #[cfg(feature = "pki")]
    pub(crate) const PCE: u16 = 11;
    pub(crate) const QE: u16 = 4;
    pub(crate) const QE_PRODUCT: u16 = 2;
    /// Initialised and 64 bit; not debug.
    pub(crate) const QE_ATTRIBUTES: u8 = 0x11;
}

/// What a quote says of a trust domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Td {
    /// Measurement of what was loaded at launch.
    pub mrtd: [u8; 48],
    /// Run-time measurements, from zero on ([`Td::extend`]).
    pub rtmr: [[u8; 48]; 4],
    /// What the enclave binds.
    pub report_data: [u8; 64],
    /// `TD_ATTRIBUTES`.
    pub attributes: u64,
    /// `TEE_TCB_SVN`: version numbers of the TDX module.
    pub tee_tcb_svn: [u8; 16],
}

impl Td {
    /// `TD_ATTRIBUTES.DEBUG`: the host may look inside.
    pub const DEBUG: u64 = 1;
    /// `TD_ATTRIBUTES.SEPT_VE_DISABLE`: the host cannot make the guest take back pages; must be set.
    pub const SEPT_VE_DISABLE: u64 = 1 << 28;
    /// `TD_ATTRIBUTES.MIGRATABLE`.
    pub const MIGRATABLE: u64 = 1 << 29;

    /// A sound one, with run-time measurements of zero.
    pub fn new(mrtd: [u8; 48], report_data: [u8; 64]) -> Self {
        let (rtmr, attributes) = ([[0; 48]; 4], Self::SEPT_VE_DISABLE);
        Self { mrtd, rtmr, report_data, attributes, tee_tcb_svn: svn::TEE_TCB }
    }

    /// Extends a run-time measurement (0 to 3) as `TDG.MR.RTMR.EXTEND` does.
    #[must_use]
    pub fn extend(mut self, register: usize, digest: &[u8; 48]) -> Self {
        if let Some(value) = self.rtmr.get_mut(register) {
            *value = extended(value, digest);
        }
        self
    }

    fn report(&self) -> Vec<u8> {
        let [zero48, seam] = [[0; 48], measured(format!("TDX module, {WARNING}").as_bytes())];
        let parts: [&[u8]; 12] = [
            &self.tee_tcb_svn,
            &seam,
            // Of the module's signer: zero for Intel's own.
            &zero48,
            &[0; 8],
            &self.attributes.to_le_bytes(),
            &XFAM.to_le_bytes(),
            &self.mrtd,
            // MRCONFIGID, MROWNER, MROWNERCONFIG.
            &zero48,
            &zero48,
            &zero48,
            self.rtmr.as_flattened(),
            &self.report_data,
        ];
        parts.concat()
    }
}

/// What extending a run-time measurement makes of it: `SHA-384(register ‖ digest)`.
pub fn extended(register: &[u8; 48], digest: &[u8; 48]) -> [u8; 48] {
    measured(&[register.as_slice(), digest].concat())
}

/// SHA-384, TDX' measure of everything.
pub fn measured(bytes: &[u8]) -> [u8; 48] {
    Sha384::digest(bytes).into()
}

impl Platform {
    /// Signs a quote.
    pub fn quote(&self, td: &Td) -> Vec<u8> {
        let mut quote = header();
        quote.extend(td.report());
        let signature = sign(&self.attestation, &quote);
        let (key, authentication) = (public(&self.attestation), Sha256::digest(WARNING));
        let report = qe_report(&Sha256::digest([key.as_slice(), &authentication].concat()));

        let mut chain = self.chain.clone().into_bytes();
        // As Intel's quoting library ends it.
        chain.push(0);
        let mut certification = report.clone();
        certification.extend(sign(&self.pck, &report));
        certification.extend(length16(&authentication));
        certification.extend_from_slice(&authentication);
        certification.extend(PCK_CHAIN.to_le_bytes());
        certification.extend(length32(&chain));
        certification.extend(chain);

        let mut signed = signature.to_vec();
        signed.extend(key);
        signed.extend(QE_REPORT_DATA.to_le_bytes());
        signed.extend(length32(&certification));
        signed.extend(certification);
        quote.extend(length32(&signed));
        quote.extend(signed);
        quote
    }
}

fn header() -> Vec<u8> {
    let mut header = Vec::with_capacity(48);
    header.extend(VERSION.to_le_bytes());
    header.extend(ECDSA_P256.to_le_bytes());
    header.extend(TEE_TDX.to_le_bytes());
    header.extend([0; 4]);
    header.extend(QE_VENDOR);
    header.extend([0; 20]);
    header
}

/// The quoting enclave's own SGX report, 384 bytes; `bound` is of its attestation key.
fn qe_report(bound: &[u8]) -> Vec<u8> {
    let mut report = vec![0; 384];
    let mut put = |at: usize, bytes: &[u8]| report[at..at + bytes.len()].copy_from_slice(bytes);
    put(48, &[svn::QE_ATTRIBUTES]);
    put(64, &Sha256::digest(format!("TD quoting enclave, {WARNING}")));
    put(128, &qe_signer());
    put(256, &svn::QE_PRODUCT.to_le_bytes());
    put(258, &svn::QE.to_le_bytes());
    put(320, bound);
    report
}

/// `MRSIGNER` of the simulated quoting enclave.
pub(crate) fn qe_signer() -> [u8; 32] {
    Sha256::digest(format!("TD quoting enclave's signer, {WARNING}")).into()
}

/// `x ‖ y`.
fn public(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().to_encoded_point(false).as_bytes()[1..].to_vec()
}

/// `r ‖ s`.
pub(crate) fn sign(key: &SigningKey, message: &[u8]) -> [u8; 64] {
    let signature: Signature = key.sign(message);
    signature.to_bytes().into()
}

fn length16(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes()
}

fn length32(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_reports_have_the_sizes_of_the_format() {
        let td = Td::new([1; 48], [2; 64]);
        assert_eq!((header().len(), td.report().len(), qe_report(&[0; 32]).len()), (48, 584, 384));
    }

    #[test]
    fn a_register_is_the_hash_of_its_past_and_only_four_exist() {
        let td = Td::new([0; 48], [0; 64]);
        let once = td.clone().extend(3, &[7; 48]);
        assert_eq!(once.rtmr[3], measured(&[[0; 48], [7; 48]].concat()));
        assert_ne!(once.clone().extend(3, &[7; 48]).rtmr[3], once.rtmr[3]);
        assert_eq!(td.clone().extend(4, &[7; 48]), td);
    }
}
