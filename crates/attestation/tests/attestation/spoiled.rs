//! Collateral that was tampered with, mixed, or that ended.

use iexec_attestation::{AttestationError, Collateral, DcapCollateral, MAX_COLLATERAL};
use serde_json::Value;

use crate::{
    known::{Recorded, lenient, tdx, tdx_15ex, tdx_outdated, vector},
    simulated,
};

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn real() -> Value {
    json(vector!("dcap/tdx_quote_collateral.json"))
}

/// The recorded TDX quote with its collateral changed.
fn with(change: impl FnOnce(&mut Value)) -> Result<(), AttestationError> {
    let mut value = real();
    change(&mut value);
    let collateral = Collateral::Dcap(DcapCollateral::from_json(&serde_json::to_vec(&value).unwrap())?);
    Recorded { collateral, ..tdx() }.appraise(&lenient()).map(drop)
}

fn refused(change: impl FnOnce(&mut Value)) -> &'static str {
    with(change).unwrap_err().check()
}

fn replaced(field: &str, from: &str, to: &str) -> &'static str {
    refused(|value| {
        let text = value[field].as_str().unwrap();
        assert!(text.contains(from), "{field} has no {from}");
        value[field] = text.replacen(from, to, 1).into();
    })
}

#[test]
fn collateral_as_it_was_recorded_passes() {
    assert_eq!(with(|_| ()), Ok(()));
}

#[test]
fn tcb_info_with_a_better_verdict_is_refused() {
    assert_eq!(replaced("tcb_info", "OutOfDate", "UpToDate"), "authenticity");
}

#[test]
fn tcb_info_with_another_evaluation_number_is_refused() {
    assert_eq!(
        replaced("tcb_info", "\"tcbEvaluationDataNumber\":17", "\"tcbEvaluationDataNumber\":18"),
        "authenticity"
    );
}

#[test]
fn tcb_info_with_a_longer_life_is_refused() {
    assert_eq!(replaced("tcb_info", "2025-07-19", "2035-07-19"), "authenticity");
}

#[test]
fn tcb_info_with_white_space_is_refused() {
    assert_eq!(replaced("tcb_info", "{", "{ "), "authenticity");
}

#[test]
fn tcb_info_for_another_platform_is_refused() {
    assert_eq!(replaced("tcb_info", "B0C06F000000", "B0C06F000001"), "collateral");
}

#[test]
fn qe_identity_for_another_signer_is_refused() {
    assert_eq!(replaced("qe_identity", "\"isvprodid\":2", "\"isvprodid\":1"), "authenticity");
}

#[test]
fn qe_identity_with_a_longer_life_is_refused() {
    assert_eq!(replaced("qe_identity", "2025-07-19", "2035-07-19"), "authenticity");
}

#[test]
fn qe_identity_of_sgx_is_refused_for_tdx() {
    let sgx = json(vector!("dcap/sgx_quote_collateral.json"));
    let change = |value: &mut Value| {
        for field in ["qe_identity", "qe_identity_signature", "qe_identity_issuer_chain"] {
            value[field] = sgx[field].clone();
        }
    };
    assert_eq!(refused(change), "collateral");
}

#[test]
fn tcb_info_of_sgx_is_refused_for_tdx() {
    let sgx = json(vector!("dcap/sgx_quote_collateral.json"));
    let change = |value: &mut Value| {
        for field in ["tcb_info", "tcb_info_signature", "tcb_info_issuer_chain"] {
            value[field] = sgx[field].clone();
        }
    };
    assert_eq!(refused(change), "collateral");
}

#[test]
fn swapped_signatures_are_refused() {
    let change = |value: &mut Value| {
        let (tcb, qe) = (value["tcb_info_signature"].take(), value["qe_identity_signature"].take());
        (value["tcb_info_signature"], value["qe_identity_signature"]) = (qe, tcb);
    };
    assert_eq!(refused(change), "authenticity");
}

#[test]
fn a_short_signature_is_refused() {
    assert_eq!(refused(|value| value["tcb_info_signature"] = "00".into()), "authenticity");
    assert_eq!(refused(|value| value["qe_identity_signature"] = "".into()), "authenticity");
}

#[test]
fn swapped_revocation_lists_are_refused() {
    let change = |value: &mut Value| {
        let (root, pck) = (value["root_ca_crl"].take(), value["pck_crl"].take());
        (value["root_ca_crl"], value["pck_crl"]) = (pck, root);
    };
    assert_eq!(refused(change), "authenticity");
}

