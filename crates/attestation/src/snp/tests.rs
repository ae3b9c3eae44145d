//! Reports that a VCEK or VLEK really signed, under chains like AMD's whose keys are at hand
//! (`vectors/attestation/snp/self-made`): what no recorded report can show.

mod vlek;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair},
};

use super::*;

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/attestation/snp/", $name)).as_slice()
    };
}
use vector;

const NOW: Timestamp = 1_751_000_000;
/// Turin's first stepping, by family and model.
const TURIN: [u8; 2] = [0x1a, 0x02];

/// A report with its fields changed, signed again by the chip's key.
fn report(change: impl FnOnce(&mut [u8])) -> SnpReport {
    signed(vector!("self-made/vcek.pk8"), change)
}

fn signed(key: &[u8], change: impl FnOnce(&mut [u8])) -> SnpReport {
    let hex = std::str::from_utf8(vector!("report_milan.hex")).unwrap();
    let mut bytes = const_hex::decode(hex.trim()).unwrap();
    change(&mut bytes);
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, key).unwrap();
    let signature = key.sign(&SystemRandom::new(), &bytes[..0x2a0]).unwrap();
    let (r, s) = signature.as_ref().split_at(48);
    for (at, scalar) in [(0x2a0, r), (0x2e8, s)] {
        let scalar: Vec<u8> = scalar.iter().rev().copied().collect();
        bytes[at..at + 48].copy_from_slice(&scalar);
    }
    SnpReport::parse(&bytes).unwrap()
}

fn turin(change: impl FnOnce(&mut [u8])) -> SnpReport {
    report(|bytes| {
        make_turin(bytes);
        change(bytes);
    })
}

/// Version 3 of a Turin platform: bytes of the TCB are fmc, bootloader, tee, snp, …, microcode.
fn make_turin(bytes: &mut [u8]) {
    bytes[0] = 3;
    bytes[0x188..0x18a].copy_from_slice(&TURIN);
    bytes[0x1a8..0x1e0].fill(0);
    for at in [0x38, 0x180, 0x1e0, 0x1f0] {
        bytes[at..at + 8].copy_from_slice(&[1, 2, 3, 4, 0, 0, 0, 200]);
    }
}

fn self_made(product: SnpProduct, key: SnpKey) -> std::io::Result<ca::Chain> {
    let (ark, ask) = match (product, key) {
        (SnpProduct::Milan, SnpKey::Vcek) => (vector!("self-made/milan/ark.der"), vector!("self-made/milan/ask.der")),
        (SnpProduct::Milan, SnpKey::Vlek) => (vector!("self-made/milan/ark.der"), vector!("self-made/milan/asvk.der")),
        (_, SnpKey::Vcek) => (vector!("self-made/turin/ark.der"), vector!("self-made/turin/ask.der")),
        (_, SnpKey::Vlek) => (vector!("self-made/turin/ark.der"), vector!("self-made/turin/asvk.der")),
    };
    ca::Chain::from_der(ark, ask)
}

fn collateral(certificate: &[u8], revocations: Option<&[u8]>) -> SnpCollateral {
    SnpCollateral::new(Some(certificate.to_vec()), revocations).unwrap()
}

fn milan() -> SnpCollateral {
    collateral(vector!("self-made/milan/vcek.der"), None)
}

fn decide(report: &SnpReport, collateral: &SnpCollateral) -> Result<Claims, AttestationError> {
    authenticate_under(self_made, report, &[], collateral, NOW)
}

fn refused(report: &SnpReport, collateral: &SnpCollateral) -> String {
    decide(report, collateral).unwrap_err().to_string()
}

#[test]
fn a_report_of_the_chips_own_key_passes() {
    assert_eq!(decide(&report(|_| ()), &milan()).unwrap().tee, Tee::Snp);
}

#[test]
fn a_report_of_turin_passes_with_its_shorter_chip_id_and_its_fmc() {
    let claims = decide(&turin(|_| ()), &collateral(vector!("self-made/turin/vcek.der"), None)).unwrap();
    let TcbClaims::Snp(tcb) = claims.tcb else { panic!() };
    assert_eq!(tcb.product, SnpProduct::Turin);
    assert_eq!(tcb.reported.to_string(), "fmc 1, bootloader 2, tee 3, snp 4, microcode 200");
}

#[test]
fn the_same_chain_proves_nothing_under_amds_roots() {
    let refused = authenticate(&report(|_| ()), &[], &milan(), NOW).unwrap_err();
    assert_eq!(refused.check(), "authenticity");
    let table = SnpCollateral::table_of(SnpKey::Vcek, vector!("self-made/milan/vcek.der"));
    let refused = authenticate(&report(|_| ()), &table, &SnpCollateral::default(), NOW).unwrap_err();
    assert_eq!(refused.check(), "authenticity");
}

#[test]
fn a_report_of_another_chip_than_the_keys_is_refused() {
    let refused = refused(&report(|bytes| bytes[0x1a0] ^= 1), &milan());
    assert!(refused.starts_with("the collateral is about chip d49554ec"), "{refused}");
    assert!(refused.contains("the quote is of d59554ec"), "{refused}");
}

#[test]
fn a_report_of_other_firmware_than_the_keys_is_refused() {
    for (at, part) in [(0x180, "bootloader 4"), (0x181, "tee 1"), (0x186, "snp 9"), (0x187, "microcode 116")] {
        let change = |bytes: &mut [u8]| bytes[at] += 1;
        let refused = refused(&report(change), &milan());
        assert!(refused.contains("about firmware") && refused.contains(part), "{refused}");
    }
}

