//! SEV-SNP by its public face: the policy's floors, foreign chains, collateral that is none.

use iexec_attestation::{
    AttestationError, Collateral, Digest384, Policy, Register, SnpCollateral, SnpPolicy, SnpProduct, SnpReference,
    SnpVersion,
};

use crate::known::{Recorded, lenient, milan, vector};

/// What the recorded report states for each of its four TCBs.
const FLOOR: SnpVersion = SnpVersion { fmc: None, bootloader: 3, tee: 0, snp: 8, microcode: 115 };

fn with_floor(floors: Vec<(SnpProduct, SnpVersion)>) -> Policy {
    Policy { snp: SnpPolicy { floors, ..lenient().snp }, ..lenient() }
}

fn with_reference(reference: SnpReference) -> Policy {
    let mut policy = lenient();
    policy.references.snp = vec![reference];
    policy
}

fn with_vcek(vcek: &[u8]) -> Recorded {
    Recorded { collateral: Collateral::Snp(SnpCollateral::new(Some(vcek.to_vec()), None).unwrap()), ..milan() }
}

#[test]
fn firmware_at_the_floor_passes_and_below_it_is_refused_part_by_part() {
    assert!(milan().appraise(&with_floor(vec![(SnpProduct::Milan, FLOOR)])).is_ok());
    for (floor, part) in [
        (SnpVersion { bootloader: 4, ..FLOOR }, "bootloader is of version 3; the policy asks for 4"),
        (SnpVersion { tee: 1, ..FLOOR }, "tee is of version 0; the policy asks for 1"),
        (SnpVersion { snp: 9, ..FLOOR }, "snp is of version 8; the policy asks for 9"),
        (SnpVersion { microcode: 116, ..FLOOR }, "microcode is of version 115; the policy asks for 116"),
        (SnpVersion { fmc: Some(1), ..FLOOR }, "fmc is of version 0; the policy asks for 1"),
    ] {
        let refused = milan().appraise(&with_floor(vec![(SnpProduct::Milan, floor)])).unwrap_err();
        assert_eq!(
            (refused.check(), refused.to_string()),
            ("tcb-floor", format!("the Milan platform's reported {part}"))
        );
    }
}

#[test]
fn a_generation_without_a_floor_is_refused() {
    let refused =
        milan().appraise(&with_floor(vec![(SnpProduct::Genoa, FLOOR), (SnpProduct::Turin, FLOOR)])).unwrap_err();
    assert_eq!(refused.to_string(), "the platform is of Milan; the policy has floors for Genoa, Turin");
    assert_eq!(milan().appraise(&with_floor(vec![])).unwrap_err().check(), "tcb-floor");
}

#[test]
fn a_guest_is_known_by_its_measurement_keys_and_version() {
    let any = lenient().references.snp[0].clone();
    for (reference, passes) in [
        (SnpReference { measurement: Register::Is(Digest384::ZERO), ..any.clone() }, false),
        (SnpReference { id_key_digest: Some(Digest384::ZERO), ..any.clone() }, true),
        (SnpReference { id_key_digest: Some(Digest384::repeat_byte(1)), ..any.clone() }, false),
        (SnpReference { author_key_digest: Some(Digest384::repeat_byte(1)), ..any.clone() }, false),
        (SnpReference { minimum_svn: 1, ..any }, false),
    ] {
        let decided = milan().appraise(&with_reference(reference.clone()));
        assert_eq!(decided.map_err(|error| error.check()).err(), (!passes).then_some("reference"), "{reference}");
    }
}

#[test]
fn the_key_of_another_chip_is_refused() {
    assert_eq!(with_vcek(vector!("snp/vcek_turin.der")).refused(), Some("collateral"));
}

#[test]
fn a_chain_of_somebodys_own_making_is_refused() {
    assert_eq!(with_vcek(vector!("snp/self-made/milan/vcek.der")).refused(), Some("authenticity"));
}

#[test]
fn a_certificate_that_is_no_endorsement_is_refused() {
    for bytes in
        [b"".as_slice(), b"\x30\x00", vector!("snp/self-made/milan/ark.der"), &vector!("snp/vcek_milan.der")[1..]]
    {
        assert_eq!(with_vcek(bytes).refused(), Some("collateral"));
    }
}

#[test]
fn no_byte_of_the_endorsement_can_be_changed_with_effect() {
    let good = vector!("snp/vcek_milan.der");
    for place in (0..good.len()).step_by(5) {
        let mut changed = good.to_vec();
        changed[place] ^= 1;
        assert!(with_vcek(&changed).refused().is_some(), "byte {place}");
    }
}

#[test]
fn a_policy_that_asks_for_a_revocation_list_refuses_to_go_without() {
    let mut policy = lenient();
    policy.snp.require_revocation_list = true;
    let refused = milan().appraise(&policy).unwrap_err();
    assert_eq!(refused, AttestationError::CollateralMissing { what: "revocation list" });
}

#[test]
fn a_revocation_list_that_is_there_is_always_obeyed() {
    let list = vector!("snp/self-made/milan/revoked-nobody.der");
    let vcek = vector!("snp/vcek_milan.der").to_vec();
    let collateral = Collateral::Snp(SnpCollateral::new(Some(vcek.clone()), Some(list)).unwrap());
    assert_eq!((Recorded { collateral, ..milan() }).refused(), Some("authenticity"));
    assert_eq!(SnpCollateral::new(Some(vcek), Some(b"no list")).unwrap_err().check(), "collateral");
}

#[test]
fn collateral_is_bounded() {
    let long = SnpCollateral::new(Some(vec![0; iexec_attestation::MAX_COLLATERAL + 1]), None).unwrap_err();
    assert_eq!(long.check(), "size");
}

#[test]
fn collateral_may_not_be_older_than_the_policy_says() {
    let mut policy = lenient();
    policy.snp.maximum_collateral_age = Some(86_400);
    assert_eq!(milan().appraise(&policy).unwrap_err().check(), "collateral-age");
}
