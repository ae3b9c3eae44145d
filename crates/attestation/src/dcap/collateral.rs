//! Intel's word on a platform: TCB info, QE identity, revocation lists and their issuers' chains.

use std::fmt;

use alloy_primitives::FixedBytes;
use dcap_qvl::QuoteCollateralV3;
use iexec_protocol::Timestamp;
use serde::Deserialize;
use x509_cert::{
    crl::CertificateList,
    der::{DateTime, Decode as _},
    time::Time,
};

use super::authentic;
use crate::{AttestationError, CollateralDates, MAX_COLLATERAL, anchors::INTEL_ROOT};

const TCB_INFO: &str = "TCB info";
const QE_IDENTITY: &str = "QE identity";
const ROOT_LIST: &str = "root revocation list";

/// Which authority certified a platform's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PckCa {
    /// Single-package platforms.
    Processor,
    /// Multi-package platforms.
    Platform,
}

impl PckCa {
    /// As in the addresses of Intel's PCS.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Processor => "processor",
            Self::Platform => "platform",
        }
    }
}

impl From<dcap_qvl::config::PckCa> for PckCa {
    fn from(ca: dcap_qvl::config::PckCa) -> Self {
        match ca {
            dcap_qvl::config::PckCa::Processor => Self::Processor,
            dcap_qvl::config::PckCa::Platform => Self::Platform,
        }
    }
}

/// Which collateral speaks about a platform of Intel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DcapId {
    /// Of SGX, else of TDX: TCB info and QE identity differ.
    pub sgx: bool,
    /// Family, model, stepping, platform and custom SKU.
    pub fmspc: FixedBytes<6>,
    /// Whose revocation list counts.
    pub ca: PckCa,
}

/// Collateral as Intel's PCS gives it (`QuoteCollateralV3` of Intel's DCAP library). Nothing in it is believed before a
/// quote is authenticated with it.
#[derive(Clone, PartialEq, Eq)]
pub struct DcapCollateral {
    inner: QuoteCollateralV3,
    tcb_info: Head,
    qe_identity: Head,
    dated: [Dated; 4],
}

/// The parts of [`DcapCollateral`] as a PCS or PCCS answers them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DcapParts {
    /// PEM: who signed the PCK revocation list.
    pub pck_crl_issuer_chain: String,
    /// DER: revocation list of the root.
    pub root_ca_crl: Vec<u8>,
    /// DER: revocation list of the PCK authority.
    pub pck_crl: Vec<u8>,
    /// PEM: who signed the TCB info.
    pub tcb_info_issuer_chain: String,
    /// JSON, exactly the bytes that were signed: the value of `tcbInfo`.
    pub tcb_info: String,
    /// 64 bytes, r ‖ s.
    pub tcb_info_signature: Vec<u8>,
    /// PEM: who signed the QE identity.
    pub qe_identity_issuer_chain: String,
    /// JSON, exactly the bytes that were signed: the value of `enclaveIdentity`.
    pub qe_identity: String,
    /// 64 bytes, r ‖ s.
    pub qe_identity_signature: Vec<u8>,
}

/// What is read of TCB info and QE identity before they are authentic: to refuse with a cause, never to accept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    id: String,
    issue_date: String,
    next_update: String,
    #[serde(default)]
    fmspc: String,
}

/// A statement that begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dated {
    what: &'static str,
    issued: Timestamp,
    expires: Timestamp,
}

impl DcapCollateral {
    /// Reads the JSON of a `QuoteCollateralV3`: texts, and bytes in hex. At most [`MAX_COLLATERAL`].
    pub fn from_json(json: &[u8]) -> Result<Self, AttestationError> {
        check_size(json.len())?;
        let inner = serde_json::from_slice(json).map_err(|error| malformed("JSON", error))?;
        Self::new(inner)
    }

    /// Puts the answers of a PCS together.
    pub fn from_parts(parts: DcapParts) -> Result<Self, AttestationError> {
        Self::new(QuoteCollateralV3 {
            pck_crl_issuer_chain: parts.pck_crl_issuer_chain,
            root_ca_crl: parts.root_ca_crl,
            pck_crl: parts.pck_crl,
            tcb_info_issuer_chain: parts.tcb_info_issuer_chain,
            tcb_info: parts.tcb_info,
            tcb_info_signature: parts.tcb_info_signature,
            qe_identity_issuer_chain: parts.qe_identity_issuer_chain,
            qe_identity: parts.qe_identity,
            qe_identity_signature: parts.qe_identity_signature,
            pck_certificate_chain: None,
        })
    }