#[test]
fn turins_fmc_and_chip_are_compared_too() {
    let vcek = collateral(vector!("self-made/turin/vcek.der"), None);
    assert!(refused(&turin(|bytes| bytes[0x180] = 2), &vcek).contains("about firmware"));
    assert!(refused(&turin(|bytes| bytes[0x1a0] ^= 1), &vcek).contains("about chip"));
    // Bytes behind the chip id would be another chip.
    assert!(refused(&turin(|bytes| bytes[0x1df] = 1), &vcek).contains("about chip"));
}

#[test]
fn a_report_of_one_generation_is_not_verified_with_the_key_of_another() {
    let turins = collateral(vector!("self-made/turin/vcek.der"), None);
    assert_eq!(refused(&report(|_| ()), &turins), "the collateral is about generation Turin; the quote is of Genoa");
    assert_eq!(refused(&turin(|_| ()), &milan()), "the collateral is about generation Milan; the quote is of Turin");
    let genoa = |bytes: &mut [u8]| {
        bytes[0] = 3;
        bytes[0x188..0x18a].copy_from_slice(&[0x19, 0x11]);
    };
    assert_eq!(refused(&report(genoa), &milan()), "the collateral is about generation Milan; the quote is of Genoa");
}

#[test]
fn a_report_that_another_key_signed_is_refused() {
    let real = collateral(vector!("vcek_milan.der"), None);
    let refused = authenticate(&report(|_| ()), &[], &real, NOW).unwrap_err();
    assert_eq!(refused.check(), "authenticity");
}

#[test]
fn a_key_that_another_authority_certified_is_refused() {
    let authorities =
        |_, _| ca::Chain::from_der(vector!("self-made/turin/ark.der"), vector!("self-made/turin/ask.der"));
    let refused = authenticate_under(authorities, &report(|_| ()), &[], &milan(), NOW).unwrap_err();
    assert_eq!(refused.check(), "authenticity");
}

#[test]
fn a_revocation_list_that_names_nobody_passes_and_gives_the_age() {
    let list = collateral(vector!("self-made/milan/vcek.der"), Some(vector!("self-made/milan/revoked-nobody.der")));
    let claims = decide(&report(|_| ()), &list).unwrap();
    // 2023-01-01 to 2043-01-01.
    assert_eq!((claims.collateral.issued, claims.collateral.expires), (1_672_531_200, 2_303_683_200));
    assert_eq!(list.expires(), Some(2_303_683_200));
}

#[test]
fn a_revoked_authority_is_refused() {
    let list = collateral(vector!("self-made/milan/vcek.der"), Some(vector!("self-made/milan/revoked-ask.der")));
    let refused = decide(&report(|_| ()), &list).unwrap_err();
    assert!(matches!(refused, AttestationError::Revoked { what: "ASK", .. }), "{refused}");
}

#[test]
fn a_revocation_list_of_somebody_else_is_refused() {
    for list in [vector!("self-made/milan/revoked-by-another.der"), vector!("self-made/turin/revoked-nobody.der")] {
        let refused = refused(&report(|_| ()), &collateral(vector!("self-made/milan/vcek.der"), Some(list)));
        assert!(refused.contains("the revocation list is not signed by AMD's root"), "{refused}");
    }
}

#[test]
fn certificates_hold_in_their_time_alone() {
    for (now, passes) in [(1_672_531_199, false), (1_672_531_200, true), (2_303_683_200, true), (2_303_683_201, false)]
    {
        let decided = authenticate_under(self_made, &report(|_| ()), &[], &milan(), now);
        assert_eq!(decided.map_err(|error| error.check()).err(), (!passes).then_some("collateral-dates"), "at {now}");
    }
}

#[test]
fn migration_agents_are_told_from_none() {
    assert_eq!(report(|_| ()).migratable(), None);
    assert_eq!(report(|bytes| bytes[0x160..0x180].fill(0)).migratable(), None);
    assert_eq!(report(|bytes| bytes[0x160] = 1).migratable(), Some("REPORT_ID_MA"));
    assert_eq!(report(|bytes| bytes[0xa] |= 1 << 2).migratable(), Some("POLICY.MIGRATE_MA"));
}

#[test]
fn a_table_of_certificates_is_searched_within_its_bounds() {
    let vcek = vector!("self-made/milan/vcek.der");
    let table = SnpCollateral::table_of(SnpKey::Vcek, vcek);
    assert_eq!(table::certificate(&table, SnpKey::Vcek), Ok(Some(vcek)));
    assert_eq!(table::certificate(&table, SnpKey::Vlek), Ok(None));
    assert_eq!(table::certificate(&[], SnpKey::Vcek), Ok(None));
    assert_eq!(table::certificate(&[0; 24], SnpKey::Vcek), Ok(None));
    let outside = |at: usize, value: u32| {
        let mut table = table.clone();
        table[at..at + 4].copy_from_slice(&value.to_le_bytes());
        table::certificate(&table, SnpKey::Vcek).map(|_| ()).map_err(|error| error.check())
    };
    for (at, value) in [(16, u32::MAX), (20, u32::MAX), (16, 49), (20, 100_000)] {
        assert_eq!(outside(at, value), Err("collateral"), "{value} at {at}");
    }
    assert!(table::certificate(&[1; 23], SnpKey::Vcek).is_err());
    assert!(table::certificate(&[1; 24 * 40], SnpKey::Vcek).is_err());
}
