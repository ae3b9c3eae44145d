//! A DCAP quote (Intel SGX DCAP, quote formats 3, 4 and 5), parsed and not yet authentic.

use alloy_primitives::FixedBytes;
use dcap_qvl::{
    config::{ParsedCert as _, X509Codec as _},
    intel::{extract_cert_chain, parse_pck_extension_with},
    quote::{AuthData, EnclaveReport, Quote, Report, TDReport10},
    x509::X509CertBackend,
};
use iexec_protocol::evidence::Tee;

use super::{DcapId, PckCa, crypto::AwsLc};
use crate::{AttestationError, Measurement, SgxMeasurement, TdxMeasurement};

/// Certification data that is a chain of certificates in PEM (DCAP quote format, table of certification data types).
const PCK_CHAIN: u16 = 5;
/// Certification data that names the platform, encrypted to Intel, under RSA-2048 or RSA-3072 (spec "What is not verified").
const ENCRYPTED_PPID: [u16; 2] = [2, 3];
/// Certification data that is the quoting enclave's report, its signature and a [`PCK_CHAIN`] (version 4 and 5).
const QE_REPORT_DATA: u16 = 6;
/// Sizes in bytes: the quote's signature and the attestation key.
const KEYS: usize = 64 + 64;
/// Of a certification's type and length.
const TYPE_AND_LENGTH: usize = 2 + 4;
/// Of the quoting enclave's report, its signature, the length of the authentication data, and the chain's type and length.
const QE_REPORT: usize = 384 + 64 + 2 + TYPE_AND_LENGTH;
/// Most certificates in a chain.
const MAX_CHAIN: usize = 8;

/// Bit 1 of an enclave's attributes (Intel SDM 3D, ATTRIBUTES.DEBUG).
const SGX_DEBUG: u8 = 1 << 1;
/// Bits 0 and 4 to 6 of a TD's attributes (Intel TDX module ABI, `TD_ATTRIBUTES`: DEBUG, and the profiling bits).
const TD_DEBUG: u64 = 1;
const TD_PROFILING: u64 = 0b111 << 4;
/// Bit 29: MIGRATABLE.
const TD_MIGRATABLE: u64 = 1 << 29;

/// A parsed quote, with the chain of its platform.
pub(crate) struct DcapQuote {
    quote: Quote,
    fmspc: [u8; 6],
    ca: PckCa,
}

impl DcapQuote {
    /// Parses a quote that must be of `tee`. Bytes behind it must be zero: some platforms pad.
    pub(crate) fn parse(tee: Tee, bytes: &[u8]) -> Result<Self, AttestationError> {
        let malformed = |cause: String| AttestationError::Malformed { tee, cause };
        let quote = Quote::parse(bytes).map_err(|error| malformed(format!("{error:#}")))?;
        check_form(&quote, bytes).map_err(malformed)?;
        let (wanted, found) = (tee == Tee::Sgx, quote.report.is_sgx());
        if wanted != found || found != quote.header.is_sgx() {
            return Err(malformed(format!("its report is of {}", if found { "an sgx enclave" } else { "a tdx TD" })));
        }
        let (fmspc, ca) = platform(&quote).map_err(malformed)?;
        Ok(Self { quote, fmspc, ca })
    }

    /// Which collateral speaks about the platform.
    pub(crate) fn id(&self) -> DcapId {
        DcapId { sgx: self.quote.report.is_sgx(), fmspc: FixedBytes(self.fmspc), ca: self.ca }
    }

    pub(crate) fn measurement(&self) -> Measurement {
        match &self.quote.report {
            Report::SgxEnclave(report) => Measurement::Sgx(sgx(report)),
            Report::TD10(report) => Measurement::Tdx(tdx(report)),
            Report::TD15(report) => Measurement::Tdx(tdx(&report.base)),
            Report::TD15Ex(report) => Measurement::Tdx(tdx(&report.base.base)),
        }
    }

    pub(crate) fn report_data(&self) -> FixedBytes<64> {
        FixedBytes(match &self.quote.report {
            Report::SgxEnclave(report) => report.report_data,
            Report::TD10(report) => report.report_data,
            Report::TD15(report) => report.base.report_data,
            Report::TD15Ex(report) => report.base.base.report_data,
        })
    }

