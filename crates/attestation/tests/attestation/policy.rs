//! The policy on Intel's verdicts and programs, by real evidence.

use iexec_attestation::{Digest384, Policy, Register, SgxIdentity, TcbStatus, TrustAnchors};
use iexec_protocol::{B256, evidence::Tee};

use crate::known::{Recorded, SGX_SIGNER, lenient, sgx, tdx};

fn refused(recorded: &Recorded, change: impl FnOnce(&mut Policy)) -> Option<String> {
    let mut policy = lenient();
    change(&mut policy);
    recorded.appraise(&policy).err().map(|error| format!("{}: {error}", error.check()))
}

fn check(recorded: &Recorded, change: impl FnOnce(&mut Policy)) -> Option<String> {
    refused(recorded, change).map(|text| text.split(':').next().unwrap().to_owned())
}

#[test]
fn a_platform_that_needs_configuration_is_refused_although_the_library_calls_it_verified() {
    let refused = refused(&sgx(), |policy| policy.dcap.statuses = vec![TcbStatus::UpToDate]).unwrap();
    assert_eq!(
        refused,
        "tcb-status: the platform's TCB is ConfigurationAndSWHardeningNeeded (INTEL-SA-00289, INTEL-SA-00615); the policy accepts UpToDate"
    );
}

#[test]
fn a_rejected_advisory_is_refused_whatever_the_status() {
    let refused = refused(&sgx(), |policy| policy.dcap.rejected_advisories = vec!["intel-sa-00615".to_owned()]);
    assert_eq!(
        refused.unwrap(),
        "tcb-advisories: advisory INTEL-SA-00615 applies to the platform; the policy rejects it"
    );
    assert_eq!(check(&sgx(), |policy| policy.dcap.rejected_advisories = vec!["INTEL-SA-00001".to_owned()]), None);
}

#[test]
fn an_advisory_outside_of_the_allowed_ones_is_refused() {
    let allow = |ids: &[&str]| {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        refused(&sgx(), |policy| policy.dcap.allowed_advisories = Some(ids))
    };
    assert_eq!(allow(&["INTEL-SA-00289", "INTEL-SA-00615"]), None);
    assert!(allow(&["INTEL-SA-00289"]).unwrap().contains("INTEL-SA-00615 applies"));
    assert!(allow(&[]).unwrap().ends_with("the policy allows none"));
}

#[test]
fn a_rejected_advisory_is_refused_even_if_it_is_allowed() {
    let both = |policy: &mut Policy| {
        policy.dcap.allowed_advisories = Some(vec!["INTEL-SA-00289".to_owned(), "INTEL-SA-00615".to_owned()]);
        policy.dcap.rejected_advisories = vec!["INTEL-SA-00289".to_owned()];
    };
    assert_eq!(check(&sgx(), both).as_deref(), Some("tcb-advisories"));
}

#[test]
fn an_older_evaluation_than_the_policys_is_refused() {
    assert_eq!(check(&tdx(), |policy| policy.dcap.minimum_evaluation_number = Some(17)), None);
    let refused = refused(&tdx(), |policy| policy.dcap.minimum_evaluation_number = Some(18)).unwrap();
    assert_eq!(refused, "tcb-evaluation: the collateral is of TCB evaluation 17; the policy asks for 18");
}

#[test]
fn collateral_older_than_the_policys_is_refused_although_it_has_not_expired() {
    let issued = sgx().appraise(&lenient()).unwrap().collateral.issued;
    let age = sgx().now - issued;
    assert_eq!(check(&sgx(), |policy| policy.dcap.maximum_collateral_age = Some(age)), None);
    let refused = refused(&sgx(), |policy| policy.dcap.maximum_collateral_age = Some(age - 1)).unwrap();
    assert_eq!(
        refused,
        format!("collateral-age: the collateral was issued {age} s ago; the policy allows {} s", age - 1)
    );
}

#[test]
fn a_td_is_known_by_each_register_that_the_reference_states() {
    let wrong = Register::Is(Digest384::repeat_byte(7));
    assert_eq!(check(&tdx(), |policy| policy.references.tdx[0].mrtd = wrong).as_deref(), Some("reference"));
    for register in 0..3 {
        let change = |policy: &mut Policy| policy.references.tdx[0].rtmr[register] = wrong;
        assert_eq!(check(&tdx(), change).as_deref(), Some("reference"), "rtmr{register}");
    }
    let right = Register::Is(Digest384::from_slice(&tdx().quote[184..232]));
    assert_eq!(check(&tdx(), |policy| policy.references.tdx[0].mrtd = right), None);
}

#[test]
fn an_enclave_is_known_by_its_measurement_or_by_signer_product_and_version() {
    let signer = |mrsigner: B256, product_id, minimum_svn| SgxIdentity::Signer { mrsigner, product_id, minimum_svn };
    let ours: B256 = SGX_SIGNER.parse().unwrap();
    for (identity, passes) in [
        (signer(ours, 0, 0), true),
        (signer(B256::ZERO, 0, 0), false),
        (signer(ours, 1, 0), false),
        (signer(ours, 0, 1), false),
        (SgxIdentity::Enclave(ours), false),
    ] {
        let change = |policy: &mut Policy| {
            policy.references.sgx.truncate(1);
            policy.references.sgx[0].identity = identity.clone();
        };
        assert_eq!(check(&sgx(), change).as_deref(), (!passes).then_some("reference"), "{identity:?}");
    }
    assert_eq!(check(&sgx(), |policy| drop(policy.references.sgx.remove(0))), None);
}

#[test]
fn a_reference_value_of_one_tee_never_counts_for_another() {
    let only_tdx = |policy: &mut Policy| policy.references.sgx.clear();
    assert_eq!(check(&sgx(), only_tdx).as_deref(), Some("reference"));
    assert_eq!(check(&tdx(), |policy| policy.references.tdx.clear()).as_deref(), Some("reference"));
}

#[test]
fn a_tee_that_the_policy_does_not_name_is_refused() {
    assert_eq!(check(&sgx(), |policy| policy.tees = vec![Tee::Tdx, Tee::Snp]).as_deref(), Some("tee"));
    assert_eq!(check(&tdx(), |policy| policy.tees.clear()).as_deref(), Some("tee"));
}

#[test]
fn an_anchor_for_the_simulation_is_a_certificate_and_not_intels() {
    let anchor = |der: &[u8]| TrustAnchors::hardware().insecure_with_simulated(der.to_vec());
    let intel = include_bytes!("../../src/anchors/intel-sgx-root-ca.der");
    for (der, cause) in
        [(b"".as_slice(), ""), (b"-----BEGIN", ""), (&[0; 9000], "9000 bytes"), (intel, "Intel's own root")]
    {
        let refused = anchor(der).unwrap_err();
        assert_eq!(refused.check(), "anchor");
        assert!(refused.to_string().contains(cause), "{refused}");
    }
    assert!(anchor(crate::simulated::PKI.root_der()).is_ok());
}
