//! Real evidence passes in its time, says what it says, and passes in no other time and under no other anchor.

use iexec_attestation::{
    Collateral, CollateralId, DcapCollateral, Measurement, PckCa, SnpCollateral, SnpKey, SnpProduct, TcbClaims,
    TcbStatus, TrustAnchors, appraise, needs,
};
use iexec_protocol::evidence::{Evidence, Tee};

use crate::known::{Recorded, SGX_ENCLAVE, SGX_SIGNER, lenient, milan, sgx, tdx, tdx_15ex, tdx_outdated, vector};

const TDX_MRTD: &str =
    "91eb2b44d141d4ece09f0c75c2c53d247a3c68edd7fafe8a3520c942a604a407de03ae6dc5f87f27428b2538873118b7";
const TDX_RTMR3: &str =
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";
const SNP_MEASUREMENT: &str =
    "7a1e5c266c0108dbc9bb94fa926951320940915d0aafb42464bd88b579ea158d3e1a0dc39b2c60bd95b9c480cd81841f";
/// Of the oldest of its statements, and the first end of them.
const SGX_ISSUED: u64 = 1_750_327_278;
const SGX_EXPIRES: u64 = 1_752_919_278;

fn dcap(recorded: &Recorded) -> (TcbStatus, Vec<String>, u32) {
    match recorded.appraise(&lenient()).unwrap().tcb {
        TcbClaims::Dcap(tcb) => (tcb.status, tcb.advisories, tcb.evaluation_number),
        TcbClaims::Snp(tcb) => panic!("{tcb:?}"),
    }
}

#[test]
fn an_sgx_quote_yields_the_enclave_and_intels_verdict() {
    let advisories = ["INTEL-SA-00289", "INTEL-SA-00615"].map(str::to_owned).to_vec();
    assert_eq!(dcap(&sgx()), (TcbStatus::ConfigurationAndSWHardeningNeeded, advisories, 17));
    let claims = sgx().appraise(&lenient()).unwrap();
    let Measurement::Sgx(measured) = claims.measurement else { panic!("{:?}", claims.measurement) };
    assert_eq!((measured.mrenclave, measured.mrsigner), (SGX_ENCLAVE.parse().unwrap(), SGX_SIGNER.parse().unwrap()));
    assert_eq!((claims.tee, claims.debug, claims.migratable), (Tee::Sgx, false, false));
    assert_eq!((claims.collateral.issued, claims.collateral.expires), (SGX_ISSUED, SGX_EXPIRES));
}

#[test]
fn a_tdx_quote_of_version_4_yields_the_td() {
    assert_eq!(dcap(&tdx()), (TcbStatus::UpToDate, vec![], 17));
    let claims = tdx().appraise(&lenient()).unwrap();
    let Measurement::Tdx(measured) = claims.measurement else { panic!("{:?}", claims.measurement) };
    assert_eq!(measured.mrtd, TDX_MRTD.parse::<iexec_attestation::Digest384>().unwrap());
    assert_eq!(measured.rtmr[3], TDX_RTMR3.parse::<iexec_attestation::Digest384>().unwrap());
    assert_eq!((claims.debug, claims.migratable), (false, false));
}

#[test]
fn a_tdx_quote_of_version_5_yields_the_td() {
    assert_eq!(dcap(&tdx_15ex()).0, TcbStatus::UpToDate);
}

#[test]
fn an_snp_report_yields_the_guest_and_its_firmware() {
    let claims = milan().appraise(&lenient()).unwrap();
    let Measurement::Snp(measured) = claims.measurement else { panic!("{:?}", claims.measurement) };
    assert_eq!(measured.measurement, SNP_MEASUREMENT.parse::<iexec_attestation::Digest384>().unwrap());
    assert_eq!((measured.vmpl, claims.debug, claims.migratable), (0, false, false));
    let TcbClaims::Snp(tcb) = claims.tcb else { panic!("{:?}", claims.tcb) };
    assert_eq!(tcb.product, SnpProduct::Milan);
    assert_eq!(tcb.reported.to_string(), "bootloader 3, tee 0, snp 8, microcode 115");
}

#[test]
fn the_vcek_may_come_with_the_evidence_instead_of_the_collateral() {
    let table = SnpCollateral::table_of(SnpKey::Vcek, vector!("snp/vcek_milan.der"));
    let evidence = Evidence { certificates: table, ..milan().evidence() };
    let collateral = Collateral::Snp(SnpCollateral::default());
    let claims = appraise(&evidence, &collateral, &TrustAnchors::hardware(), &lenient(), milan().now).unwrap();
    assert_eq!(claims, milan().appraise(&lenient()).unwrap());
    let without = Evidence { certificates: Vec::new(), ..evidence };
    let refused = appraise(&without, &collateral, &TrustAnchors::hardware(), &lenient(), milan().now).unwrap_err();
    assert_eq!(refused.to_string(), "the collateral has no VCEK; it is asked for");
}