#[test]
fn the_revocation_list_of_another_authority_is_refused() {
    let sgx = json(vector!("dcap/sgx_quote_collateral.json"));
    assert_eq!(refused(|value| value["pck_crl"] = sgx["pck_crl"].clone()), "authenticity");
}

#[test]
fn a_revocation_list_that_was_changed_is_refused() {
    for field in ["root_ca_crl", "pck_crl"] {
        let change = |value: &mut Value| {
            let mut text = value[field].as_str().unwrap().to_owned();
            let last = text.pop().unwrap();
            text.push(if last == '0' { '1' } else { '0' });
            value[field] = text.into();
        };
        assert_eq!(refused(change), "authenticity", "{field}");
    }
}

#[test]
fn a_revocation_list_of_another_month_is_refused() {
    let later = json(vector!("dcap/tdx_quote_outdated_collateral.json"));
    assert_eq!(refused(|value| value["pck_crl"] = later["pck_crl"].clone()), "collateral-dates");
    let earlier = Recorded { collateral: tdx().collateral, ..tdx_outdated() };
    assert_eq!(earlier.refused(), Some("collateral"));
}

#[test]
fn an_empty_issuer_chain_is_refused() {
    for field in ["tcb_info_issuer_chain", "qe_identity_issuer_chain"] {
        assert_eq!(refused(|value| value[field] = "".into()), "authenticity", "{field}");
    }
}

#[test]
fn an_issuer_chain_of_a_foreign_root_is_refused() {
    let foreign = simulated::PKI.collateral(&simulated::terms()).unwrap();
    for field in ["tcb_info_issuer_chain", "qe_identity_issuer_chain"] {
        let change = |value: &mut Value| value[field] = foreign.tcb_info_issuer_chain.clone().into();
        assert_eq!(refused(change), "authenticity", "{field}");
    }
}

#[test]
fn a_pck_chain_beside_the_quotes_own_has_no_effect() {
    let other = json(vector!("dcap/tdx_quote_td15ex_collateral.json"));
    assert_eq!(with(|value| value["pck_certificate_chain"] = other["pck_certificate_chain"].clone()), Ok(()));
    assert_eq!(tdx_15ex().refused(), None);
}

#[test]
fn collateral_that_is_no_collateral_is_refused_by_part() {
    for (field, what) in [("tcb_info", "TCB info"), ("qe_identity", "QE identity")] {
        for text in ["", "{}", "[]", "{\"id\":\"TDX\",\"issueDate\":\"soon\",\"nextUpdate\":\"later\"}"] {
            let refused = with(|value| value[field] = text.into()).unwrap_err();
            assert_eq!(refused.check(), "collateral");
            assert!(refused.to_string().contains(what), "{refused}");
        }
    }
    for (field, what) in [("root_ca_crl", "root revocation list"), ("pck_crl", "PCK revocation list")] {
        for text in ["", "00", "3000"] {
            let refused = with(|value| value[field] = text.into()).unwrap_err();
            assert_eq!(refused.check(), "collateral");
            assert!(refused.to_string().contains(what), "{refused}");
        }
    }
}

#[test]
fn collateral_is_bounded_and_hostile_bytes_never_panic() {
    let long = DcapCollateral::from_json(&vec![b' '; MAX_COLLATERAL + 1]).unwrap_err();
    assert_eq!(long.to_string(), "collateral of 524289 bytes; at most 524288 are read");
    let good = vector!("dcap/sgx_quote_collateral.json");
    for end in (0..good.len()).step_by(97) {
        assert_eq!(DcapCollateral::from_json(&good[..end]).unwrap_err().check(), "collateral");
    }
}

/// Every byte of collateral that counts: whatever still parses proves nothing, or says the same.
#[test]
fn no_byte_of_collateral_can_be_changed_with_effect() {
    let good = vector!("dcap/tdx_quote_collateral.json");
    let sound = tdx().appraise(&lenient()).unwrap();
    for place in (0..good.len()).step_by(3) {
        let mut bytes = good.to_vec();
        bytes[place] ^= 1;
        let Ok(collateral) = DcapCollateral::from_json(&bytes) else { continue };
        if let Ok(claims) = (Recorded { collateral: Collateral::Dcap(collateral), ..tdx() }).appraise(&lenient()) {
            assert_eq!(claims, sound, "byte {place} changes what is claimed");
        }
    }
}