    /// The attribute by which the host may look inside.
    pub(crate) fn debug(&self) -> Option<&'static str> {
        match (&self.quote.report, self.td_attributes()) {
            (Report::SgxEnclave(report), _) => (report.attributes[0] & SGX_DEBUG != 0).then_some("ATTRIBUTES.DEBUG"),
            (_, attributes) if attributes & TD_DEBUG != 0 => Some("TD_ATTRIBUTES.DEBUG"),
            (_, attributes) if attributes & TD_PROFILING != 0 => Some("TD_ATTRIBUTES, profiling"),
            _ => None,
        }
    }

    /// The attribute by which the host may move the enclave.
    pub(crate) fn migratable(&self) -> Option<&'static str> {
        (self.td_attributes() & TD_MIGRATABLE != 0).then_some("TD_ATTRIBUTES.MIGRATABLE")
    }

    /// 0 for an enclave.
    fn td_attributes(&self) -> u64 {
        self.quote.report.as_td10().map_or(0, |report| u64::from_le_bytes(report.td_attributes))
    }
}

/// The parts fill the lengths that are stated, and what follows is zero: nothing lies where nobody looks.
fn check_form(quote: &Quote, bytes: &[u8]) -> Result<(), String> {
    let signed = quote.signed_length();
    let length = bytes.get(signed..signed + 4).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes);
    let length = length.and_then(|length| usize::try_from(length).ok()).ok_or("it is cut off")?;
    let parts = match &quote.auth_data {
        AuthData::V3(data) => KEYS + QE_REPORT + data.qe_auth_data.data.len() + data.certification_data.body.data.len(),
        AuthData::V4(data) => {
            let (outer, inner) = (&data.certification_data, &data.qe_report_data);
            if outer.cert_type != QE_REPORT_DATA {
                return Err(format!(
                    "its signature is certified by data of type {}, not {QE_REPORT_DATA}",
                    outer.cert_type
                ));
            }
            let parts = QE_REPORT + inner.qe_auth_data.data.len() + inner.certification_data.body.data.len();
            if parts != outer.body.data.len() {
                return Err(format!("its certification data has {} bytes, its parts {parts}", outer.body.data.len()));
            }
            KEYS + TYPE_AND_LENGTH + parts
        }
    };
    if parts != length {
        return Err(format!("its signature data has {length} bytes, its parts {parts}"));
    }
    let rest = bytes.get(signed + 4 + length..).ok_or("it is cut off")?;
    if rest.iter().all(|byte| *byte == 0) {
        Ok(())
    } else {
        Err(format!("{} bytes behind it are not zero", rest.len()))
    }
}

/// The platform that the quote's own chain is about.
fn platform(quote: &Quote) -> Result<([u8; 6], PckCa), String> {
    let kind = quote.inner_cert_type();
    if kind != PCK_CHAIN {
        let what = if ENCRYPTED_PPID.contains(&kind) { ", an encrypted PPID" } else { "" };
        return Err(format!(
            "its certification data is of type {kind}{what}; {PCK_CHAIN}, the PCK chain, is read: a platform's quoting \
             library brings it once its configuration names a PCCS"
        ));
    }
    let chain = extract_cert_chain(quote).map_err(|error| format!("its PCK chain: {error:#}"))?;
    if chain.len() > MAX_CHAIN {
        return Err(format!("its PCK chain has {} certificates; at most {MAX_CHAIN} are read", chain.len()));
    }
    let leaf = chain.first().ok_or("its PCK chain is empty")?;
    let refused = |error| format!("its PCK certificate: {error:#}");
    let extension = parse_pck_extension_with::<AwsLc>(leaf).map_err(refused)?;
    let ca = X509CertBackend::from_der(leaf).map_err(refused)?.pck_ca();
    Ok((extension.fmspc, ca.ok_or("its PCK certificate is of no PCK authority")?.into()))
}

fn tdx(report: &TDReport10) -> TdxMeasurement {
    TdxMeasurement {
        mrtd: FixedBytes(report.mr_td),
        rtmr: [report.rt_mr0, report.rt_mr1, report.rt_mr2, report.rt_mr3].map(FixedBytes),
        mr_config_id: FixedBytes(report.mr_config_id),
        mr_owner: FixedBytes(report.mr_owner),
        mr_owner_config: FixedBytes(report.mr_owner_config),
        mr_seam: FixedBytes(report.mr_seam),
        attributes: FixedBytes(report.td_attributes),
        xfam: FixedBytes(report.xfam),
    }
}

fn sgx(report: &EnclaveReport) -> SgxMeasurement {
    SgxMeasurement {
        mrenclave: FixedBytes(report.mr_enclave),
        mrsigner: FixedBytes(report.mr_signer),
        product_id: report.isv_prod_id,
        svn: report.isv_svn,
    }
}