#[test]
fn evidence_says_which_collateral_it_needs() {
    let of = |recorded: Recorded| match needs(&recorded.evidence()).unwrap() {
        CollateralId::Dcap(id) => (id.sgx, id.fmspc.to_string(), id.ca),
        other => panic!("{other:?}"),
    };
    assert_eq!(of(sgx()), (true, "0x00a067110000".to_owned(), PckCa::Processor));
    assert_eq!(of(tdx()), (false, "0xb0c06f000000".to_owned(), PckCa::Platform));
    assert_eq!(of(tdx_15ex()), (false, "0xb0c06f000000".to_owned(), PckCa::Platform));
    let CollateralId::Snp(id) = needs(&milan().evidence()).unwrap() else { panic!() };
    // A report of version 2 does not tell Milan from Genoa.
    assert_eq!((id.products, id.has_certificate), (vec![SnpProduct::Milan, SnpProduct::Genoa], false));
    // Its key's certificate does.
    let certificates = SnpCollateral::table_of(SnpKey::Vcek, vector!("snp/vcek_milan.der"));
    let CollateralId::Snp(id) = needs(&Evidence { certificates, ..milan().evidence() }).unwrap() else { panic!() };
    assert_eq!((id.products, id.has_certificate), (vec![SnpProduct::Milan], true));
}

#[test]
fn collateral_survives_json_and_says_how_long_it_holds() {
    let Collateral::Dcap(collateral) = tdx().collateral else { panic!() };
    assert_eq!(DcapCollateral::from_json(&collateral.to_json()).unwrap(), collateral);
    let validity = collateral.validity();
    assert!(validity.issued < tdx().now && tdx().now < validity.expires);
}

#[test]
fn a_platform_without_a_tcb_level_is_refused() {
    let refused = tdx_outdated().appraise(&lenient()).unwrap_err();
    assert!(refused.to_string().contains("No matching TCB level found"), "{refused}");
}

#[test]
fn evidence_passes_only_in_the_time_of_its_collateral() {
    for recorded in [sgx(), tdx(), tdx_15ex()] {
        let Collateral::Dcap(collateral) = &recorded.collateral else { panic!() };
        let validity = collateral.validity();
        for (now, expected) in [
            (0, Some("collateral-dates")),
            (validity.issued - 1, Some("collateral-dates")),
            (recorded.now, None),
            (validity.expires - 1, None),
            (validity.expires, Some("collateral-dates")),
            (u64::MAX, Some("collateral-dates")),
        ] {
            assert_eq!(Recorded { now, ..recorded.clone() }.refused(), expected, "{} at {now}", recorded.tee);
        }
    }
    for (now, expected) in [(1_600_000_000, Some("collateral-dates")), (4_000_000_000, Some("collateral-dates"))] {
        assert_eq!(Recorded { now, ..milan() }.refused(), expected, "snp at {now}");
    }
}

#[test]
fn evidence_of_one_tee_is_none_of_another() {
    for recorded in [sgx(), tdx(), tdx_15ex(), milan()] {
        for tee in [Tee::Sgx, Tee::Tdx, Tee::Snp] {
            let expected = if tee == recorded.tee { None } else { Some("format") };
            assert_eq!(Recorded { tee, ..recorded.clone() }.refused(), expected, "{} as {tee}", recorded.tee);
        }
    }
}

#[test]
fn collateral_of_another_platform_or_kind_is_refused() {
    for (recorded, collateral) in
        [(sgx(), tdx().collateral), (tdx(), sgx().collateral), (sgx(), milan().collateral), (milan(), sgx().collateral)]
    {
        assert_eq!(Recorded { collateral, ..recorded }.refused(), Some("collateral"));
    }
    let other_fmspc = Recorded { collateral: tdx_outdated().collateral, now: tdx_outdated().now, ..tdx() };
    let refused = other_fmspc.appraise(&lenient()).unwrap_err();
    assert_eq!(refused.to_string(), "the collateral is about FMSPC 90C06F000000; the quote is of b0c06f000000");
}

#[test]
fn padding_of_zeros_is_read_and_other_bytes_behind_a_quote_are_not() {
    let mut padded = sgx();
    padded.quote.extend([0; 64]);
    assert_eq!(padded.refused(), None);
    padded.quote.push(1);
    assert_eq!(padded.refused(), Some("format"));
}
