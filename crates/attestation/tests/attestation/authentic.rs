//! What a cache may keep: collateral that is its vendor's by its own signatures, whatever quote it is for.

use iexec_attestation::{Collateral, CollateralId, DcapId, PckCa, SnpCollateral, SnpProduct, SnpVersion, needs};
use serde_json::Value;

use crate::known::{Recorded, sgx, tdx, tdx_15ex, tdx_outdated, vector};

fn json(recorded: &Recorded) -> Value {
    let Collateral::Dcap(collateral) = &recorded.collateral else { panic!() };
    serde_json::from_slice(&collateral.to_json()).unwrap()
}

fn id(recorded: &Recorded) -> DcapId {
    let CollateralId::Dcap(id) = needs(&recorded.evidence()).unwrap() else { panic!() };
    id
}

fn fault(json: &Value, id: DcapId) -> Option<String> {
    let read = iexec_attestation::DcapCollateral::from_json(&serde_json::to_vec(json).unwrap());
    read.and_then(|collateral| collateral.check_authentic(id)).err().map(|error| error.to_string())
}

#[test]
fn recorded_collateral_is_authentic_by_itself() {
    for recorded in [sgx(), tdx(), tdx_15ex(), tdx_outdated()] {
        assert_eq!(fault(&json(&recorded), id(&recorded)), None);
    }
    let vcek = SnpCollateral::new(Some(vector!("snp/vcek_milan.der").to_vec()), None).unwrap();
    vcek.check_authentic(SnpProduct::Milan).unwrap();
    let validity = vcek.validity().unwrap();
    assert!(validity.issued < validity.expires);
}

#[test]
fn collateral_that_is_signed_by_somebody_else_or_changed_is_not() {
    let good = json(&tdx());
    let other = json(&tdx_15ex());
    for (part, value, words) in [
        ("tcb_info", good["tcb_info"].as_str().unwrap().replacen("UpToDate", "uptodate", 1), "TCB info"),
        ("qe_identity", good["qe_identity"].as_str().unwrap().replacen("UpToDate", "uptodate", 1), "QE identity"),
        ("tcb_info_signature", "00".repeat(64), "TCB info"),
        ("qe_identity_signature", "00".to_owned(), "QE identity"),
        ("tcb_info_issuer_chain", String::new(), "TCB info"),
        ("qe_identity_issuer_chain", "-----BEGIN".to_owned(), "QE identity"),
        ("pck_crl", good["root_ca_crl"].as_str().unwrap().to_owned(), "PCK revocation list"),
        ("root_ca_crl", good["pck_crl"].as_str().unwrap().to_owned(), "root revocation list"),
    ] {
        let mut spoiled = good.clone();
        spoiled[part] = value.into();
        let found = fault(&spoiled, id(&tdx())).unwrap_or_else(|| panic!("{part} is taken"));
        assert!(found.starts_with(&format!("the collateral's {words} is malformed: ")), "{part}: {found}");
    }
    // Both are Intel's, but not each other's.
    let mut mixed = good.clone();
    mixed["tcb_info_signature"] = other["tcb_info_signature"].clone();
    assert!(fault(&mixed, id(&tdx())).unwrap().contains("it is not signed by"));
    let processor = DcapId { ca: PckCa::Processor, ..id(&tdx()) };
    assert!(fault(&good, processor).unwrap().contains("not of the processor authority"));
    assert!(fault(&good, id(&sgx())).unwrap().starts_with("the collateral is about"));
}

#[test]
fn an_endorsement_of_somebodys_own_making_or_of_another_chip_is_not_kept() {
    let own = SnpCollateral::new(Some(vector!("snp/self-made/milan/vcek.der").to_vec()), None).unwrap();
    assert!(own.check_authentic(SnpProduct::Milan).is_err());
    let list = SnpCollateral::new(None, Some(vector!("snp/self-made/milan/revoked-nobody.der"))).unwrap();
    assert!(list.check_authentic(SnpProduct::Milan).is_err());
    let vcek = SnpCollateral::new(Some(vector!("snp/vcek_milan.der").to_vec()), None).unwrap();
    assert!(vcek.check_authentic(SnpProduct::Genoa).is_err());
    let version = SnpVersion { fmc: None, bootloader: 3, tee: 0, snp: 8, microcode: 115 };
    let refused = vcek.check_vcek(SnpProduct::Milan, &[7; 64].into(), version).unwrap_err();
    assert_eq!(refused.check(), "collateral");
}
