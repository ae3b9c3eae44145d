//! The explanation says what the decision says, check by check.

use iexec_attestation::{Collateral, Expected, Explanation, Policy, TrustAnchors, Verdict, explain, verify};
use iexec_protocol::evidence::{Evidence, Nonce, Tee};
use iexec_simulated_tee::{
    Td,
    pki::{TcbStatus, Terms},
};

use crate::{
    known::{lenient, sgx},
    simulated::{NOW, PKI, anchors, collateral, evidence, expected, policy, td, terms},
};

/// Every check, in the order of the decision (spec ATT-1 to ATT-19, ATT-29).
const CHECKS: [(&str, &str); 20] = [
    ("size", "ATT-1"),
    ("tee", "ATT-2"),
    ("anchor", "ATT-3"),
    ("image", "ATT-5"),
    ("format", "ATT-4"),
    ("report-data", "ATT-6"),
    ("image-register", "ATT-7"),
    ("debug", "ATT-8"),
    ("migration", "ATT-9"),
    ("privilege-level", "ATT-10"),
    ("signing-key", "ATT-29"),
    ("reference", "ATT-11"),
    ("collateral", "ATT-12"),
    ("collateral-dates", "ATT-13"),
    ("authenticity", "ATT-14"),
    ("collateral-age", "ATT-15"),
    ("tcb-status", "ATT-16"),
    ("tcb-advisories", "ATT-17"),
    ("tcb-evaluation", "ATT-18"),
    ("tcb-floor", "ATT-19"),
];

fn names(explanation: &Explanation) -> Vec<(&'static str, &'static str)> {
    explanation.outcomes.iter().map(|outcome| (outcome.check, outcome.rule)).collect()
}

fn failed(explanation: &Explanation) -> Vec<&'static str> {
    let failures = explanation.outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_)));
    failures.map(|outcome| outcome.check).collect()
}

fn of(evidence: &Evidence, expected: &Expected, collateral: &Collateral, policy: &Policy) -> Explanation {
    let explanation = explain(evidence, Some(expected), Some(collateral), &anchors(), policy, NOW);
    let decided = verify(evidence, expected, collateral, &anchors(), policy, NOW);
    let refused = decided.as_ref().err().map(|error| (error.check(), error.to_string()));
    assert_eq!(explanation.refusal().map(|(check, cause)| (check, cause.to_owned())), refused);
    assert_eq!(explanation.accepted(), decided.is_ok());
    assert_eq!(names(&explanation), CHECKS);
    explanation
}

#[test]
fn good_evidence_passes_every_check() {
    let explanation = of(&evidence(&td()), &expected(), &collateral(&PKI, &terms()), &policy());
    assert!(explanation.accepted());
    assert_eq!(explanation.reference.as_deref(), Some("enclave 1"));
    assert!(explanation.claims.is_some());
}

#[test]
fn every_failure_is_told_and_not_the_first_alone() {
    let advisories = vec!["INTEL-SA-00001".to_owned()];
    let terms =
        Terms { platform: TcbStatus::OutOfDate, advisories, evaluation: 1, issued: NOW - 86_400 * 9, ..terms() };
    let td = Td { mrtd: [1; 48], ..td() }.extend(3, &[1; 48]);
    let other = Expected { nonce: Nonce([3; 32].into()), ..expected() };
    let explanation = of(&evidence(&td), &other, &collateral(&PKI, &terms), &policy());
    let expected = [
        "report-data",
        "image-register",
        "reference",
        "collateral-age",
        "tcb-status",
        "tcb-advisories",
        "tcb-evaluation",
    ];
    assert_eq!(failed(&explanation), expected);
}

#[test]
fn what_cannot_run_says_why() {
    let good = evidence(&td());
    let collateral = collateral(&PKI, &terms());
    let explanation = explain(&good, None, Some(&collateral), &anchors(), &policy(), NOW);
    let not_run = |explanation: &Explanation, why: &str| -> Vec<&'static str> {
        let all = explanation.outcomes.iter();
        all.filter(|outcome| matches!(outcome.verdict, Verdict::NotRun(w) if w == why)).map(|o| o.check).collect()
    };
    assert_eq!(not_run(&explanation, "no task and nonce were given"), ["image", "report-data", "image-register"]);
    assert!(!explanation.accepted() && explanation.refusal().is_none());

    let explanation = explain(&good, Some(&expected()), None, &anchors(), &policy(), NOW);
    assert_eq!(names(&explanation), CHECKS);
    assert_eq!(not_run(&explanation, "there is no collateral").len(), 8);

    let malformed = Evidence { quote: vec![1; 100], ..good.clone() };
    let explanation = of(&malformed, &expected(), &collateral, &policy());
    assert_eq!(failed(&explanation), ["format"]);
    assert_eq!(not_run(&explanation, "the quote is malformed").len(), 15);

    let mut forged = good;
    forged.quote[640] ^= 1;
    let explanation = of(&forged, &expected(), &collateral, &policy());
    assert_eq!((failed(&explanation), explanation.claims.is_none()), (vec!["authenticity"], true));
}

#[test]
fn real_evidence_is_explained_without_its_task() {
    let (sgx, mut policy) = (sgx(), lenient());
    policy.dcap.statuses.clear();
    let hardware = TrustAnchors::hardware();
    let explanation = explain(&sgx.evidence(), None, Some(&sgx.collateral), &hardware, &policy, sgx.now);
    assert_eq!(failed(&explanation), ["tcb-status"]);
    assert_eq!(explanation.reference.as_deref(), Some("signer"));
}

#[test]
fn a_simulation_without_its_anchor_and_of_another_tee_is_explained() {
    let collateral = collateral(&PKI, &terms());
    let hardware = TrustAnchors::hardware();
    let policy = Policy { tees: vec![Tee::Tdx], ..policy() };
    let explanation = explain(&evidence(&td()), Some(&expected()), Some(&collateral), &hardware, &policy, NOW);
    assert_eq!(failed(&explanation), ["tee", "anchor", "authenticity"]);
}
