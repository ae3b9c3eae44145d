//! A report that AWS's VLEK signed, on a real machine: it counts where the policy names the provider. Its guest asked for it
//! at privilege level 1, which is refused (spec ATT-10); all else is told by the explanation.

use iexec_attestation::{
    Collateral, CollateralId, Explanation, Measurement, Policy, SnpCollateral, SnpKey, SnpPolicy, SnpProduct,
    SnpSigner, TcbClaims, TrustAnchors, Verdict, VlekProviders, explain, needs,
};
use iexec_protocol::evidence::Evidence;

use crate::known::{Recorded, lenient, milan, milan_vlek, vector};

/// The provider's name in the VLEK's certificate.
const AWS: &str = "CN=cc-us-east-2.amazonaws.com";
/// The VLEK's last second.
const LAST: u64 = 1_765_404_861;

fn these(names: &[&str]) -> Policy {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Policy { snp: SnpPolicy { vlek_providers: VlekProviders::These(names), ..lenient().snp }, ..lenient() }
}

/// As an enclave at AWS shows it: the host hands out the certificate.
fn brought(key: SnpKey) -> Evidence {
    let certificates = SnpCollateral::table_of(key, vector!("snp/vlek_milan.der"));
    Evidence { certificates, ..milan_vlek().evidence() }
}

fn with_certificate(certificate: &[u8]) -> Recorded {
    let collateral = SnpCollateral::new(Some(certificate.to_vec()), None).unwrap();
    Recorded { collateral: Collateral::Snp(collateral), ..milan_vlek() }
}

fn told(recorded: &Recorded, policy: &Policy) -> Explanation {
    let anchors = TrustAnchors::hardware();
    explain(&recorded.evidence(), None, Some(&recorded.collateral), &anchors, policy, recorded.now)
}

/// What is refused beside the privilege level, by check, in its words.
fn refused(explanation: &Explanation) -> Vec<(&'static str, &str)> {
    let all = explanation.outcomes.iter().filter(|outcome| outcome.check != "privilege-level");
    all.filter_map(|outcome| match &outcome.verdict {
        Verdict::Failed(words) => Some((outcome.check, words.as_str())),
        Verdict::Passed | Verdict::NotRun(_) => None,
    })
    .collect()
}

fn checks(recorded: &Recorded) -> Vec<&'static str> {
    refused(&told(recorded, &lenient())).into_iter().map(|(check, _)| check).collect()
}

#[test]
fn a_report_of_aws_yields_the_guest_its_firmware_and_the_provider() {
    let told = told(&milan_vlek(), &lenient());
    assert_eq!(refused(&told), []);
    let claims = told.claims.unwrap();
    let Measurement::Snp(measured) = claims.measurement else { panic!("{:?}", claims.measurement) };
    assert_eq!((measured.vmpl, measured.measurement.as_slice()), (1, &milan_vlek().quote[0x90..0xc0]));
    let TcbClaims::Snp(tcb) = claims.tcb else { panic!("{:?}", claims.tcb) };
    assert_eq!((tcb.product, tcb.signer), (SnpProduct::Milan, SnpSigner::Provider(AWS.to_owned())));
    assert_eq!(tcb.reported.to_string(), "bootloader 4, tee 0, snp 24, microcode 217");
    assert!(tcb.chip_id.is_zero());
    assert_eq!(claims.collateral.expires, LAST);
}

#[test]
fn the_report_of_aws_is_refused_for_its_privilege_level_alone() {
    let refused = milan_vlek().appraise(&lenient()).unwrap_err();
    assert_eq!(refused.to_string(), "the snp report was asked for at privilege level 1; the enclave runs at 0");
}

#[test]
fn a_vlek_counts_where_the_policy_names_its_provider_and_nowhere_else() {
    assert_eq!(refused(&told(&milan_vlek(), &these(&["CN=another.example", AWS]))), []);
    for (names, allowed) in [
        ([].as_slice(), "none"),
        (&["cn=CC-US-EAST-2.amazonaws.com"], "those of cn=CC-US-EAST-2.amazonaws.com"),
        (&["amazonaws.com", "CN=another.example"], "those of amazonaws.com, CN=another.example"),
    ] {
        let words = format!("the snp report is signed by the VLEK of {AWS}; the policy allows {allowed}");
        assert_eq!(refused(&told(&milan_vlek(), &these(names))), [("signing-key", words.as_str())]);
    }
    assert_eq!(Policy::nothing().snp.vlek_providers, VlekProviders::These(Vec::new()));
    // No rule on VLEKs touches a VCEK.
    assert!(milan().appraise(&these(&[])).is_ok());
}