    /// The form that [`Self::from_json`] reads.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.inner).unwrap_or_default()
    }

    /// When its oldest statement was issued and until when all of them hold, as they say themselves: for a cache, not for
    /// a decision.
    pub fn validity(&self) -> CollateralDates {
        self.dates(self.dated.iter().map(|dated| dated.expires).min().unwrap_or(0))
    }

    /// Whether it speaks about the platforms of `id` and every part of it is signed under Intel's root, whatever quote it
    /// is for: for a cache, not for a decision.
    pub fn check_authentic(&self, id: DcapId) -> Result<(), AttestationError> {
        self.check_platform(id)?;
        match authentic::fault(&self.inner, INTEL_ROOT, id.ca) {
            Some((what, cause)) => Err(malformed(what, cause)),
            None => Ok(()),
        }
    }

    fn new(mut inner: QuoteCollateralV3) -> Result<Self, AttestationError> {
        // The quote's own chain counts, so that collateral is of a kind of platform and not of one.
        inner.pck_certificate_chain = None;
        check_size(size(&inner))?;
        let tcb_info: Head = head(TCB_INFO, &inner.tcb_info)?;
        let qe_identity: Head = head(QE_IDENTITY, &inner.qe_identity)?;
        let dated = [
            tcb_info.dated(TCB_INFO)?,
            qe_identity.dated(QE_IDENTITY)?,
            list(ROOT_LIST, &inner.root_ca_crl)?,
            list("PCK revocation list", &inner.pck_crl)?,
        ];
        Ok(Self { inner, tcb_info, qe_identity, dated })
    }

    pub(crate) fn inner(&self) -> &QuoteCollateralV3 {
        &self.inner
    }

    /// Dates of collateral that a quote was authenticated with. The root's revocation list is issued once a year and has
    /// no part in its age.
    pub(crate) fn dates(&self, expires: Timestamp) -> CollateralDates {
        let often = self.dated.iter().filter(|dated| dated.what != ROOT_LIST);
        CollateralDates { issued: often.map(|dated| dated.issued).min().unwrap_or(0), expires }
    }

    /// Whether it speaks about this platform.
    pub(crate) fn check_platform(&self, id: DcapId) -> Result<(), AttestationError> {
        let kind = if id.sgx { ["SGX", "QE"] } else { ["TDX", "TD_QE"] };
        let about = |what, expected: String, found: &str| {
            if found.eq_ignore_ascii_case(&expected) {
                return Ok(());
            }
            Err(AttestationError::CollateralPlatform { what, expected, found: found.to_owned() })
        };
        about("TCB of", kind[0].to_owned(), &self.tcb_info.id)?;
        about("quoting enclave", kind[1].to_owned(), &self.qe_identity.id)?;
        about("FMSPC", const_hex::encode(id.fmspc), &self.tcb_info.fmspc)
    }

    /// Whether each of its statements holds at `now`.
    pub(crate) fn check_dates(&self, now: Timestamp) -> Result<(), AttestationError> {
        self.dated.iter().try_for_each(|dated| dated.check(now))
    }
}

impl Head {
    fn dated(&self, what: &'static str) -> Result<Dated, AttestationError> {
        let seconds = |text: &str| {
            text.parse::<DateTime>().map(|date| date.unix_duration().as_secs()).map_err(|error| malformed(what, error))
        };
        Ok(Dated { what, issued: seconds(&self.issue_date)?, expires: seconds(&self.next_update)? })
    }
}

impl Dated {
    fn check(&self, now: Timestamp) -> Result<(), AttestationError> {
        let Self { what, issued, expires: expired } = *self;
        if now < issued {
            return Err(AttestationError::CollateralFuture { what, issued, now });
        }
        if now >= expired {
            return Err(AttestationError::CollateralExpired { what, expired, now });
        }
        Ok(())
    }
}

impl fmt::Debug for DcapCollateral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DcapCollateral")
            .field("tcb_info", &self.tcb_info)
            .field("qe_identity", &self.qe_identity)
            .finish_non_exhaustive()
    }
}

fn head(what: &'static str, json: &str) -> Result<Head, AttestationError> {
    serde_json::from_str(json).map_err(|error| malformed(what, error))
}

/// A revocation list without an end is refused: it could be replayed for ever.
fn list(what: &'static str, der: &[u8]) -> Result<Dated, AttestationError> {
    let list = CertificateList::from_der(der).map_err(|error| malformed(what, error))?.tbs_cert_list;
    let expires = list.next_update.ok_or_else(|| malformed(what, "it states no next update"))?;
    let seconds = |time: Time| time.to_unix_duration().as_secs();
    Ok(Dated { what, issued: seconds(list.this_update), expires: seconds(expires) })
}

fn size(inner: &QuoteCollateralV3) -> usize {
    [&inner.pck_crl_issuer_chain, &inner.tcb_info_issuer_chain, &inner.tcb_info, &inner.qe_identity_issuer_chain]
        .map(String::len)
        .iter()
        .sum::<usize>()
        + inner.qe_identity.len()
        + [&inner.root_ca_crl, &inner.pck_crl, &inner.tcb_info_signature, &inner.qe_identity_signature]
            .map(Vec::len)
            .iter()
            .sum::<usize>()
}

fn check_size(bytes: usize) -> Result<(), AttestationError> {
    if bytes <= MAX_COLLATERAL {
        return Ok(());
    }
    Err(AttestationError::TooLarge { what: "collateral", bytes, maximum: MAX_COLLATERAL })
}

fn malformed(what: &'static str, cause: impl fmt::Display) -> AttestationError {
    AttestationError::CollateralMalformed { what, cause: cause.to_string() }
}
