//! Collateral: what a verifier must know of a platform besides its quote, signed by the PKI. As JSON it is what
//! `dcap-qvl` reads (`QuoteCollateralV3`: bytes are hex).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::{FMSPC, Pki, PkiError, certificates, certificates::Key, derived};
use crate::quote::{qe_signer, sign, svn};

/// When a platform's versions were judged, whatever the judgement.
const TCB_DATE: &str = "2024-01-01T00:00:00Z";
const EVALUATION: u32 = 17;

/// Certificate chains, revocation lists, TCB info and the quoting enclave's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collateral {
    /// PEM.
    pub pck_crl_issuer_chain: String,
    /// DER.
    #[serde(with = "hex")]
    pub root_ca_crl: Vec<u8>,
    /// DER.
    #[serde(with = "hex")]
    pub pck_crl: Vec<u8>,
    /// PEM.
    pub tcb_info_issuer_chain: String,
    /// JSON text, as signed.
    pub tcb_info: String,
    /// `r ‖ s`.
    #[serde(with = "hex")]
    pub tcb_info_signature: Vec<u8>,
    /// PEM.
    pub qe_identity_issuer_chain: String,
    /// JSON text, as signed.
    pub qe_identity: String,
    /// `r ‖ s`.
    #[serde(with = "hex")]
    pub qe_identity_signature: Vec<u8>,
}

/// What collateral states. [`Terms::sound`] is what a sound network has; tests change single fields of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Issue date of everything, in seconds since the Unix epoch.
    pub issued: u64,
    /// When everything expires.
    pub next_update: u64,
    /// The kind of machine that it is for.
    pub fmspc: [u8; 6],
    /// Judgement of the platform's microcode and firmware.
    pub platform: TcbStatus,
    /// Judgement of the TDX module: up to date, out of date or revoked.
    pub module: TcbStatus,
    /// Judgement of the quoting enclave.
    pub quoting_enclave: TcbStatus,
    /// Names of advisories for the platform, as `INTEL-SA-00289`.
    pub advisories: Vec<String>,
    /// The number that grows with each of the vendor's evaluations.
    pub evaluation: u32,
    /// The machine's certificate is on the revocation list.
    pub revoked: bool,
}

/// The vendor's judgement of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the vendor's words")]
pub enum TcbStatus {
    UpToDate,
    SWHardeningNeeded,
    ConfigurationNeeded,
    ConfigurationAndSWHardeningNeeded,
    OutOfDate,
    OutOfDateConfigurationNeeded,
    Revoked,
}

impl Terms {
    /// Everything up to date.
    pub fn sound(issued: u64, next_update: u64) -> Self {
        Self {
            issued,
            next_update,
            fmspc: FMSPC,
            platform: TcbStatus::UpToDate,
            module: TcbStatus::UpToDate,
            quoting_enclave: TcbStatus::UpToDate,
            advisories: Vec::new(),
            evaluation: EVALUATION,
            revoked: false,
        }
    }

    fn tcb_info(&self) -> Result<String, PkiError> {
        let components = |svns: [u8; 16]| svns.map(|svn| json!({ "svn": svn }));
        let module = |id: &str| json!({ "id": id, "mrsigner": "0".repeat(96), "attributes": "0".repeat(16), "attributesMask": "F".repeat(16) });
        let mut identity = module("TDX_01");
        identity["tcbLevels"] = json!([level(&json!({ "isvsvn": svn::TEE_TCB[0] }), self.module, &[])]);
        let mut base = module("");
        if let Some(base) = base.as_object_mut() {
            base.remove("id");
        }
        let tcb = json!({
            "sgxtcbcomponents": components(svn::CPU), "pcesvn": svn::PCE, "tdxtcbcomponents": components(svn::TEE_TCB),
        });
        let mut info = json!({
            "id": "TDX",
            "version": 3,
            "fmspc": const_hex::encode_upper(self.fmspc),
            "pceId": "0000",
            "tcbType": 0,
            "tdxModule": base,
            "tdxModuleIdentities": [identity],
            "tcbLevels": [level(&tcb, self.platform, &self.advisories)],
        });
        self.date(&mut info)?;
        Ok(info.to_string())
    }

    fn qe_identity(&self) -> Result<String, PkiError> {
        let tcb = json!({ "isvsvn": svn::QE });
        let mut identity = json!({
            "id": "TD_QE",
            "version": 2,
            "miscselect": "00000000",
            "miscselectMask": "FFFFFFFF",
            "attributes": format!("{:02X}{}", svn::QE_ATTRIBUTES, "0".repeat(30)),
            "attributesMask": format!("FB{}{}", "F".repeat(14), "0".repeat(16)),
            "mrsigner": const_hex::encode_upper(qe_signer()),
            "isvprodid": svn::QE_PRODUCT,
            "tcbLevels": [level(&tcb, self.quoting_enclave, &[])],
        });
        self.date(&mut identity)?;
        Ok(identity.to_string())
    }

    fn date(&self, document: &mut Value) -> Result<(), PkiError> {
        document["issueDate"] = text(self.issued)?.into();
        document["nextUpdate"] = text(self.next_update)?.into();
        document["tcbEvaluationDataNumber"] = self.evaluation.into();
        Ok(())
    }
}

impl Pki {
    /// Issues collateral for the PKI's machine.
    pub fn collateral(&self, terms: &Terms) -> Result<Collateral, PkiError> {
        let pck = Key::new(derived(&self.secret, "PCK"));
        let revoked = terms.revoked.then_some(&pck);
        let (tcb_info, qe_identity) = (terms.tcb_info()?, terms.qe_identity()?);
        let signed = |text: &str| sign(self.tcb_signer.inner(), text.as_bytes()).to_vec();
        Ok(Collateral {
            pck_crl_issuer_chain: self.chains.pck_authority.clone(),
            root_ca_crl: certificates::root_crl(&self.root, terms.issued, terms.next_update)?,
            pck_crl: certificates::pck_crl(&self.pck_authority, revoked, terms.issued, terms.next_update)?,
            tcb_info_issuer_chain: self.chains.tcb_signer.clone(),
            tcb_info_signature: signed(&tcb_info),
            tcb_info,
            qe_identity_issuer_chain: self.chains.tcb_signer.clone(),
            qe_identity_signature: signed(&qe_identity),
            qe_identity,
        })
    }
}

fn level(tcb: &Value, status: TcbStatus, advisories: &[String]) -> Value {
    let mut level = json!({ "tcb": tcb, "tcbDate": TCB_DATE, "tcbStatus": status });
    if !advisories.is_empty() {
        level["advisoryIDs"] = json!(advisories);
    }
    level
}

fn text(seconds: u64) -> Result<String, PkiError> {
    certificates::time(seconds)?.format(&Rfc3339).map_err(|_| PkiError::Time(seconds))
}

/// Bytes as hex without `0x`, as verifiers' libraries write them.
mod hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&const_hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        const_hex::decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