#[test]
fn the_vlek_comes_with_the_evidence() {
    let (nothing, now) = (Collateral::Snp(SnpCollateral::default()), milan_vlek().now);
    let told =
        |evidence: &Evidence| explain(evidence, None, Some(&nothing), &TrustAnchors::hardware(), &these(&[AWS]), now);
    assert_eq!(told(&brought(SnpKey::Vlek)).claims, self::told(&milan_vlek(), &lenient()).claims);
    for evidence in [brought(SnpKey::Vcek), milan_vlek().evidence()] {
        assert_eq!(refused(&told(&evidence))[0], ("collateral", "the collateral has no VLEK; it is asked for"));
    }
    let CollateralId::Snp(id) = needs(&brought(SnpKey::Vlek)).unwrap() else { panic!() };
    assert_eq!((id.key, id.products, id.has_certificate), (SnpKey::Vlek, vec![SnpProduct::Milan], true));
}

#[test]
fn a_vlek_that_the_policy_refuses_is_refused_before_anybody_is_asked() {
    let anchors = TrustAnchors::hardware();
    let told = |policy: &Policy| explain(&brought(SnpKey::Vlek), None, None, &anchors, policy, milan_vlek().now);
    for policy in [these(&[]), these(&["CN=another.example"])] {
        assert_eq!(refused(&told(&policy))[0].0, "signing-key");
    }
    let told = told(&these(&[AWS]));
    let passed = told.outcomes.iter().find(|outcome| outcome.check == "signing-key").unwrap();
    assert_eq!((passed.rule, &passed.verdict), ("ATT-29", &Verdict::Passed));
}

#[test]
fn the_certificate_of_another_key_is_refused() {
    for (what, certificate, check) in [
        ("a chip's", vector!("snp/vcek_milan.der"), "collateral"),
        ("one of other firmware", vector!("snp/self-made/milan/vlek.der"), "collateral"),
        ("one of somebody's own making", vector!("snp/self-made/milan/vlek.der"), "authenticity"),
        ("one of a chip and a provider", vector!("snp/self-made/milan/vlek-of-a-chip.der"), "collateral"),
        ("nothing", b"".as_slice(), "collateral"),
    ] {
        assert!(checks(&with_certificate(certificate)).contains(&check), "{what}");
    }
    assert_eq!(Recorded { collateral: milan_vlek().collateral, ..milan() }.refused(), Some("collateral"));
}

#[test]
fn no_byte_of_the_report_can_be_changed_at_all() {
    for at in 0..milan_vlek().quote.len() {
        let told = told(&milan_vlek().flip(at, 1), &lenient());
        assert!(told.claims.is_none() && !refused(&told).is_empty(), "byte {at}");
    }
}

#[test]
fn no_byte_of_the_vleks_certificate_can_be_changed_with_effect() {
    let good = vector!("snp/vlek_milan.der");
    for place in (0..good.len()).step_by(5) {
        let mut changed = good.to_vec();
        changed[place] ^= 1;
        assert!(!checks(&with_certificate(&changed)).is_empty(), "byte {place}");
    }
}

#[test]
fn the_vlek_holds_in_its_year_alone() {
    let at = |now| Recorded { now, ..milan_vlek() };
    assert!(checks(&at(LAST)).is_empty());
    let late = told(&at(LAST + 1), &lenient());
    let words = format!("the collateral's VLEK expired at {LAST}; it is {}", LAST + 1);
    assert_eq!(refused(&late)[0], ("collateral-dates", words.as_str()));
    assert!(refused(&told(&at(1_700_000_000), &lenient()))[0].1.starts_with("the collateral's VLEK is of"));
}

#[test]
fn a_vlek_below_the_floor_is_refused_as_a_vcek_is() {
    let mut policy = these(&[AWS]);
    policy.snp.floors[0].1.microcode = 218;
    let words = "the Milan platform's reported microcode is of version 217; the policy asks for 218";
    assert_eq!(refused(&told(&milan_vlek(), &policy)), [("tcb-floor", words)]);
}
