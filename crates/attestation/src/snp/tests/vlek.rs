//! Reports that a cloud provider's VLEK signed.

use super::*;

/// `SIGNING_KEY` is bits 2 to 4 of this byte.
const KEY_INFO: usize = 0x48;

fn vlek_report(change: impl FnOnce(&mut [u8])) -> SnpReport {
    signed(vector!("self-made/vlek.pk8"), |bytes| {
        bytes[KEY_INFO] = 1 << 2;
        change(bytes);
    })
}

fn vlek() -> SnpCollateral {
    collateral(vector!("self-made/milan/vlek.der"), None)
}

fn signer(claims: &Claims) -> String {
    let TcbClaims::Snp(tcb) = &claims.tcb else { panic!() };
    tcb.signer.to_string()
}

#[test]
fn a_report_of_a_providers_key_passes_and_names_the_provider() {
    let claims = decide(&vlek_report(|_| ()), &vlek()).unwrap();
    assert_eq!(signer(&claims), "the VLEK of \"CN=test.example\"");
    assert_eq!(signer(&decide(&report(|_| ()), &milan()).unwrap()), "the chip's VCEK");
    let claims = decide(&vlek_report(make_turin), &collateral(vector!("self-made/turin/vlek.der"), None)).unwrap();
    assert_eq!(signer(&claims), "the VLEK of \"CN=test.example\"");
}

#[test]
fn a_providers_key_is_of_no_chip_and_the_report_may_mask_its_own() {
    assert!(decide(&vlek_report(|bytes| bytes[0x1a0] ^= 1), &vlek()).is_ok());
    let masked = vlek_report(|bytes| {
        make_turin(bytes);
        bytes[0x1a0..0x1e0].fill(0);
    });
    let claims = decide(&masked, &collateral(vector!("self-made/turin/vlek.der"), None)).unwrap();
    let TcbClaims::Snp(tcb) = claims.tcb else { panic!() };
    assert_eq!(tcb.chip_id, ChipId::ZERO);
}

#[test]
fn a_report_of_other_firmware_than_the_providers_key_is_refused() {
    for (at, part) in [(0x180, "bootloader 4"), (0x181, "tee 1"), (0x186, "snp 9"), (0x187, "microcode 116")] {
        let refused = refused(&vlek_report(|bytes| bytes[at] += 1), &vlek());
        assert!(refused.contains("about firmware") && refused.contains(part), "{refused}");
    }
    let other_fmc = vlek_report(|bytes| {
        make_turin(bytes);
        bytes[0x180] = 2;
    });
    assert!(refused(&other_fmc, &collateral(vector!("self-made/turin/vlek.der"), None)).contains("about firmware"));
}

#[test]
fn a_providers_key_of_another_generation_is_refused() {
    let turins = collateral(vector!("self-made/turin/vlek.der"), None);
    assert!(refused(&vlek_report(|_| ()), &turins).contains("about generation Turin"));
    assert!(refused(&vlek_report(make_turin), &vlek()).contains("about generation Milan"));
}

#[test]
fn a_certificate_names_a_provider_or_a_chip_as_its_kind_does() {
    let report_of_a_provider = vlek_report(|_| ());
    for (certificate, words) in [
        (vector!("self-made/milan/vlek-of-nobody.der"), "the collateral's VLEK is malformed: it has no extension"),
        (vector!("self-made/milan/vlek-of-the-empty-name.der"), "its provider's name has 0 bytes, not 1 to 256"),
        (vector!("self-made/milan/vlek-of-a-chip.der"), "it names a chip, as a VLEK does not"),
    ] {
        let refused = refused(&report_of_a_provider, &collateral(certificate, None));
        assert!(refused.contains(words), "{refused}");
    }
    let refused = refused(&report(|_| ()), &collateral(vector!("self-made/milan/vcek-of-a-provider.der"), None));
    assert!(refused.contains("it names a cloud provider, as a VCEK does not"), "{refused}");
}

#[test]
fn no_kind_of_key_passes_for_the_other() {
    let lies = |key: &[u8], number: u8| signed(key, |bytes| bytes[KEY_INFO] = number << 2);
    let (of_chip, of_provider) = (vector!("self-made/vcek.pk8"), vector!("self-made/vlek.pk8"));
    for (what, report, collateral) in [
        ("a VLEK that says VCEK", lies(of_provider, 0), vlek()),
        ("a VLEK that says VCEK, with the chip's certificate", lies(of_provider, 0), milan()),
        ("a VCEK that says VLEK", lies(of_chip, 1), milan()),
        ("a VCEK that says VLEK, with the provider's certificate", lies(of_chip, 1), vlek()),
        ("a VCEK with the provider's certificate", lies(of_chip, 0), vlek()),
        ("a VLEK with the chip's certificate", lies(of_provider, 1), milan()),
    ] {
        assert!(decide(&report, &collateral).is_err(), "{what}");
    }
}

#[test]
fn the_same_chain_proves_nothing_under_amds_roots() {
    let refused = authenticate(&vlek_report(|_| ()), &[], &vlek(), NOW).unwrap_err();
    assert_eq!(refused.check(), "authenticity");
}

#[test]
fn a_revoked_authority_counts_for_the_keys_that_it_certified_alone() {
    let (for_chips, for_providers) =
        (vector!("self-made/milan/revoked-ask.der"), vector!("self-made/milan/revoked-asvk.der"));
    let of_chip = |list| collateral(vector!("self-made/milan/vcek.der"), Some(list));
    let of_provider = |list| collateral(vector!("self-made/milan/vlek.der"), Some(list));
    let refused = decide(&vlek_report(|_| ()), &of_provider(for_providers)).unwrap_err();
    assert!(matches!(refused, AttestationError::Revoked { what: "ASVK", .. }), "{refused}");
    assert!(decide(&vlek_report(|_| ()), &of_provider(for_chips)).is_ok());
    assert!(decide(&report(|_| ()), &of_chip(for_providers)).is_ok());
}

#[test]
fn a_providers_certificate_holds_in_its_time_alone() {
    for (now, passes) in [(1_672_531_199, false), (1_672_531_200, true), (2_303_683_200, true), (2_303_683_201, false)]
    {
        let decided = authenticate_under(self_made, &vlek_report(|_| ()), &[], &vlek(), now);
        assert_eq!(decided.map_err(|error| error.check()).err(), (!passes).then_some("collateral-dates"), "at {now}");
    }
}

#[test]
fn keys_that_are_reserved_masked_or_none_are_malformed() {
    let report = std::str::from_utf8(vector!("report_milan.hex")).unwrap();
    let good = const_hex::decode(report.trim()).unwrap();
    for key_info in [2 << 2, 6 << 2, 7 << 2, 1 << 1, 1 << 1 | 1 << 2] {
        let mut bytes = good.clone();
        bytes[KEY_INFO] = key_info;
        let refused = SnpReport::parse(&bytes).map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("0, a VCEK, and 1, a VLEK, unmasked, are read"), "{refused}");
    }
}
