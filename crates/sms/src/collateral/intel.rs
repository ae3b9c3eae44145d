//! Intel's Provisioning Certification Service, API version 4, or a PCCS that caches it: four statements about a kind of
//! platform, each with the chain of who signed it.

use iexec_attestation::{DcapCollateral, DcapId, DcapParts};
use iexec_service::Client;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    CollateralUrls,
    fetch::{Answer, FetchError, get},
};

/// The value as it was signed, byte for byte, and the signature.
#[derive(Deserialize)]
struct Signed<'a> {
    #[serde(borrow, alias = "tcbInfo", alias = "enclaveIdentity")]
    value: &'a RawValue,
    signature: String,
}

/// Fetches all of it, as the JSON of a `QuoteCollateralV3`.
pub(super) async fn fetch(client: &Client, urls: &CollateralUrls, id: DcapId) -> Result<Vec<u8>, FetchError> {
    let base = origin(&urls.pccs);
    let tee = if id.sgx { "sgx" } else { "tdx" };
    let fmspc = const_hex::encode(id.fmspc);
    let tcb = format!("/{tee}/certification/v4/tcb?fmspc={fmspc}");
    let identity = format!("/{tee}/certification/v4/qe/identity");
    let list = format!("/sgx/certification/v4/pckcrl?ca={}&encoding=der", id.ca.name());
    let (tcb, identity, list, root_ca_crl) = tokio::try_join!(
        get(client, base, &tcb),
        get(client, base, &identity),
        get(client, base, &list),
        root_list(client, base, &urls.root_list),
    )?;
    let (tcb_info, tcb_info_signature) = signed(&tcb)?;
    let (qe_identity, qe_identity_signature) = signed(&identity)?;
    let parts = DcapParts {
        tcb_info_issuer_chain: tcb.chain(&["tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain"])?,
        qe_identity_issuer_chain: identity.chain(&["sgx-enclave-identity-issuer-chain"])?,
        pck_crl_issuer_chain: list.chain(&["sgx-pck-crl-issuer-chain"])?,
        pck_crl: der(&list)?,
        root_ca_crl,
        tcb_info,
        tcb_info_signature,
        qe_identity,
        qe_identity_signature,
    };
    DcapCollateral::from_parts(parts)
        .map(|collateral| collateral.to_json())
        .map_err(|error| FetchError::Useless(format!("{base}: {error}")))
}

/// Operators of a PCCS write its address with the path of one API.
fn origin(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    ["/sgx/certification/v4", "/tdx/certification/v4"].iter().find_map(|path| url.strip_suffix(path)).unwrap_or(url)
}

/// A PCCS serves the root's list beside the others; Intel publishes it elsewhere.
async fn root_list(client: &Client, base: &str, published: &str) -> Result<Vec<u8>, FetchError> {
    if base != super::INTEL_PCS {
        match get(client, base, "/sgx/certification/v4/rootcacrl").await {
            Ok(answer) => return der(&answer),
            Err(FetchError::Absent(_)) => (),
            Err(error) => return Err(error),
        }
    }
    der(&get(client, published, "").await?)
}

/// A revocation list: DER, or the same in hex, as a PCCS answers.
fn der(answer: &Answer) -> Result<Vec<u8>, FetchError> {
    if answer.body.first() == Some(&0x30) && answer.body.get(1).is_some_and(|length| *length >= 0x80) {
        return Ok(answer.body.clone());
    }
    let text = std::str::from_utf8(&answer.body).ok().map(str::trim);
    let bytes = text.and_then(|text| const_hex::decode(text).ok());
    bytes.ok_or_else(|| answer.useless("is no revocation list"))
}

fn signed(answer: &Answer) -> Result<(String, Vec<u8>), FetchError> {
    let Signed { value, signature } =
        serde_json::from_slice(&answer.body).map_err(|error| answer.useless(format_args!("is malformed: {error}")))?;
    let signature = const_hex::decode(&signature).map_err(|_| answer.useless("has a signature that is no hex"))?;
    Ok((value.get().to_owned(), signature))
}
