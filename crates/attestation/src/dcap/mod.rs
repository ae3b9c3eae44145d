//! Intel SGX and TDX, and the simulation of TDX, by `dcap-qvl`: a quote's signatures, the platform's certificates and
//! Intel's word on it. Simulated or not is a matter of the root alone.

mod authentic;
mod collateral;
mod crypto;
mod quote;
mod verified;

pub use collateral::{DcapCollateral, DcapId, DcapParts, PckCa};
pub(crate) use quote::DcapQuote;

use alloy_primitives::FixedBytes;
use dcap_qvl::{QuoteClaims, QuotePolicy, verify::QuoteVerifier};
use iexec_protocol::{Timestamp, evidence::Tee};

use crate::{AttestationError, Claims, DcapTcb, TcbClaims};

/// Authenticates a quote under `root`: TCB info, QE identity, PCK chain and revocation lists lead to the root and hold
/// at `now`; the quoting enclave is Intel's and signed the quote; the platform has a TCB level and is not revoked.
///
/// `dcap-qvl` refuses debug, profiling and migration a second time. Its own policy is not used: [`crate::Policy`] is.
pub(crate) fn authenticate(
    tee: Tee,
    bytes: &[u8],
    quote: &DcapQuote,
    collateral: &DcapCollateral,
    root: &[u8],
    now: Timestamp,
) -> Result<Claims, AttestationError> {
    let claims = QuoteVerifier::<crypto::AwsLc>::new_with_config(root.to_vec())
        .verify_with_policy(bytes, collateral.inner(), now, &QuotePolicy::claims_only(now))
        .map_err(|error| AttestationError::NotAuthentic { tee, cause: format!("{error:#}") })?;
    Ok(Claims {
        tee,
        measurement: quote.measurement(),
        report_data: quote.report_data(),
        debug: quote.debug().is_some(),
        migratable: quote.migratable().is_some(),
        tcb: TcbClaims::Dcap(tcb(&claims)),
        collateral: collateral.dates(claims.earliest_expiration_date),
    })
}

fn tcb(claims: &QuoteClaims) -> DcapTcb {
    let current = claims.platform.current_tcb_level.iter().flat_map(|level| &level.advisory_ids);
    let mut advisories: Vec<String> = claims.tcb.advisory_ids.iter().chain(current).cloned().collect();
    advisories.sort();
    advisories.dedup();
    DcapTcb {
        status: claims.tcb.status,
        advisories,
        evaluation_number: claims.tcb.eval_data_number,
        level_date: claims.platform.tcb_date_tag,
        fmspc: FixedBytes(claims.platform.pck.fmspc),
    }
}
